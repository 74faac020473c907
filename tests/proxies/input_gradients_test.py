"""Proxies from gradients by the image, against finite differences."""

from absl.testing import absltest
import numpy as np

from memo_tf.proxies import input_gradients


def softmax(logits):
  e = np.exp(logits - logits.max(axis=-1, keepdims=True))
  return e / e.sum(axis=-1, keepdims=True)


class VarianceOfGradientsTest(absltest.TestCase):
  def test_by_hand(self):
    # Pixel 0 goes 0, 2 and pixel 1 stays: deviations 1 and 0.
    found = input_gradients.vog_from_gradients(
      np.array([[[0.0, 5.0]], [[2.0, 5.0]]])
    )
    self.assertEqual(found, [0.5])

  def test_variants(self):
    moved = np.array([[[0.0, 5.0]], [[4.0, 5.0]]])

    # Deviations 2 and 0; variances 4 and 0; sample variances 8 and 0.
    for options, expected in (
      ({"squared": True}, 2),
      ({"sample": True}, np.sqrt(8) / 2),
      ({"sample": True, "squared": True}, 4),
    ):
      np.testing.assert_allclose(
        input_gradients.vog_from_gradients(moved, **options), [expected]
      )

  def test_a_model_that_does_not_move_and_scale(self):
    same = np.tile(np.random.default_rng(0).normal(size=(1, 6, 4)), (5, 1, 1))
    other = np.random.default_rng(1).normal(size=(5, 6, 4))

    np.testing.assert_array_equal(input_gradients.vog_from_gradients(same), 0)
    np.testing.assert_allclose(
      input_gradients.vog_from_gradients(3 * other),
      3 * input_gradients.vog_from_gradients(other),
    )

  def test_z_scores_in_classes(self):
    values = np.array([1.0, 3.0, 5.0, 7.0, 7.0])
    labels = np.array([0, 0, 0, 1, 1])

    found = input_gradients.vog(
      vog=values, labels=labels, class_standardized=True
    )

    # Mean 3, deviation sqrt(8 / 3); a class that does not vary is 0.
    unit = np.sqrt(1.5)
    np.testing.assert_allclose(found, [-unit, 0, unit, 0, 0])
    np.testing.assert_array_equal(
      input_gradients.vog(vog=values, labels=labels), values
    )
    with self.assertRaisesRegex(ValueError, "`labels`"):
      input_gradients.vog(vog=values, class_standardized=True)


class LossSensitivityTest(absltest.TestCase):
  def test_norms_and_mean(self):
    g = np.array([[3.0, -4.0], [0.0, 0.0]])

    np.testing.assert_array_equal(
      input_gradients.loss_sensitivity_from_gradients(g), [5, 0]
    )
    np.testing.assert_array_equal(
      input_gradients.loss_sensitivity_from_gradients(g, norm=1), [7, 0]
    )
    np.testing.assert_array_equal(
      input_gradients.loss_sensitivity(loss_sensitivity=g), [1.5, -2]
    )
    with self.assertRaisesRegex(ValueError, "`norm`"):
      input_gradients.loss_sensitivity_from_gradients(g, norm=3)


class CurvatureTest(absltest.TestCase):
  def test_squared_loss_of_a_linear_model_is_exact(self):
    # Loss (w.x - t)^2 has the Hessian H = 2 w w^T: ||H v|| = 2 |w.v| ||w||, and
    # over random signs the mean of its square is Tr(H^2) = 4 ||w||^4.
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=3), rng.normal(size=(2, 3))
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    h = 1e-3

    def gradient(x):
      return 2 * (x @ w - 1)[..., None] * w

    moved = gradient(x + h * signs[:, None, :])
    expected = np.mean(2 * np.abs(signs @ w) * np.linalg.norm(w))

    np.testing.assert_allclose(
      input_gradients.curvature_from_gradients(gradient(x), moved, step=h),
      expected,
    )
    np.testing.assert_allclose(
      input_gradients.curvature_from_gradients(gradient(x), moved),
      h * expected,
    )
    np.testing.assert_allclose(
      input_gradients.curvature_from_gradients(
        gradient(x), moved, step=h, squared=True
      ),
      4 * (w @ w) ** 2,
    )

  def test_softmax_of_a_linear_model(self):
    # The Hessian by the input is W (diag p - p p^T) W^T.
    rng = np.random.default_rng(1)
    weights, x = rng.normal(size=(4, 3)), rng.normal(size=(5, 4))
    labels = np.array([0, 1, 2, 0, 1])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    h = 1e-4

    def gradient(x):
      return (softmax(x @ weights) - np.eye(3)[labels]) @ weights.T

    p = softmax(x @ weights)
    expected = []
    for row in p:
      hessian = weights @ (np.diag(row) - np.outer(row, row)) @ weights.T
      expected.append(np.trace(hessian @ hessian))

    found = input_gradients.curvature_from_gradients(
      gradient(x),
      np.stack([gradient(x + h * v) for v in signs]),
      step=h,
      squared=True,
    )

    np.testing.assert_allclose(found, expected, rtol=1e-2)

  def test_a_constant_model_has_none_and_checkpoints_are_averaged(self):
    zero = np.zeros((2, 3))

    np.testing.assert_array_equal(
      input_gradients.curvature_from_gradients(zero, np.zeros((4, 2, 3))), 0
    )
    np.testing.assert_array_equal(
      input_gradients.curvature(curvature=[[1.0, 2.0], [3.0, 2.0]]), [2, 2]
    )
    with self.assertRaisesRegex(ValueError, "`perturbed`"):
      input_gradients.curvature_from_gradients(zero, zero)


if __name__ == "__main__":
  absltest.main()
