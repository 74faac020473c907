"""Shares of shape classes with the noise taken out."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.trajectories import shares as shares_lib
from tests.support import beta_trajectories


def simulate(**options):
  settings = {"num_examples": 600, "num_subsets": 100, "seed": 0}
  return beta_trajectories.simulate_study(**(settings | options))


class SharesTest(parameterized.TestCase):
  @parameterized.parameters((100, 5), (400, 3))
  def test_intervals_hold_the_true_shares(self, num_subsets, num_sizes):
    # benchmarks/trajectories.py has the coverage over many studies.
    study = simulate(
      num_sizes=num_sizes,
      num_subsets=num_subsets,
      beta=(1.0, 1.0),
      seed=num_sizes,
      num_examples=400,
    )

    shares = shares_lib.shape_shares(
      study.correct, study.in_mask, block=study.block, num_simulated=4
    )

    self.assertAlmostEqual(sum(s.share for s in shares), 1, delta=1e-6)
    for share in shares:
      true = (study.shape_class == share.shape_class).mean()
      slack = share.standard_error  # five standard errors' interval, not two
      self.assertBetween(
        true,
        share.ci_low - slack,
        share.ci_high + slack,
        f"{share.shape_class}: {share}",
      )
    constant = shares[0]
    self.assertLess(constant.standard_error, 0.08)
    if num_subsets == 100:
      self.assertGreater(
        abs(constant.measured - 0.4), 1.5 * abs(constant.share - 0.4)
      )

  def test_standard_errors_by_hand(self):
    # In: 2 of 2 and 1 of 2 right; out: 0 of 2 and 1 of 2.
    in_mask = np.array([[1], [1], [0], [0]], bool)
    correct = np.array([[[1], [1], [0], [0]], [[1], [0], [1], [0]]], bool)

    found = shares_lib.evidence(correct, in_mask)

    np.testing.assert_allclose(found.memorization[:, 0], [1, 0])
    # (2.5/3)(0.5/3)/2 twice; (1.5/3)(1.5/3)/2 twice.
    np.testing.assert_allclose(
      np.square(found.standard_error[:, 0]), [1.25 / 9, 0.25]
    )
    np.testing.assert_array_equal(np.diag(found.correlation), 1)

  def test_never_held_out_is_left_out(self):
    study = simulate(num_sizes=2, shares={"constant": 1.0}, num_subsets=20)
    in_mask = np.ones_like(study.in_mask)

    shares = shares_lib.shape_shares(study.correct, in_mask, num_simulated=4)

    self.assertTrue(all(np.isnan(s.share) for s in shares))

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, r"\[S, M, N\]"):
      shares_lib.evidence(np.zeros((2, 3), bool), np.ones((2, 3), bool))
    with self.assertRaisesRegex(ValueError, "num_simulated"):
      shares_lib.shape_shares(
        np.zeros((2, 2, 3), bool), np.ones((2, 3), bool), num_simulated=1
      )


if __name__ == "__main__":
  absltest.main()
