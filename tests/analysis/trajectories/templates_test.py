"""Least-squares fits by shape, against a search over a grid."""

from absl.testing import absltest
import numpy as np

from memo_tf.analysis.trajectories import templates


class TemplatesTest(absltest.TestCase):
  def test_fits_are_the_closest_of_their_shape(self):
    # Against a search over all monotone trajectories on a grid.
    grid = np.array(np.meshgrid(*[np.arange(6) / 5] * 4)).reshape(4, -1)
    rising = grid[:, (np.diff(grid, axis=0) >= 0).all(axis=0)]
    m = np.random.default_rng(0).uniform(0, 1, (4, 30))

    fit = templates.increasing(m)

    self.assertTrue((np.diff(fit, axis=0) >= -1e-12).all())
    best = np.square(m[:, :, None] - rising[:, None]).sum(axis=0).min(axis=1)
    error = np.square(m - fit).sum(axis=0)
    self.assertTrue((error <= best + 1e-12).all())
    np.testing.assert_allclose(fit.mean(axis=0), m.mean(axis=0))
    # 0.5 above 0.1 pools to 0.3.
    by_hand = templates.increasing(np.array([[0.5], [0.1], [0.9]]))
    np.testing.assert_allclose(by_hand[:, 0], [0.3, 0.3, 0.9])

  def test_two_arms(self):
    m = np.array([[0.1, 0.9, 0.2, 0.7]]).T

    np.testing.assert_allclose(templates.cap(m)[:, 0], [0.1, 0.9, 0.45, 0.45])
    np.testing.assert_allclose(templates.two_turns(m), m)


if __name__ == "__main__":
  absltest.main()
