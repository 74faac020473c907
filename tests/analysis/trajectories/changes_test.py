"""Which single examples change with size: by hand, and under foreign laws."""

import itertools

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.trajectories import changes
from tests.support import foreign_laws


def slow_p_value(before, after, in_mask):
  """Two-sided p-value by all signs of the runs that disagree."""
  d = after.astype(int) - before.astype(int)
  num_in, num_out = int(in_mask.sum()), int((~in_mask).sum())
  weight = np.where(in_mask, num_out, -num_in)  # whole numbers: exact ties
  moved = np.flatnonzero(d)
  observed = abs((weight * d).sum())
  found = [
    abs((weight[moved] * signs).sum()) >= observed
    for signs in itertools.product((-1, 1), repeat=len(moved))
  ]
  return np.mean(found)


class ByHandTest(parameterized.TestCase):
  def test_p_values_are_those_of_all_signs(self):
    rng = np.random.default_rng(0)
    in_mask = rng.random((14, 30)) < 0.6
    before, after = rng.random((2, 14, 30)) < 0.5

    found = changes._change(before, after, in_mask, confidence=0.95)

    for n in range(30):
      self.assertAlmostEqual(
        found["p_value"][n],
        slow_p_value(before[:, n], after[:, n], in_mask[:, n]),
      )

  def test_change_by_hand(self):
    # In: 2 of 2 right at both sizes. Held out: 0, then 2 of 4.
    in_mask = np.array([1, 1, 0, 0, 0, 0], bool)[:, None]
    before = np.array([1, 1, 0, 0, 0, 0], bool)[:, None]
    after = np.array([1, 1, 1, 1, 0, 0], bool)[:, None]

    found = changes.example_changes(np.stack([before, after]), in_mask)

    self.assertEqual(found.change.tolist(), [-0.5])
    # Half a pseudo-observation either way: in (0 + 1) / 3 / 3; out: mean 2/5,
    # ((2 + 1) / 5 - 0.16) / 5 = 0.088.
    half = 1.959964 * np.sqrt(1 / 9 + 0.088)
    self.assertAlmostEqual(found.change_ci_low[0], -0.4 - half, 5)
    self.assertAlmostEqual(found.change_ci_high[0], -0.4 + half, 5)
    # Two runs that disagree cannot reach 0.05.
    self.assertEqual(found.change_q_value.tolist(), [1.0])
    self.assertEqual(found.largest_departure_size.tolist(), [-1])
    self.assertTrue(np.isnan(found.largest_departure).all())

  def test_a_departure_that_returns(self):
    rng = np.random.default_rng(0)
    in_mask = rng.random((100, 2)) < 0.7
    correct = np.stack([in_mask, np.ones_like(in_mask), in_mask])
    correct[1, :, 1] = in_mask[:, 1]

    found = changes.example_changes(correct, in_mask)

    self.assertEqual(found.change.tolist(), [0, 0])
    self.assertEqual(found.largest_departure.tolist(), [-1, 0])
    self.assertEqual(found.largest_departure_size[0], 1)
    self.assertLess(found.largest_departure_q_value[0], 1e-6)
    self.assertEqual(
      {name: ids.tolist() for name, ids in found.named().items()},
      {"rises": [], "falls": [], "departs": [0]},
    )

  def test_never_held_out_is_unknown(self):
    in_mask = np.ones((20, 1), bool)

    found = changes.example_changes(np.ones((3, 20, 1), bool), in_mask)

    frame = found.to_dataframe().drop(columns="largest_departure_size")
    self.assertTrue(frame.isna().all(axis=None))

  @parameterized.parameters((1, 20), (2, 19))
  def test_rejects(self, num_sizes, num_runs):
    with self.assertRaisesRegex(ValueError, "two sizes or more"):
      changes.example_changes(
        np.zeros((num_sizes, num_runs, 3), bool), np.ones((20, 3), bool)
      )


class ForeignLawsTest(parameterized.TestCase):
  @parameterized.product(law=foreign_laws.LAWS, num_subsets=(100, 400))
  def test_false_discoveries_power_and_coverage(self, law, num_subsets):
    wrong, far, power, covered = [], [], [], []
    for seed in range(12):
      runs = foreign_laws.draw(law, num_subsets=num_subsets, seed=seed)
      found = changes.example_changes(runs.correct, runs.in_mask)
      named = found.change_q_value <= changes.MAX_Q_VALUE
      # A wrong direction is a false discovery, too.
      false = named & (np.sign(found.change) != np.sign(runs.change))
      wrong.append(false.sum() / max(named.sum(), 1))
      departs = found.largest_departure_q_value <= changes.MAX_Q_VALUE
      far.append((departs & ~runs.departs).sum() / max(departs.sum(), 1))
      power.append(named[np.abs(runs.change) >= 0.4 - 1e-9].mean())
      covered.append(
        (found.change_ci_low <= runs.change)
        & (runs.change <= found.change_ci_high)
      )

    self.assertLessEqual(np.mean(wrong), 0.07)
    self.assertLessEqual(np.mean(far), 0.07)
    self.assertGreaterEqual(np.mean(power), 0.5)
    self.assertBetween(np.mean(covered), 0.93, 0.98)


if __name__ == "__main__":
  absltest.main()
