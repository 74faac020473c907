"""Means over sizes, their decomposition, and bi-modality."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.sizes import dip
from memo_tf.analysis.sizes import distribution
from memo_tf.analysis.sizes import sentences
from memo_tf.analysis.sizes import trends as trends_lib
from memo_tf.analysis.trajectories import planted as planted_lib
from memo_tf.analysis.trajectories import shares as shares_lib
from memo_tf.analysis.trajectories import simulation
from memo_tf.estimators import resampling


def simulate(**options):
  settings = {
    "num_sizes": 3,
    "num_examples": 300,
    "num_subsets": 100,
    "seed": 0,
  }
  return simulation.beta_trajectories(**(settings | options))


class MeanTrendsTest(absltest.TestCase):
  def test_by_hand(self):
    in_mask = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    # Size 0: all right in, all wrong out. Size 1: example 0 right everywhere.
    first = in_mask
    second = in_mask.copy()
    second[:, 0] = True
    correct = np.stack([first, second])
    bootstrap = resampling.paired_bootstrap(4, num_resamples=20)

    by_size, changes = trends_lib.mean_trends(correct, in_mask, bootstrap)

    np.testing.assert_allclose(by_size["memorization"], [1, 0.5])
    np.testing.assert_allclose(by_size["out_accuracy"], [0, 0.5])
    self.assertEqual(by_size["saturated"].tolist(), [True, True])
    self.assertLen(changes, 1)  # of two sizes the first step is also the whole
    self.assertEqual(changes.loc[0, "memorization"], -0.5)
    self.assertEqual(changes.loc[0, "out_accuracy"], 0.5)

  def test_change_is_that_of_in_less_that_of_out(self):
    study = simulate()
    bootstrap = resampling.paired_bootstrap(100, block=10, num_resamples=50)

    by_size, changes = trends_lib.mean_trends(
      study.correct, study.in_mask, bootstrap
    )

    np.testing.assert_allclose(
      changes["memorization"],
      changes["in_accuracy"] - changes["out_accuracy"],
      atol=1e-12,
    )
    self.assertEqual(changes["to_size"].tolist(), [1, 2, 2])
    np.testing.assert_allclose(
      by_size["memorization"],
      by_size["in_accuracy"] - by_size["out_accuracy"],
      atol=1e-12,
    )

  def test_intervals_hold_the_truth(self):
    # Of examples that are the same and runs that are drawn: 16 studies.
    held = []
    for seed in range(16):
      study = simulate(seed=seed, num_examples=100)
      bootstrap = resampling.paired_bootstrap(
        100, block=10, num_resamples=40, seed=seed
      )
      by_size, changes = trends_lib.mean_trends(
        study.correct, study.in_mask, bootstrap
      )
      true = study.memorization.mean(axis=1)
      for frame, values in (
        (by_size, true),
        (changes, [true[1] - true[0], true[2] - true[1], true[2] - true[0]]),
      ):
        low, high = frame["memorization_low"], frame["memorization_high"]
        held.append((low <= values) & (values <= high))
    self.assertBetween(np.mean(held), 0.88, 0.995)

  def test_pairing_narrows_a_difference(self):
    study = simulate(num_sizes=2, shares={"constant": 1.0})
    correct = study.correct.copy()
    correct[1] = correct[0]  # the second size repeats the first
    bootstrap = resampling.paired_bootstrap(100, block=10)

    by_size, changes = trends_lib.mean_trends(correct, study.in_mask, bootstrap)

    width = by_size["memorization_high"] - by_size["memorization_low"]
    self.assertGreater(width.min(), 0.001)
    self.assertEqual(
      changes.loc[0, "memorization_high"] - changes.loc[0, "memorization_low"],
      0,
    )

  def test_few_blocks_give_single_runs(self):
    self.assertEqual(resampling.paired_bootstrap(100, block=10).num_blocks, 10)
    self.assertEqual(resampling.paired_bootstrap(40, block=10).num_blocks, 40)
    self.assertIsNone(resampling.paired_bootstrap(1))

  def test_accuracies_of_runs_by_hand(self):
    in_mask = np.array([[1, 1, 0], [0, 1, 1]], bool)
    correct = np.array([[[1, 0, 1], [1, 1, 1]]], bool)
    test = np.array([[[1, 0], [1, 1]]], bool)

    table = trends_lib.run_accuracies(correct, in_mask, test)

    self.assertEqual(table.loc[0, "in_accuracy"], 0.75)  # 1/2 and 2/2
    self.assertEqual(table.loc[0, "out_accuracy"], 1.0)
    self.assertEqual(table.loc[0, "test_accuracy"], 0.75)
    self.assertAlmostEqual(table.loc[0, "test_accuracy_sd"], np.sqrt(0.125))

  def test_class_means_are_means_of_the_class(self):
    study = simulate(num_subsets=20)
    bootstrap = resampling.paired_bootstrap(20, num_resamples=5)

    table = trends_lib.class_means(
      study.correct,
      study.in_mask,
      study.shape_class,
      ("increasing", "other", "cap"),
      bootstrap,
    )

    self.assertEqual(
      table["shape_class"].unique().tolist(), ["increasing", "cap"]
    )
    values, _ = study.estimates()
    rows = table[table["shape_class"] == "cap"]
    np.testing.assert_allclose(
      rows["memorization"],
      values[:, study.shape_class == "cap"].mean(axis=1),
    )


class BimodalityTest(parameterized.TestCase):
  def test_histogram_edges(self):
    # 0.05 belongs to the bin that starts there, 1.0 to the last, -0.5 to the
    # first; 0.15000000000000002 - 1e-16 is 0.15.
    scores = np.array([-0.5, 0.0, 0.05, 0.1 + 0.05, 0.999, 1.0])

    counts = distribution.histogram(scores) * 6

    self.assertEqual(counts[0], 1)  # from -0.2
    self.assertEqual(counts[[4, 5, 7]].tolist(), [1, 1, 1])
    self.assertEqual(counts[-1], 2)
    self.assertEqual(counts.sum(), 6)

  def test_masses(self):
    low, high = distribution.masses(np.array([0.0, 0.0999, 0.1, 0.7 + 0.2, 1]))

    self.assertEqual((low, high), (0.4, 0.4))

  def test_sarle(self):
    rng = np.random.default_rng(0)

    self.assertAlmostEqual(
      distribution.sarle(rng.random(100_000)), 5 / 9, delta=0.005
    )
    self.assertAlmostEqual(
      distribution.sarle(rng.normal(size=100_000)), 1 / 3, delta=0.01
    )
    # Two points of equal weight: skewness 0, kurtosis -2: near 1.
    self.assertGreater(distribution.sarle(np.repeat([0.0, 1.0], 500)), 0.98)
    self.assertTrue(np.isnan(distribution.sarle(np.ones(10))))

  def test_by_size(self):
    study = simulate(beta=(0.2, 0.2), shares={"constant": 1.0})
    bootstrap = resampling.paired_bootstrap(100, block=10, num_resamples=20)

    modes, bins = distribution.bimodality(
      study.correct, study.in_mask, bootstrap
    )

    self.assertLen(modes, 3)
    self.assertLess(modes["dip_p"].max(), 0.01)
    self.assertGreater(modes["sarle"].min(), 5 / 9)
    np.testing.assert_allclose(bins.groupby("size")["share"].sum(), 1)
    self.assertEqual(modes.loc[0, "low_mass_change"], 0)
    self.assertAlmostEqual(
      modes.loc[2, "low_mass_change"],
      modes.loc[2, "low_mass"] - modes.loc[0, "low_mass"],
    )

  @parameterized.parameters(
    # With Hartigan & Hartigan's algorithm in the widely used C code.
    (0, 5, 0.1351190813972706),
    (1, 10, 0.10391893270730954),
    (4, 1000, 0.011614761888134095),
  )
  def test_dip_is_that_of_the_reference(self, place, num, expected):
    # The samples of one generator in turn, as the reference was given them.
    rng, values = np.random.default_rng(0), []
    for k in range(place + 1):
      n = [5, 10, 50, 200, 1000][k % 5]
      draws = [
        rng.random(n),
        rng.normal(size=n),
        np.r_[rng.normal(size=n), rng.normal(5, 1, n)],
        np.round(rng.normal(size=n), 1),
      ]
      values = draws[k % 4]

    self.assertLen(values, num)
    self.assertAlmostEqual(dip.dip_statistic(values), expected, delta=1e-12)

  def test_dip_by_hand(self):
    # Two far pairs of points: the best unimodal law is a line through both
    # steps; 1 / (2 n) is the least of any sample.
    self.assertAlmostEqual(
      dip.dip_statistic([1, 2, 3, 10, 11, 12]), 7 / 36, delta=1e-12
    )
    self.assertAlmostEqual(dip.dip_statistic(np.arange(5)), 0.1)
    self.assertEqual(dip.dip_statistic([3, 3, 3]), 0)
    self.assertTrue(np.isnan(dip.dip_statistic([])))

  def test_dip_does_not_depend_on_scale_or_direction(self):
    values = np.random.default_rng(1).normal(size=200) ** 3
    expected = dip.dip_statistic(values)

    self.assertAlmostEqual(dip.dip_statistic(3 * values + 1), expected)
    self.assertAlmostEqual(dip.dip_statistic(-values), expected)

  def test_p_values(self):
    rng = np.random.default_rng(2)
    two = np.concatenate([rng.normal(0, 1, 200), rng.normal(6, 1, 200)])

    p_two = dip.dip_p_value(dip.dip_statistic(two), 400)
    uniform = [
      dip.dip_p_value(dip.dip_statistic(rng.random(400)), 400)
      for _ in range(40)
    ]

    self.assertEqual(p_two, 1 / 501)
    self.assertBetween(np.mean(uniform), 0.35, 0.65)


class FindingsTest(absltest.TestCase):
  def findings(self, **options):
    study = simulate(**options)
    bootstrap = resampling.paired_bootstrap(100, block=10, num_resamples=60)
    shares = shares_lib.shape_shares(
      study.correct, study.in_mask, block=10, num_simulated=4
    )
    trends = trends_lib.mean_trends(study.correct, study.in_mask, bootstrap)
    modes, _ = distribution.bimodality(study.correct, study.in_mask, bootstrap)
    found = sentences.findings(["a", "b", "c"], *trends, modes, shares)
    evidence = shares_lib.evidence(study.correct, study.in_mask)
    carried = sentences.what_the_runs_carry(
      evidence.memorization,
      shares_lib.flat_standard_error(study.correct, study.in_mask),
      evidence.correlation,
      0.2,
      shares,
    )
    return found, carried

  def test_saturated_in_accuracy_may_still_change(self):
    study = simulate(shares={"constant": 1.0}, beta=(1.0, 1.0))
    bootstrap = resampling.paired_bootstrap(100, block=10, num_resamples=20)
    by_size, changes = trends_lib.mean_trends(
      study.correct, study.in_mask, bootstrap
    )
    modes, _ = distribution.bimodality(study.correct, study.in_mask, bootstrap)
    by_size["saturated"] = True
    for low, high, words in (
      (-0.009, -0.003, "saturated at both, and yet changes."),
      (-0.009, 0.001, "this is held-out accuracy alone."),
    ):
      changes["in_accuracy_low"], changes["in_accuracy_high"] = low, high

      found = sentences.findings(["a", "b", "c"], by_size, changes, modes, [])

      self.assertIn(words, found[0].text)

  def test_a_fall_is_told_and_sized(self):
    found, carried = self.findings(
      shares={"decreasing": 0.7, "constant": 0.3}, beta=(1.0, 1.0)
    )

    self.assertEqual(found[2].answer, "no")
    self.assertRegex(
      found[2].text, r"Mean memorization falls from a to c: -0\.\d{4} \[-0"
    )
    self.assertEqual(found[-1].answer, "yes")
    self.assertIn("most are decreasing", found[-1].text)
    self.assertGreater(carried["ambiguous"], 0.3)

  def test_no_change_is_not_called_one(self):
    found, carried = self.findings(
      shares={"constant": 1.0}, beta=(20.0, 20.0), seed=3
    )

    self.assertEqual(found[2].answer, "open")
    self.assertIn("is not shown to change", found[2].text)
    text = sentences.noise_statement(carried, 100, 0.2)
    # sqrt(0.25 / 30) = 0.091, and of a difference 0.129.
    self.assertRegex(text, r"standard error of 0\.09\d")
    self.assertRegex(text, r"two sizes one of 0\.1[23]\d")
    self.assertIn("is not to be trusted", text)
    self.assertGreater(carried["false_changes_ambiguous"], 0.2)

  def test_many_runs_carry_names(self):
    carried = {
      "ambiguous": 0.1,
      "typical_error": 0.02,
      "difference_error": 0.03,
      "false_changes": 0.001,
      "false_changes_ambiguous": 0.01,
      "measured_constant": 0.5,
      "constant": 0.5,
    }

    text = sentences.noise_statement(carried, 4000, 0.2)

    self.assertIn("can be read as it is", text)


class PlantedTest(absltest.TestCase):
  def test_by_hand(self):
    names = np.array(["increasing"] * 4 + ["constant"] * 6 + [""])
    planted = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1], bool)

    table = planted_lib.planted_by_class(names, None, planted)

    rows = table.set_index("shape_class")
    self.assertEqual(rows.loc["increasing", "share"], 0.75)
    # 3 of 4 against 4 of 10.
    self.assertAlmostEqual(rows.loc["increasing", "enrichment"], 1.875)
    self.assertEqual(rows.loc["constant", "num_planted"], 1)
    # Fisher: tables with margins 4, 6 and 4, 6: P(3) + P(4) and P(0) = 15/210
    # are the ones no likelier than P(3) = 24/210: 24 + 1 + 15 of 210.
    self.assertAlmostEqual(rows.loc["increasing", "p_value"], 40 / 210)
    self.assertTrue(np.isnan(rows.loc["cap", "share"]))

  def test_nothing_planted_gives_no_rows(self):
    table = planted_lib.planted_by_class(
      np.array(["cap"]), None, np.array([False])
    )

    self.assertEmpty(table)


if __name__ == "__main__":
  absltest.main()
