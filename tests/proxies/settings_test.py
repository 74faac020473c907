"""Settings of proxies' formulas."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf import proxies


class SettingsTest(parameterized.TestCase):
  def test_each_is_a_keyword_of_its_function_and_changes_its_values(self):
    texts = {
      "cartography_variability.finite_sample": "true",
      "difficulty_uncertainty.window": "3",
      "dynamic_uncertainty.window": "3",
      "el2n.at": "none",
      "ensemble_disagreement.divergence": "symmetric_kl",
      "grand.at": "1",
      "grand_last_layer.at": "1",
      "holdout_retraining.at": "none",
      "temporal_dual_depth.decay": "0.5",
      "temporal_dual_depth.window": "4",
      "variance_of_gradients.class_standardized": "true",
    }
    self.assertEqual(
      set(texts), {f"{p}.{k}" for p, k in proxies.settings.SETTINGS}
    )
    found = proxies.settings.parse(f"{p}={v}" for p, v in texts.items())
    rng = np.random.default_rng(0)
    given = {
      "batch_label_prob": rng.random((12, 7)),
      "batch_loss": rng.random((12, 7)),
      "second_divergence": rng.random((5, 7)),
      "el2n": rng.random((5, 7)),
      "epochs": np.arange(1, 6),
      "grand": rng.random((5, 7)),
      "grand_last": rng.random((5, 7)),
      "checkpoint_epochs": np.arange(1, 6),
      "vog": rng.random(7),
      "labels": np.arange(7) % 2,
      "probabilities": rng.dirichlet(np.ones(3), (4, 7)),
    }
    for name, keywords in found.items():
      plain = proxies.PROXIES[name]
      other = plain.with_settings(**keywords)

      values, _ = proxies.evaluate(other, given)

      self.assertEqual(other.needs, plain.needs)
      self.assertFalse(
        np.allclose(values, proxies.evaluate(plain, given)[0]), name
      )

  @parameterized.parameters(
    ("el2n.at=2", r"el2n.at must be in \(0, 1\], or none. Received: '2'"),
    ("el2n.at=early", r"el2n.at must be in \(0, 1\]"),
    ("el2n.when=0.1", "must be PROXY.SETTING=VALUE, of: cartography_"),
    ("el2n.at", "must be PROXY.SETTING=VALUE"),
    ("cartography_variability.finite_sample=yes", "must be true or false"),
    ("ensemble_disagreement.divergence=l2", "must be of: jensen_shannon, "),
    ("dynamic_uncertainty.window=1", "must be a whole number of epochs, at le"),
    ("temporal_dual_depth.window=2", "must be a whole number of .* least 3"),
    ("temporal_dual_depth.decay=1", "must be between 0 and 1"),
  )
  def test_what_is_not_there_is_refused(self, text, message):
    with self.assertRaisesRegex(ValueError, message):
      proxies.settings.parse([text])


if __name__ == "__main__":
  absltest.main()
