"""LiRA's attack against its definition in a slow loop."""

import math

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.estimators import exposure


def normal_log_density(x, mean, variance):
  return -0.5 * ((x - mean) ** 2 / variance + math.log(variance))


def slow(confidence, in_mask, rates, own_variance):
  """d', per-example AUC, per-run AUC and TPR, one run and example at a time."""
  num_runs, num_examples = confidence.shape
  separation, ratio = [], np.full(confidence.shape, np.nan)
  for n in range(num_examples):
    inside = confidence[in_mask[:, n], n]
    outside = confidence[~in_mask[:, n], n]
    spread = (np.var(inside, ddof=1) + np.var(outside, ddof=1)) / 2
    separation.append((inside.mean() - outside.mean()) / math.sqrt(spread))
  for m in range(num_runs):
    others = np.arange(num_runs) != m
    groups = [
      [
        confidence[others & (in_mask[:, n] == side), n]
        for side in (True, False)
      ]
      for n in range(num_examples)
    ]
    pooled = [
      sum(((g[side] - g[side].mean()) ** 2).sum() for g in groups)
      / sum(len(g[side]) - 1 for g in groups)
      for side in (0, 1)
    ]
    for n, group in enumerate(groups):
      log = [
        normal_log_density(
          confidence[m, n],
          values.mean(),
          values.var(ddof=1) if own_variance else pooled[side],
        )
        for side, values in enumerate(group)
      ]
      ratio[m, n] = log[0] - log[1]

  def auc(score, member):
    wins = [
      (a > b) + 0.5 * (a == b) for a in score[member] for b in score[~member]
    ]
    return np.mean(wins)

  found = []
  for score, member in zip(ratio, in_mask):
    row = []
    for rate in rates:
      best = 0.0
      for threshold in score:
        if (score[~member] > threshold).mean() <= rate + 1e-12:
          best = max(best, (score[member] > threshold).mean())
      row.append(best)
    found.append(row)
  return (
    np.array(separation),
    np.array([auc(s, m) for s, m in zip(ratio.T, in_mask.T)]),
    np.array([auc(s, m) for s, m in zip(ratio, in_mask)]),
    np.array(found),
  )


def simulated(num_runs=14, num_examples=17, seed=0):
  rng = np.random.default_rng(seed)
  in_mask = rng.random((num_runs, num_examples)).argsort(axis=0) < 8
  effect = rng.uniform(0, 3, num_examples)
  confidence = rng.normal(5, 1, in_mask.shape) + effect * in_mask
  return confidence, in_mask


class AttackTest(parameterized.TestCase):
  @parameterized.parameters(True, False)
  def test_is_the_definition(self, own_variance):
    confidence, in_mask = simulated()
    rates = (0.0, 0.2, 0.5)

    found = exposure.exposure(
      confidence, in_mask, rates=rates, own_variance=own_variance
    )

    expected = slow(confidence, in_mask, rates, own_variance)
    for value, want in zip(
      (
        found.separation,
        found.example_auc,
        found.run_auc,
        found.true_positives,
      ),
      expected,
      strict=True,
    ):
      np.testing.assert_allclose(value, want, rtol=1e-9)

  def test_separation_by_hand(self):
    # In: 3, 5, variance 2; out: 0, 2, variance 2. (4 - 1) / sqrt(2).
    confidence = np.array([[3.0], [5.0], [0.0], [2.0]])
    in_mask = np.array([[1], [1], [0], [0]], bool)

    found = exposure.exposure(confidence, in_mask)

    np.testing.assert_allclose(found.separation, [3 / np.sqrt(2)])
    # Without the run itself a group has one other run: nothing is known.
    self.assertTrue(np.isnan(found.run_auc).all())

  def test_replicates_are_the_runs_repeated(self):
    confidence, in_mask = simulated()
    weights = np.random.default_rng(1).multinomial(14, np.ones(14) / 14, 3)
    weights += 1  # or a group might be empty

    found = exposure.separation(confidence, in_mask, weights.astype(float))

    for row, counts in zip(found, weights):
      rows = np.repeat(np.arange(14), counts)
      np.testing.assert_allclose(
        row, exposure.separation(confidence[rows], in_mask[rows]), rtol=1e-9
      )

  def test_no_effect_is_attacked_by_chance_alone(self):
    rng = np.random.default_rng(0)
    in_mask = rng.random((40, 500)).argsort(axis=0) < 28

    found = exposure.exposure(rng.normal(size=in_mask.shape), in_mask)

    # 40 runs of 350 x 150 pairs: standard error about 0.004.
    self.assertAlmostEqual(float(found.run_auc.mean()), 0.5, delta=0.02)

  def test_what_never_varies_has_no_separation(self):
    found = exposure.exposure(np.ones((8, 2)), np.eye(8, 2, dtype=bool))

    self.assertTrue(np.isnan(found.separation).all())

  def test_order_of_runs_changes_nothing(self):
    confidence, in_mask = simulated()
    order = np.random.default_rng(2).permutation(len(in_mask))

    one = exposure.exposure(confidence, in_mask)
    other = exposure.exposure(confidence[order], in_mask[order])

    np.testing.assert_allclose(one.separation, other.separation)
    np.testing.assert_allclose(one.run_auc[order], other.run_auc)

  @parameterized.named_parameters(
    ("shapes", np.zeros((4, 2)), np.zeros((4, 3), bool), "must be"),
    ("integers", np.zeros((4, 2)), np.zeros((4, 2), int), "bool"),
    ("infinite", np.full((4, 2), np.inf), np.zeros((4, 2), bool), "finite"),
  )
  def test_rejects(self, confidence, in_mask, message):
    with self.assertRaisesRegex(ValueError, message):
      exposure.exposure(confidence, in_mask)


class ConfidenceTest(absltest.TestCase):
  def test_is_the_logit_where_float32_tells_it(self):
    logits = np.random.default_rng(0).normal(0, 2, (200, 5))
    label = logits[:, 0]
    rest = np.log(np.exp(logits[:, 1:]).sum(axis=1))
    p = 1 / (1 + np.exp(rest - label))
    margin = label - logits[:, 1:].max(axis=1)

    for value in (margin, None):
      found = exposure.logit_confidence(
        p.astype(np.float32),
        None if value is None else value.astype(np.float32),
        5,
      )
      np.testing.assert_allclose(found, label - rest, atol=1e-3)

  def test_beyond_float32_the_margin_tells_it(self):
    # p is 1 in float32; log(p / (1 - p)) is between 30 - log(9) and 30.
    found = exposure.logit_confidence(
      np.float32([1.0, 1.0, 0.0]), np.float32([30.0, 40.0, -50.0]), 10
    )

    np.testing.assert_allclose(found, [30, 40, -50 - np.log(9)])

  def test_without_margins_it_is_finite(self):
    found = exposure.logit_confidence(
      np.float32([0, 1, 0.5]), np.float32([np.nan] * 3), 10
    )

    self.assertTrue(np.isfinite(found).all())
    self.assertEqual(found[2], 0.0)


if __name__ == "__main__":
  absltest.main()
