"""Judging attributions: by hand, by slow loops, and by simulated runs."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest
from scipy import stats

from memo_tf.analysis import attribution
from tests.support import linear_runs


def judged(matrix, in_mask, outputs, **options):
  """The rows by method and measure."""
  runs = attribution.Runs(in_mask=in_mask, outputs=outputs)
  table = attribution.judge(matrix, runs, **options)
  return {(r["method"], r["measure"]): r for r in table.to_dict("records")}


class ByHandTest(absltest.TestCase):
  def test_four_runs(self):
    in_mask = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 1]], bool)
    # Sums of the first column: 4, 6, 4, 3, with the ranks 2.5, 4, 2.5, 1; the
    # outputs have the ranks 3, 4, 2, 1.
    matrix = np.array([[3.0, 1], [1, 2], [3, 0]])
    outputs = np.array([[7.0, 5], [9, 5], [2, 5], [1, 5]])

    found = judged(matrix, in_mask, outputs, top_k=1)

    row = found["attribution", "lds"]
    # Differences of ranks -0.5, 0, 0.5, 0 around 2.5: 4.5 / sqrt(4.5 * 5).
    self.assertAlmostEqual(row["value"], 4.5 / np.sqrt(4.5 * 5))
    # All runs put out the same on the second test example.
    self.assertEqual(row["num_tests"], 1)
    # Influence: 8 - 1.5, 4.5 - 5, 4 - 7. The largest is of the first, which
    # shares the largest attribution with the third.
    np.testing.assert_allclose(
      attribution.mean_differences(in_mask, outputs)[:, 0], [6.5, -0.5, -3]
    )
    row = found["attribution", "recall"]
    self.assertEqual(row["value"], 0.5)
    self.assertAlmostEqual(row["chance"], 1 / 3)

  def test_an_attribution_that_says_nothing_scores_zero(self):
    truth, in_mask, outputs = linear_runs.linear_runs(20, 10, 3, noise=0.1)

    found = judged(np.full_like(truth, 0.1), in_mask, outputs, top_k=2)

    self.assertEqual(found["attribution", "lds"]["value"], 0)
    # All attributions are tied: as by chance.
    self.assertAlmostEqual(found["attribution", "recall"]["value"], 0.2)

  def test_equal_sums_are_tied_whatever_rounding_leaves(self):
    truth, in_mask, outputs = linear_runs.linear_runs(60, 200, 5, noise=1.0)
    near = np.random.default_rng(0).random(truth.shape) < 0.1

    whole = judged(near * 1.0, in_mask, outputs)["attribution", "lds"]
    found = judged(near * 0.7, in_mask, outputs)["attribution", "lds"]

    for end in ("value", "ci_low", "ci_high"):
      self.assertEqual(found[end], whole[end])

  def test_equal_influences_are_tied(self):
    truth, in_mask, _ = linear_runs.linear_runs(20, 30, 1, noise=0.0)
    # One run is right: those in it share the largest influence.
    outputs = np.zeros((20, 1))
    outputs[3] = 1

    row = judged(truth, in_mask, outputs, top_k=5)["attribution", "recall"]

    largest = np.argsort(truth[:, 0])[-5:]
    share = in_mask[3, largest].sum() / in_mask[3].sum()
    self.assertBetween(share, 0.01, 0.99)
    self.assertAlmostEqual(row["value"], share)
    influence = attribution.mean_differences(in_mask, outputs)
    self.assertLen(np.unique(influence), 2)

  def test_never_held_out_has_no_influence(self):
    in_mask = np.array([[1, 1], [1, 0], [1, 1]], bool)

    found = attribution.mean_differences(in_mask, np.array([[3.0], [1], [5]]))

    np.testing.assert_allclose(found, [[0], [3]])

  def test_rejects(self):
    truth, in_mask, outputs = linear_runs.linear_runs(10, 8, 3, noise=0.1)
    for matrix, options, message in (
      (truth.T, {}, "training examples by test examples: 8 x 3. Received"),
      (truth + np.nan, {}, "finite. Received: 24 values"),
      (truth, {"top_k": 8}, "from 1 to N - 1, 7"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        judged(matrix, in_mask, outputs, **options)
    with self.assertRaisesRegex(ValueError, "bool"):
      attribution.Runs(in_mask=in_mask.astype(int), outputs=outputs)


class OracleTest(parameterized.TestCase):
  @parameterized.parameters(False, True)
  def test_replicates_are_those_of_repeated_runs(self, tied):
    rng = np.random.default_rng(0)
    values, outputs = rng.normal(size=(2, 12))
    if tied:
      values, outputs = np.round(values), outputs > 0
    drawn = rng.multinomial(12, np.full(12, 1 / 12), 5).astype(float)

    ranks = attribution._weighted_ranks(values, drawn)
    others = attribution._weighted_ranks(outputs.astype(float), drawn)
    found = attribution._weighted_pearson(ranks, others, drawn)

    for row, rank, value in zip(drawn.astype(int), ranks, found):
      again = np.repeat(values, row)
      np.testing.assert_allclose(
        np.repeat(rank, row), stats.rankdata(again), rtol=1e-12
      )
      expected = stats.spearmanr(again, np.repeat(outputs, row)).statistic
      self.assertAlmostEqual(value, expected)

  def test_against_a_loop_whatever_the_part(self):
    truth, in_mask, outputs = linear_runs.linear_runs(30, 20, 7, noise=1.0)
    matrix = truth + np.random.default_rng(0).normal(size=truth.shape)
    lds, recall = [], []
    for t in range(7):
      sums = [matrix[row, t].sum() for row in in_mask]
      lds.append(stats.spearmanr(sums, outputs[:, t]).statistic)
      influence = [
        outputs[in_mask[:, n], t].mean() - outputs[~in_mask[:, n], t].mean()
        for n in range(20)
      ]
      largest = set(np.argsort(influence)[-4:])
      recall.append(len(largest & set(np.argsort(matrix[:, t])[-4:])) / 4)

    whole = judged(matrix, in_mask, outputs, block=10, top_k=4)
    self.enterContext(absltest.mock.patch.object(attribution, "_BYTES", 1))
    parts = judged(matrix, in_mask, outputs, block=10, top_k=4)

    self.assertAlmostEqual(whole["attribution", "lds"]["value"], np.mean(lds))
    self.assertAlmostEqual(
      whole["attribution", "recall"]["value"], np.mean(recall)
    )
    for key, row in whole.items():
      for end in ("value", "ci_low", "ci_high"):
        self.assertAlmostEqual(row[end], parts[key][end], msg=(key, end))


class SimulationTest(parameterized.TestCase):
  @parameterized.parameters(0.0, 0.5, 2.0)
  def test_the_true_attribution_reaches_its_ceiling(self, noise):
    truth, in_mask, outputs = linear_runs.linear_runs(400, 60, 40, noise=noise)

    row = judged(truth, in_mask, outputs, block=10)["attribution", "lds"]

    # Spearman's correlation of normal variables with Pearson's r.
    r = 1 / np.sqrt(1 + noise**2)
    ceiling = 6 / np.pi * np.arcsin(r / 2)
    self.assertBetween(row["value"], ceiling - 0.03, ceiling + 1e-9 + 0.03)
    self.assertLess(row["ci_high"] - row["ci_low"], 0.1)
    if noise:
      self.assertLess(row["ci_low"], ceiling)
      self.assertGreater(row["ci_high"], ceiling)

  def test_the_truth_is_found(self):
    truth, in_mask, outputs = linear_runs.linear_runs(400, 60, 40, noise=0.2)

    found = judged(truth, in_mask, outputs, block=10)

    self.assertGreater(found["attribution", "recall"]["ci_low"], 0.6)

  def test_random_attributions_find_nothing(self):
    """Of 40 intervals of 95 % more than five miss with a chance of 1.4 %."""
    truth, in_mask, outputs = linear_runs.linear_runs(400, 60, 40, noise=0.2)
    random = np.random.default_rng(5)
    missed = {"lds": 0, "recall": 0}
    for _ in range(40):
      matrix = random.normal(size=truth.shape)
      found = judged(matrix, in_mask, outputs, block=10)
      for measure in missed:
        row = found["attribution", measure]
        nothing = row["chance"] if measure == "recall" else 0.0
        missed[measure] += not row["ci_low"] < nothing < row["ci_high"]

    self.assertLessEqual(max(missed.values()), 5, missed)

  def test_the_influence_of_other_runs_stands_beside_it(self):
    truth, in_mask, outputs = linear_runs.linear_runs(400, 60, 40, noise=1.0)
    half = np.arange(400) % 20 < 10

    found = judged(
      truth,
      in_mask[half],
      outputs[half],
      block=10,
      others=attribution.Runs(in_mask=in_mask[~half], outputs=outputs[~half]),
    )

    estimate = attribution.mean_differences(in_mask[~half], outputs[~half])
    alone = judged(estimate, in_mask[half], outputs[half], block=10)
    for measure in ("lds", "recall"):
      own, other, difference = (
        found[name, measure]
        for name in ("attribution", "influence", "difference")
      )
      for end in ("value", "ci_low", "ci_high"):
        self.assertAlmostEqual(other[end], alone["attribution", measure][end])
      self.assertAlmostEqual(difference["value"], own["value"] - other["value"])
      # The truth is better than an estimate, and the difference shows it.
      self.assertGreater(difference["ci_low"], 0)

  def test_a_difference_of_more_than_one_is_in_its_interval(self):
    truth, in_mask, outputs = linear_runs.linear_runs(80, 20, 10, noise=0.1)
    half = np.arange(80) % 20 < 10
    others = attribution.Runs(in_mask=in_mask[~half], outputs=outputs[~half])

    row = judged(-truth, in_mask[half], outputs[half], others=others)[
      "difference", "lds"
    ]

    self.assertLess(row["value"], -1.5)
    self.assertBetween(row["value"], row["ci_low"], row["ci_high"])
    self.assertLess(row["ci_low"], row["ci_high"])

  @parameterized.parameters(0.0, 0.8)
  @pytest.mark.slow
  def test_intervals_cover(self, common):
    estimates: dict = {"lds": [], "recall": []}
    for seed in range(120):
      # Training examples and attribution are fixed; runs and noise are not.
      truth, in_mask, outputs = linear_runs.linear_runs(
        100, 60, 40, noise=1.0, common=common, seed=seed
      )
      matrix = truth + np.random.default_rng(9).normal(size=truth.shape)
      found = judged(matrix, in_mask, outputs, block=10, seed=seed)
      for measure, rows in estimates.items():
        row = found["attribution", measure]
        rows.append([row["value"], row["ci_low"], row["ci_high"]])
    for measure, rows in estimates.items():
      value, low, high = np.array(rows).T
      covered = np.mean((low <= value.mean()) & (value.mean() <= high))
      print(
        f"{measure}, common {common}: mean {value.mean():.3f}, sd "
        f"{value.std():.3f}, half {np.mean(high - low) / 2:.3f}, covered "
        f"{covered:.3f}"
      )
      self.assertGreater(covered, 0.9, measure)


if __name__ == "__main__":
  absltest.main()
