"""Proxies compared with memorization in simulated studies."""

import dataclasses
import math

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd

from memo_tf import analysis
from memo_tf.analysis import ranking
from memo_tf.analysis.proxies import criteria
from memo_tf.analysis.proxies import measured
from memo_tf.analysis.proxies import verdicts
from tests.support import proxy_laws

NUM_EXAMPLES = 600


SIZES = ("small", "medium", "large")


def noisy(values, rng, noise, runs=4):
  """What `runs` runs make of true values."""
  return measured.from_recording_runs(
    values + noise * rng.normal(size=(runs, len(values))), num_resamples=60
  )


def study():
  """Memorization that falls with size, and proxies whose faults are known."""
  rng = np.random.default_rng(0)
  start = rng.beta(0.4, 0.4, NUM_EXAMPLES)
  # Each example falls by an amount of its own, 0 to 0.3 a size.
  fall = 0.3 * rng.random(NUM_EXAMPLES)
  elsewhere = 3 * rng.random(NUM_EXAMPLES)
  memorization, proxies = {}, {}
  for s, size in enumerate(SIZES):
    truth = start - s * fall
    memorization[size] = noisy(truth, rng, 0.05)
    for name, values in {
      "faithful": 5 * truth,
      "easy": -truth,
      # Ranks as memorization does at each size; rises.
      "ranking_only": start + s * 0.3 * rng.random(NUM_EXAMPLES),
      # Moves as memorization does, from another place.
      "trend_only": elsewhere - s * fall,
      "noise": rng.normal(size=NUM_EXAMPLES),
    }.items():
      proxies.setdefault(name, {})[size] = noisy(values, rng, 0.05)
  signs = dict.fromkeys(proxies, 1) | {"easy": -1, "noise": None}
  return start > 0.9, memorization, proxies, signs


class CompareProxiesTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    planted, memorization, proxies, signs = study()
    cls.memorization, cls.proxies, cls.signs = memorization, proxies, signs
    cls.planted = planted
    values = np.stack([memorization[size].values for size in SIZES])
    cls.found = analysis.compare_proxies(
      memorization,
      proxies,
      signs,
      planted=planted,
      memorization_classes=np.where(
        values[0] - values[2] > 0.2, "decreasing", "constant"
      ),
      classify=lambda v: np.select(
        [v[0] - v[2] > 0.2, v[2] - v[0] > 0.2],
        ["decreasing", "increasing"],
        "constant",
      ),
    )

  def row(self, proxy, criterion, size="small"):
    table = self.found.criteria
    found = table[
      (table["proxy"] == proxy)
      & (table["criterion"] == criterion)
      & (table["size"] == size)
    ]
    self.assertLen(found, 1)
    return found.iloc[0]

  @parameterized.parameters(
    ("faithful", "ranking: yes, trend: yes"),
    ("easy", "ranking: yes, trend: yes"),
    ("ranking_only", "ranking: yes, trend: no"),
    ("trend_only", "ranking: no, trend: yes"),
    ("noise", "ranking: no, trend: no"),
  )
  def test_verdicts_say_what_was_built_in(self, name, expected):
    table = self.found.verdicts.set_index("proxy")

    self.assertEqual(table.loc[name, "verdict"], expected)
    ranking, trend = table.loc[name, ["tracks_ranking", "tracks_trend"]]
    self.assertEqual(f"ranking: {ranking}, trend: {trend}", expected)
    self.assertIn("Spearman", table.loc[name, "reason"])

  def test_the_reason_names_the_fault(self):
    reason = self.found.verdicts.set_index("proxy").loc["ranking_only"].reason

    self.assertIn(
      "from small to medium mean memorization falls and the proxy's rises",
      reason,
    )

  @parameterized.parameters("faithful", "easy", "noise")
  def test_estimates_are_those_of_the_scores(self, name):
    one = self.memorization["small"].values
    other = (self.signs[name] or 1) * self.proxies[name]["small"].values

    for kind in ranking.CORRELATIONS:
      self.assertAlmostEqual(
        self.row(name, kind).estimate, ranking.correlation(one, other, kind)
      )
    for criterion, positive in (
      ("auroc_memorized", one >= 0.25),
      ("auroc_planted", self.planted),
    ):
      self.assertAlmostEqual(
        self.row(name, criterion).estimate, ranking.auroc(other, positive)
      )
    self.assertAlmostEqual(
      self.row(name, "top_overlap").estimate,
      ranking.top_overlap(one, other, 60),
    )
    middle = (one >= 0.25) & (one < 0.5)
    self.assertAlmostEqual(
      self.row(name, "spearman_within_0.25_0.50").estimate,
      ranking.correlation(one[middle], other[middle], "spearman"),
    )
    self.assertEqual(
      self.row(name, "spearman_within_0.25_0.50").num_examples, middle.sum()
    )

  def test_within_bins_is_the_mean_over_examples(self):
    table = self.found.criteria
    bins = table[
      (table["proxy"] == "faithful")
      & (table["size"] == "small")
      & table["criterion"].str.startswith("spearman_within_")
    ]

    self.assertLen(bins, 4)
    self.assertAlmostEqual(
      self.row("faithful", "spearman_within").estimate,
      np.average(bins["estimate"], weights=bins["num_examples"]),
    )
    self.assertEqual(bins["num_examples"].sum(), NUM_EXAMPLES)

  def test_every_interval_holds_its_estimate(self):
    table = self.found.criteria

    self.assertFalse(table["ci_low"].isna().any())
    self.assertTrue((table["ci_low"] <= table["estimate"]).all())
    self.assertTrue((table["estimate"] <= table["ci_high"]).all())

  def test_corrected_for_the_noise_of_both(self):
    row = self.row("faithful", "pearson")
    parts = self.memorization["small"], self.proxies["faithful"]["small"]
    product = math.sqrt(parts[0].reliability * parts[1].reliability)

    self.assertAlmostEqual(row.corrected, row.estimate / product)
    self.assertAlmostEqual(row.corrected_low, row.ci_low / product)
    self.assertAlmostEqual(row.corrected, 1, 2)
    # There is no such correction for these.
    self.assertTrue(math.isnan(self.row("faithful", "kendall").corrected))
    self.assertTrue(math.isnan(self.row("faithful", "top_overlap").corrected))

  def test_changes(self):
    one = self.memorization["large"].values - self.memorization["small"].values
    by_size = self.proxies["easy"]
    other = by_size["small"].values - by_size["large"].values

    row = self.row("easy", "change_spearman", "large - small")

    self.assertAlmostEqual(
      row.estimate, ranking.correlation(one, other, "spearman")
    )
    self.assertGreater(row.ci_low, 0.8)
    noise = self.row("noise", "change_pearson", "large - small")
    self.assertBetween(noise.estimate, -0.2, 0.2)

  def test_means_and_steps(self):
    table = self.found.distributions.set_index(["score", "size"])
    steps = self.found.steps.set_index(["score", "from_size"])

    self.assertLen(table, 6 * 3)
    self.assertAlmostEqual(
      table.loc[("easy", "small"), "mean"],
      self.proxies["easy"]["small"].values.mean(),
    )
    # The mean is raw; what is compared is oriented.
    self.assertLess(table.loc[("easy", "small"), "mean"], 0)
    self.assertEqual(steps.loc[("easy", "small"), "direction"], "falls")
    self.assertEqual(steps.loc[("ranking_only", "small"), "direction"], "rises")
    self.assertEqual(set(table.loc["easy"]["drawn"]), {"4 recording runs"})

  def test_steps_of_a_study_over_sizes_are_taken_from_it(self):
    # The study does not show the first step, and does not have the second.
    rows = pd.DataFrame(
      [("small", "medium", -0.1, -0.3, 0.1)],
      columns=["from_size", "to_size", "change", "ci_low", "ci_high"],
    )
    found = analysis.compare_proxies(
      self.memorization,
      {"ranking_only": self.proxies["ranking_only"]},
      self.signs,
      memorization_steps=rows,
    )

    steps = found.steps.set_index(["score", "from_size"])
    first = steps.loc[("memorization", "small")]
    self.assertEqual(
      first[["change", "ci_low", "ci_high"]].tolist(), [-0.1, -0.3, 0.1]
    )
    self.assertEqual(first["direction"], "unsure")
    self.assertEqual(
      steps.loc[("memorization", "medium"), "direction"], "unsure"
    )
    self.assertEqual(steps.loc[("ranking_only", "small"), "direction"], "rises")
    reason = found.verdicts.iloc[0]["reason"]
    self.assertIn("mean memorization certainly moves at no step", reason)

  def test_forms(self):
    table = self.found.distributions.set_index(["score", "size"])
    uniform = 5 / 9

    self.assertGreater(table.loc[("memorization", "small"), "bimodality"], 0.65)
    self.assertLess(table.loc[("noise", "small"), "bimodality"], uniform)
    values = self.memorization["small"].values
    self.assertAlmostEqual(
      table.loc[("memorization", "small"), "mass_high"], (values >= 0.9).mean()
    )

  def test_shapes(self):
    agreement = self.found.shape_agreement.set_index("proxy")

    self.assertEqual(
      self.found.shapes.groupby("proxy")["num_examples"].sum().unique(),
      NUM_EXAMPLES,
    )
    self.assertGreater(
      agreement.loc["faithful", "kappa"], agreement.loc["noise", "kappa"] + 0.3
    )
    # All rise where memorization falls.
    self.assertLess(agreement.loc["ranking_only", "agreement_moving"], 0.1)


