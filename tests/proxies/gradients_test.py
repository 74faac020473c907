"""Proxies from gradients by the weights, against finite differences."""

from absl.testing import absltest
import numpy as np

from memo_tf.proxies import gradients


def softmax(logits):
  e = np.exp(logits - logits.max(axis=-1, keepdims=True))
  return e / e.sum(axis=-1, keepdims=True)


class WeightGradientsTest(absltest.TestCase):
  def test_one_early_checkpoint_or_the_mean(self):
    norms = np.array([[3.0, 1.0], [1.0, 2.0], [5.0, 0.0]])
    epochs = np.array([2, 10, 20])

    # A tenth of 20 is 2.
    for function, name in (
      (gradients.grand, "grand"),
      (gradients.grand_last_layer, "grand_last"),
    ):
      records = {name: norms, "checkpoint_epochs": epochs}
      np.testing.assert_array_equal(function(**records), [3, 1])
      np.testing.assert_array_equal(function(**records, at=0.5), [1, 2])
      np.testing.assert_array_equal(function(**records, at=None), [3, 1])

  def test_self_influence(self):
    norms = np.array([[3.0, 1.0], [1.0, 2.0]])

    # 0.1 * 9 + 0.5 * 1 and 0.1 * 1 + 0.5 * 4.
    np.testing.assert_allclose(
      gradients.tracin_self(grand=norms, learning_rate=[0.1, 0.5]), [1.4, 2.1]
    )
    with self.assertRaisesRegex(ValueError, "`learning_rate`"):
      gradients.tracin_self(grand=norms, learning_rate=[0.1])

  def test_last_layer_against_finite_differences(self):
    rng = np.random.default_rng(0)
    weights, bias = rng.normal(size=(3, 4)), rng.normal(size=4)
    features, labels = rng.normal(size=(5, 3)), np.array([0, 1, 2, 3, 3])

    def loss(flat, h, label):
      logits = h @ flat[:12].reshape(3, 4) + flat[12:]
      return -np.log(softmax(logits)[label])

    flat = np.concatenate([weights.ravel(), bias])
    steps = 1e-6 * np.eye(16)
    expected = [
      np.linalg.norm(
        [(loss(flat + s, h, y) - loss(flat - s, h, y)) / 2e-6 for s in steps]
      )
      for h, y in zip(features, labels)
    ]

    found = gradients.last_layer_gradient_norm(
      softmax(features @ weights + bias), labels, features
    )

    np.testing.assert_allclose(found, expected, rtol=1e-7)


if __name__ == "__main__":
  absltest.main()
