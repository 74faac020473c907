"""Noise of trajectories: usable correlations of errors."""

from absl.testing import absltest
import numpy as np

from memo_tf.analysis.trajectories import noise as noise_lib


class PositiveDefiniteTest(absltest.TestCase):
  def test_correlations_are_made_usable(self):
    fixed = noise_lib.positive_definite(np.ones((3, 3)))

    np.testing.assert_allclose(np.diag(fixed), 1)
    self.assertGreater(np.linalg.eigvalsh(fixed).min(), 0.005)


if __name__ == "__main__":
  absltest.main()
