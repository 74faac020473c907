"""Out-of-sample probabilities as cleanlab takes them."""

from absl.testing import absltest
import numpy as np

from memo_tf import interchange


class CleanlabTest(absltest.TestCase):
  def study(self):
    rng = np.random.default_rng(2)
    clean = np.repeat(np.arange(3), 40)
    labels = clean.copy()
    labels[::15] = (labels[::15] + 1) % 3
    masks = rng.random((20, 120)) < 0.7
    logits = rng.standard_normal((20, 120, 3)) + 5 * np.eye(3)[clean]
    return logits, masks, labels

  def test_mean_of_held_out_runs(self):
    logits, masks, labels = self.study()

    given, probabilities = interchange.cleanlab_arrays(logits, masks, labels)

    np.testing.assert_array_equal(given, labels)
    for n in (0, 7, 119):
      odds = [np.exp(logits[m, n]) for m in range(20) if not masks[m, n]]
      mean = np.mean([o / o.sum() for o in odds], axis=0)
      np.testing.assert_allclose(probabilities[n], mean, atol=1e-12)

  def test_cleanlab_takes_them(self):
    try:
      from cleanlab import filter as cleanlab_filter
    except ImportError:
      self.skipTest("cleanlab is not installed")
    logits, masks, labels = self.study()

    issues = cleanlab_filter.find_label_issues(
      *interchange.cleanlab_arrays(logits, masks, labels)
    )

    np.testing.assert_array_equal(np.flatnonzero(issues), np.arange(0, 120, 15))

  def test_never_held_out_is_refused(self):
    logits, masks, labels = self.study()
    masks[:, 3] = True

    with self.assertRaisesRegex(ValueError, "held out.*first 3"):
      interchange.cleanlab_arrays(logits, masks, labels)


if __name__ == "__main__":
  absltest.main()
