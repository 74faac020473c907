"""Random streams: frozen values, and streams that are apart.

Recorded studies depend on the literals here: if one of these tests fails, the
subsets, weights and orders of every study that was run before cannot be drawn
again. Mend the code, not the literal.
"""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.experiment import random_streams


class StreamsTest(parameterized.TestCase):
  @parameterized.parameters(
    ((0,), 4320461502216201651),
    ((0, "subsets", "r0.70", 0), 4502390742759794802),
    ((0, "subsets", "r0.70", 1), 783417593990468864),
    ((1, "subsets", "r0.70", 0), 8355511893650593946),
    (
      (0, "init", "cifar_resnet-8/one_hot/r0.70/00000"),
      3307384673894363859,
    ),
    ((2**40, "a", 3), 170898955849666521),
  )
  def test_seed_is_frozen(self, key, expected):
    self.assertEqual(random_streams.stream_seed(*key), expected)

  def test_draws_are_frozen(self):
    key = (0, "subsets", "r0.70", 0)

    integers = random_streams.generator(*key).integers(0, 1000, 5)
    order = random_streams.generator(*key).permutation(6)
    uniform = random_streams.generator(*key).random(2)

    np.testing.assert_array_equal(integers, [344, 196, 520, 876, 277])
    np.testing.assert_array_equal(order, [3, 1, 0, 5, 2, 4])
    np.testing.assert_array_equal(
      uniform, [0.19697675536031245, 0.8768752591034372]
    )

  def test_seeds_fit_63_bits_and_use_them(self):
    seeds = [random_streams.stream_seed(0, "x", n) for n in range(2000)]

    self.assertBetween(min(seeds), 0, 2**63 - 1)
    self.assertBetween(max(seeds), 2**62, 2**63 - 1)
    self.assertLen(set(seeds), 2000)

  def test_every_part_of_the_key_counts(self):
    keys = [
      (0, "order", "r0.70", 0, 1),
      (1, "order", "r0.70", 0, 1),
      (0, "init", "r0.70", 0, 1),
      (0, "order", "r0.50", 0, 1),
      (0, "order", "r0.70", 1, 0),
      (0, "order", "r0.70", 0),
      (0, "order", "r0.70", 0, 1, 0),
      (0, "order", "r0.70", 1),
      (0, "order", "r0.70", 11),
    ]

    self.assertLen(
      {random_streams.stream_seed(*key) for key in keys}, len(keys)
    )

  def test_integers_of_numpy_and_python_are_the_same_key(self):
    self.assertEqual(
      random_streams.stream_seed(np.int64(3), "x", np.int32(7)),
      random_streams.stream_seed(3, "x", 7),
    )

  def test_streams_are_uncorrelated(self):
    draws = np.stack(
      [
        random_streams.generator(0, "x", n).standard_normal(4000)
        for n in range(20)
      ]
    )

    correlation = np.corrcoef(draws)[np.triu_indices(20, 1)]

    # 190 correlations of standard error 1 / sqrt(4000).
    self.assertLess(np.abs(correlation).max(), 4.5 / np.sqrt(4000))

  def test_drawing_from_one_leaves_the_other_alone(self):
    alone = random_streams.generator(0, "b").random(3)

    first, second = (
      random_streams.generator(0, "a"),
      random_streams.generator(0, "b"),
    )
    first.random(100)

    np.testing.assert_array_equal(second.random(3), alone)


if __name__ == "__main__":
  absltest.main()
