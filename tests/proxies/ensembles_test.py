"""Consistency scores and agreement of runs."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.proxies import ensembles


class ConsistencyTest(absltest.TestCase):
  def test_by_hand(self):
    in_mask = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0]], bool)
    correct = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0]], bool)

    found = ensembles.cscore(correct=correct, in_mask=in_mask)

    # Right in 1 of the 2 runs without it; always in; 1 of 3.
    np.testing.assert_allclose(found, [0.5, np.nan, 1 / 3])

  def test_where_runs_fit_all_they_saw_it_is_one_less_memorization(self):
    rng = np.random.default_rng(0)
    in_mask = rng.random((20, 30)) < 0.5
    correct = in_mask | (rng.random((20, 30)) < 0.6)
    memorization = [
      correct[in_mask[:, n], n].mean() - correct[~in_mask[:, n], n].mean()
      for n in range(30)
    ]

    found = ensembles.cscore(correct=correct, in_mask=in_mask)

    np.testing.assert_allclose(found, 1 - np.array(memorization))

  def test_profile_is_the_unweighted_mean_over_ratios(self):
    few = np.array([[1, 0], [0, 0]], bool)
    more = np.array([[1, 1, 1], [1, 1, 0]], bool).T

    found = ensembles.cscore_profile(
      family_correct=[few, more],
      family_in_mask=[np.zeros((2, 2), bool), np.zeros((3, 2), bool)],
    )

    # (1/2 + 1) / 2 and (0 + 2/3) / 2, though the second has more runs.
    np.testing.assert_allclose(found, [0.75, 1 / 3])

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, "bool"):
      ensembles.cscore(correct=np.ones((2, 3)), in_mask=np.ones((2, 3)))
    with self.assertRaisesRegex(ValueError, "subset ratio"):
      ensembles.cscore_profile(family_correct=[], family_in_mask=[])


class MembershipTest(absltest.TestCase):
  def test_by_hand(self):
    in_mask = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], bool)
    confidence = np.array([[5.0, 1], [3, 2], [0, 4], [2, 3]])

    found = ensembles.membership_separation(
      confidence=confidence, in_mask=in_mask
    )

    # In 4, out 1, both with the variance 2; a single run in the subset.
    np.testing.assert_allclose(found, [3 / np.sqrt(2), np.nan])

  def test_the_same_whatever_the_block(self):
    rng = np.random.default_rng(0)
    confidence, in_mask = rng.normal(size=(9, 7)), rng.random((9, 7)) < 0.5
    whole = ensembles.membership_separation(
      confidence=confidence, in_mask=in_mask
    )
    before = ensembles._EXAMPLES_AT_A_TIME
    self.addCleanup(setattr, ensembles, "_EXAMPLES_AT_A_TIME", before)
    ensembles._EXAMPLES_AT_A_TIME = 3

    parts = ensembles.membership_separation(
      confidence=confidence, in_mask=in_mask
    )

    np.testing.assert_allclose(parts, whole, rtol=1e-12)


class DisagreementTest(parameterized.TestCase):
  def test_by_hand(self):
    # Runs sure of different classes: ln 2; of the same: 0. Where one of three
    # differs: 2 of 3 pairs.
    one, other = [1.0, 0.0], [0.0, 1.0]
    two = np.array([[one, one], [other, one]])
    three = np.array([[one], [one], [other]])

    np.testing.assert_allclose(
      ensembles.ensemble_disagreement(probabilities=two), [np.log(2), 0]
    )
    np.testing.assert_allclose(
      ensembles.ensemble_disagreement(probabilities=three), [2 / 3 * np.log(2)]
    )

  @parameterized.parameters(1, 2, 3, 5, 100)
  def test_against_all_pairs_whatever_the_block(self, size):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=(3, 5))

    def kl(a, b):
      return (a * np.log(a / b)).sum(axis=-1)

    js, symmetric = [], []
    for i, j in ((0, 1), (0, 2), (1, 2)):
      middle = (p[i] + p[j]) / 2
      js.append((kl(p[i], middle) + kl(p[j], middle)) / 2)
      symmetric.append((kl(p[i], p[j]) + kl(p[j], p[i])) / 2)
    before = ensembles._EXAMPLES_AT_A_TIME
    self.addCleanup(setattr, ensembles, "_EXAMPLES_AT_A_TIME", before)
    ensembles._EXAMPLES_AT_A_TIME = size

    np.testing.assert_allclose(
      ensembles.ensemble_disagreement(probabilities=p), np.mean(js, axis=0)
    )
    np.testing.assert_allclose(
      ensembles.ensemble_disagreement(
        probabilities=p, divergence="symmetric_kl"
      ),
      np.mean(symmetric, axis=0),
    )

  def test_order_of_runs_is_nothing_and_equal_runs_agree(self):
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=(4, 6))

    found = ensembles.ensemble_disagreement(probabilities=p)

    np.testing.assert_allclose(
      found, ensembles.ensemble_disagreement(probabilities=p[::-1])
    )
    self.assertTrue((found <= np.log(2)).all())
    for divergence in ensembles.DIVERGENCES:
      np.testing.assert_allclose(
        ensembles.ensemble_disagreement(
          probabilities=np.tile(p[:1], (3, 1, 1)), divergence=divergence
        ),
        0,
        atol=1e-15,
      )

  def test_rejects(self):
    for p, message in (
      (np.ones((1, 2, 2)) / 2, "two runs"),
      (np.ones((2, 2, 2)), "sum to 1"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        ensembles.ensemble_disagreement(probabilities=p)
    with self.assertRaisesRegex(ValueError, "`divergence`"):
      ensembles.ensemble_disagreement(
        probabilities=np.ones((2, 2, 2)) / 2, divergence="l2"
      )


if __name__ == "__main__":
  absltest.main()
