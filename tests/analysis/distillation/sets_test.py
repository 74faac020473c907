"""Changes by set: the definition, and coverage where the truth is known."""

from absl.testing import absltest
import numpy as np
import pytest
from scipy import stats

from memo_tf.analysis.distillation import sets
from memo_tf.estimators import exposure
from memo_tf.estimators import resampling
from tests.analysis.distillation import paired_test
from tests.support import simulated_distillation as simulated


def coverage(studies: int, method, place: int) -> np.ndarray:
  """How often intervals of each class hold 0 where nothing changes, `[K]`."""
  held = []
  for seed in range(studies):
    found, _ = method(simulated.simulate(num_examples=400, seed=seed))
    ends = [
      found.interval(found.values[:, place, k, 0])
      for k in range(len(found.names))
    ]
    held.append(
      [
        low <= 0 <= high if np.isfinite(low) else np.nan
        for _, low, high in ends
      ]
    )
  return np.nanmean(np.array(held, float), axis=0)


class SetChangesTest(absltest.TestCase):
  def test_is_the_mean_of_the_halves(self):
    base, other, in_mask, *_ = paired_test.random_runs(num_runs=40)
    rng = np.random.default_rng(1)
    members = rng.random((2, 3, in_mask.shape[1])) < 0.6
    halves = sets.halves(np.arange(40) // 10)
    confidences = tuple(rng.normal(size=(2, *base.shape)))

    found = sets.set_changes(
      base,
      other,
      in_mask,
      names=["a", "b", "c"],
      members=members,
      rows=[half.change for half in halves],
      block=10,
      confidences=confidences,
    )

    by_half = []
    for h, half in enumerate(halves):
      rows = half.change
      weights = resampling.paired_bootstrap(20, block=10, seed=h).weights
      by_half.append(
        [
          [
            self.slow(base, other, confidences, in_mask, rows, w, member)
            for member in members[h]
          ]
          for w in weights[:4]
        ]
      )
    expected = np.mean(by_half, axis=0)  # [R, K, S, F]
    np.testing.assert_allclose(
      found.values[:4, :2], expected.swapaxes(1, 2), atol=1e-9
    )
    np.testing.assert_allclose(
      found.values[:, 2], found.values[:, :2].mean(axis=1)
    )
    # Single runs were drawn in both halves: t(38), 20 / 19.
    estimate, low, high = found.interval(found.values[:, 2, 0, 0])
    spread = found.values[1:, 2, 0, 0].std(ddof=1) * np.sqrt(20 / 19)
    self.assertAlmostEqual(estimate - low, stats.t.ppf(0.975, 38) * spread)
    self.assertAlmostEqual(high - estimate, estimate - low)
    self.assertEqual(
      found.num_examples.tolist(), members.sum(axis=2).min(axis=0).tolist()
    )

  def slow(self, base, other, confidences, in_mask, rows, weights, member):
    """Changes `[S, 4]` of one set in one replicate of one half."""
    repeated = np.repeat(np.flatnonzero(rows), weights.astype(int))
    mask = in_mask[repeated]
    found = []
    for size in range(len(base)):
      sides = []
      for correct, confidence in zip((base, other), confidences):
        right = correct[size, repeated]
        inside = np.array(
          [right[mask[:, n], n].mean() for n in np.flatnonzero(member)]
        )
        outside = np.array(
          [right[~mask[:, n], n].mean() for n in np.flatnonzero(member)]
        )
        apart = exposure.separation(confidence[size, repeated], mask)[member]
        scores = inside - outside
        means = [np.nanmean(v) for v in (scores, inside, outside)]
        sides.append([*means, np.nanmedian(apart)])
      found.append(np.subtract(sides[1], sides[0]))
    return found

  def test_contrast_is_by_how_much_more_it_falls(self):
    values = np.zeros((4, 1, 2, 3))
    values[:, 0, 0, 0] = [-0.3, -0.2, -0.3, -0.4]
    values[:, 0, 1, 0] = [-0.1, -0.1, -0.1, -0.1]
    found = sets.SetChanges(
      names=("a", "b"),
      num_examples=np.array([30, 40]),
      values=values,
      degrees=38,
      scale=1.0,
    )

    estimate, low, high, count = found.contrast("a", "b")

    self.assertAlmostEqual(estimate, 0.2)
    self.assertAlmostEqual((low + high) / 2, 0.2)
    self.assertAlmostEqual(high - low, 2 * stats.t.ppf(0.975, 38) * 0.1)
    self.assertEqual(count, 30)

  def test_halves_are_the_first_and_the_last_blocks(self):
    first, second = sets.halves(np.array([0, 0, 1, 1, 4, 4, 7]))

    np.testing.assert_array_equal(first.change, [0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(first.sets, ~first.change)
    np.testing.assert_array_equal(second.change, first.sets)
    self.assertEqual(sets.halves(np.zeros(9, int)), [])

  def test_an_empty_set_is_not_known(self):
    base, other, in_mask, *_ = paired_test.random_runs(num_runs=40)
    halves = sets.halves(np.arange(40) // 10)

    found = sets.set_changes(
      base,
      other,
      in_mask,
      names=["none"],
      members=[np.zeros((1, in_mask.shape[1]), bool)] * 2,
      rows=[half.change for half in halves],
    ).table()

    self.assertTrue(found["memorization_change"].isna().all())
    self.assertTrue(found["memorization_change_low"].isna().all())


class SimulatedTest(absltest.TestCase):
  def test_classes_from_other_runs_are_right_and_from_the_same_are_not(self):
    names = list(simulated.SETS)
    increasing, decreasing = (
      names.index(n) for n in ("increasing", "decreasing")
    )

    cross = coverage(10, simulated.cross_fitted, -2)
    naive = coverage(10, simulated.naive, -2)

    # At the largest size. Of 10 x 7 intervals 95 % hold 0, standard error
    # 3 points; of the naive ones of these classes well below two thirds.
    self.assertGreater(cross.mean(), 0.87)
    self.assertLess(naive[increasing], 0.66)
    self.assertLess(naive[decreasing], 0.75)

  def test_a_lowered_class_is_found(self):
    shown = []
    for seed in range(5):
      found, _ = simulated.cross_fitted(
        simulated.simulate(lowered=0.15, num_examples=400, seed=seed)
      )
      _, low, _, count = found.contrast(simulated.INCREASING, simulated.OTHERS)
      shown.append(low > 0)
      self.assertGreater(count, sets.MIN_EXAMPLES)

    self.assertGreaterEqual(sum(shown), 4)

  @pytest.mark.slow
  def test_coverage_of_every_class(self):
    cross = coverage(200, simulated.cross_fitted, -1)

    # Standard error of one class 1.5 points, of all together 0.6.
    self.assertGreater(cross.min(), 0.90)
    self.assertBetween(cross.mean(), 0.93, 0.97)


if __name__ == "__main__":
  absltest.main()