class EdgesTest(absltest.TestCase):
  def score(self, *values, **others):
    return measured.Measured(values=np.array(values, np.float64), **others)

  def test_one_size_one_run_and_nothing_known(self):
    rng = np.random.default_rng(0)
    one = measured.Measured(values=rng.random(50))

    found = analysis.compare_proxies(
      {"only": one}, {"same": {"only": one}, "none": {}}, {"same": 1, "none": 1}
    )

    row = found.criteria.set_index("criterion").loc["spearman"]
    self.assertAlmostEqual(row.estimate, 1)
    self.assertTrue(np.isnan([row.ci_low, row.corrected]).all())
    verdict = found.verdicts.iloc[0]
    # No interval, no answer; one size, no trend.
    self.assertEqual(verdict.verdict, "ranking: cannot tell")
    self.assertIsNone(verdict.tracks_trend)
    self.assertIn("without an interval", verdict.reason)
    self.assertEmpty(found.steps)
    self.assertEmpty(found.shapes)
    self.assertEmpty(found.shape_agreement)

  def test_no_proxies(self):
    found = analysis.compare_proxies(
      {"only": self.score(0.1, 0.5, 0.3)}, {}, {}
    )

    self.assertEmpty(found.criteria)
    self.assertEmpty(found.verdicts)

  def test_a_proxy_without_values(self):
    one = self.score(0.1, 0.5, 0.3)
    found = analysis.compare_proxies(
      {"a": one, "b": one},
      {"p": {"a": self.score(*[np.nan] * 3), "b": self.score(*[np.nan] * 3)}},
      {"p": 1},
      planted=np.array([True, False, False]),
      memorization_classes=np.repeat("constant", 3),
      classify=lambda v: np.repeat("constant", v.shape[1]),
    )

    self.assertEmpty(found.criteria)

  def test_scores_of_the_same_runs_are_not_corrected(self):
    rng = np.random.default_rng(0)
    values = rng.random(30)
    known = {"reliability": 0.5, "rank_reliability": 0.5}
    one = measured.Measured(values=values, **known)
    for shares, expected in ((False, 2.0), (True, math.nan)):
      other = measured.Measured(values=values, shares_runs=shares, **known)
      table = criteria.compare_at_size(one, other)
      row = table.set_index("criterion").loc["pearson"]

      # 1 / sqrt(0.5 * 0.5): it may exceed 1.
      np.testing.assert_allclose(row.corrected, expected)
      self.assertEqual(row.shares_runs, shares)

  def test_a_reliability_that_is_none(self):
    values = np.random.default_rng(0).random(30)
    one = measured.Measured(values=values, reliability=0.5)
    for reliability in (0.0, -0.2, math.nan):
      other = measured.Measured(values=values, reliability=reliability)
      table = criteria.compare_at_size(one, other)

      self.assertTrue(table["corrected"].isna().all())

  def test_rejects(self):
    one, short = self.score(1, 2, 3), self.score(1, 2)
    for proxies, signs, message in (
      ({"p": {"a": one}}, {}, "Missing: p"),
      ({"p": {"b": one}}, {"p": 1}, "memorization lacks"),
      ({"p": {"a": short}}, {"p": 1}, "same examples"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        analysis.compare_proxies({"a": one}, proxies, signs)


class SimulatedVerdictsTest(parameterized.TestCase):
  # benchmarks/proxy_trends.py has more studies and reliabilities.
  def answers(self, studies, **options):
    found = []
    for seed in range(studies):
      study = proxy_laws.draw(seed=seed, num_examples=300, **options)
      table = analysis.compare_proxies(
        study.memorization,
        {"perfect": study.perfect, "useless": study.useless},
        {"perfect": 1, "useless": 1},
        settings=criteria.ComparisonSettings(kendall_resamples=1),
      ).verdicts
      found.append(table.set_index("proxy")["tracks_trend"])
    return pd.DataFrame(found), study

  @parameterized.parameters(40, 100, 400)
  def test_without_reliable_changes_there_is_no_answer(self, num_subsets):
    # Standard deviations of the true changes: reliabilities of 0.03 or less.
    spread = 0.02 if num_subsets < 400 else 0.01
    answers, _ = self.answers(5, num_subsets=num_subsets, spread=spread)

    self.assertGreaterEqual(
      (answers == verdicts.UNKNOWN).to_numpy().mean(), 0.75
    )
    self.assertLessEqual((answers["perfect"] == verdicts.NO).sum(), 1)
    self.assertLessEqual((answers["useless"] == verdicts.YES).sum(), 1)

  @parameterized.parameters((40, 0.2), (100, 0.13), (400, 0.06))
  def test_with_reliable_changes_there_is(self, num_subsets, spread):
    answers, study = self.answers(5, num_subsets=num_subsets, spread=spread)

    self.assertBetween(study.reliability, 0.45, 0.65)
    self.assertGreaterEqual((answers["perfect"] == verdicts.YES).mean(), 0.8)
    self.assertNotIn(verdicts.NO, set(answers["perfect"]))
    self.assertNotIn(verdicts.YES, set(answers["useless"]))

  def test_a_proxy_of_the_same_runs_gets_no_verdict(self):
    # From the same runs noise looks like agreement; from others it does not.
    study = proxy_laws.draw(num_subsets=100, spread=0.0, seed=0)
    same = {
      size: dataclasses.replace(score, shares_runs=True)
      for size, score in study.even.items()
    }
    found = [
      analysis.compare_proxies(study.even, {"p": p}, {"p": 1})
      for p in (same, study.shared)
    ]

    self.assertEqual(
      [f.verdicts.iloc[0]["verdict"] for f in found], [verdicts.SHARES_RUNS] * 2
    )
    apparent, real = (
      f.criteria.set_index("criterion").loc["change_spearman", "estimate"]
      for f in found
    )
    self.assertGreater(apparent, 0.99)
    self.assertLess(abs(real), 0.2)


if __name__ == "__main__":
  absltest.main()
