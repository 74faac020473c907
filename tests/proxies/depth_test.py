"""Prediction depth: probes and the layer from which they agree."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.proxies import depth


class ProbeTest(absltest.TestCase):
  def test_votes_and_their_ties(self):
    # On a line: 0, 1, 3, 4; two neighbours each.
    line = np.array([[0.0], [1.0], [3.0], [4.0]])
    labels = np.array([2, 1, 1, 0])

    # 0: {1, 3} votes 1, 1. 1: {0, 3}: 2, 1 tie, the lowest. 3: {4, 1}: 0, 1
    # tie. 4: {3, 1}: 1.
    np.testing.assert_array_equal(depth.probe(line, labels, 2), [1, 1, 0, 1])


class PredictionDepthTest(parameterized.TestCase):
  @parameterized.parameters(
    ((0, 0, 0), 0),
    ((1, 0, 0), 1),
    ((0, 1, 0), 2),
    ((1, 1, 0), 2),
    ((0, 0, 1), 3),
    ((1, 1, 1), 3),
  )
  def test_first_layer_from_which_all_agree(self, says, expected):
    # Of example 0, predicted 0; the nearest of k = 1 never is itself.
    layers = [
      np.array([[100.0 * s], [0.0], [100.0]]) + [[0.1], [0], [0]] for s in says
    ]

    found = depth.prediction_depth(
      representations=layers,
      labels=np.array([0, 0, 1]),
      predicted=np.array([0, 0, 1]),
      num_neighbours=1,
    )

    self.assertEqual(found[0], expected)

  def test_against_the_definition(self):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=80)
    predicted = np.where(rng.random(80) < 0.2, 0, labels)
    layers = [
      noise * rng.normal(size=(80, 6)) + np.eye(3, 6)[labels]
      for noise in (3, 1, 0.7, 0.3)
    ]
    said = np.stack([depth.probe(layer, labels, 5) for layer in layers])
    for reference, target in (("predicted", predicted), ("labels", labels)):
      expected = []
      for n in range(80):
        first = 4
        while first and said[first - 1, n] == target[n]:
          first -= 1
        expected.append(first)

      found = depth.prediction_depth(
        representations=layers,
        labels=labels,
        predicted=predicted,
        num_neighbours=5,
        reference=reference,
        block_bytes=999,
      )

      np.testing.assert_array_equal(found, expected)
      self.assertLen(np.unique(found), 5)

  def test_rejects(self):
    good = {
      "representations": [np.zeros((3, 1))],
      "labels": np.zeros(3, int),
      "predicted": np.zeros(3, int),
    }
    for name, value in (
      ("representations", []),
      ("representations", [np.zeros((2, 1))]),
      ("labels", np.zeros(2, int)),
      ("reference", "clean"),
    ):
      with self.assertRaisesRegex(ValueError, name):
        depth.prediction_depth(**{"num_neighbours": 1, **good, name: value})


if __name__ == "__main__":
  absltest.main()
