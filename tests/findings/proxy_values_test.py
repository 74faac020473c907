"""What each recording run adds to a proxy of all of them together."""

from absl.testing import absltest
import numpy as np

from memo_tf import proxies
from memo_tf.findings import proxy_values

PROXY = proxies.PROXIES["ensemble_disagreement"]


def predictions(rng, runs: int, examples: int) -> np.ndarray:
  """`[R, N, C]` of runs that differ most on the later examples."""
  logits = rng.standard_normal((runs, examples, 4))
  logits *= np.linspace(0.2, 2, examples)[None, :, None]
  weights = np.exp(logits)
  return weights / weights.sum(axis=-1, keepdims=True)


class PseudoValuesTest(absltest.TestCase):
  def parts(self, found):
    given = {"probabilities": found, "labels": np.zeros(found.shape[1], int)}
    values, _ = proxies.evaluate(PROXY, given)
    return values, proxy_values._pseudo_values(PROXY, values, given)

  def test_their_mean_is_the_proxy(self):
    for runs in (3, 5):
      values, parts = self.parts(predictions(np.random.default_rng(0), runs, 9))

      self.assertLen(parts, runs)
      np.testing.assert_allclose(np.mean([v for v, _ in parts], axis=0), values)
      self.assertFalse(any(never.any() for _, never in parts))

  def test_their_spread_is_that_of_other_runs(self):
    rng, found, said = np.random.default_rng(1), [], []
    for _ in range(400):
      values, parts = self.parts(predictions(rng, 8, 30))
      found.append(values)
      own = np.stack([v for v, _ in parts])
      said.append(own.var(axis=0, ddof=1) / len(own))

    ratio = np.mean(said, axis=0) / np.var(found, axis=0, ddof=1)

    # The jackknife is a little wide for pairs; never narrow (Efron & Stein).
    self.assertBetween(ratio.mean(), 0.97, 1.35)

  def test_two_runs_and_other_proxies_have_none(self):
    _, parts = self.parts(predictions(np.random.default_rng(0), 2, 9))
    self.assertEqual(parts, ())
    given = {"probabilities": predictions(np.random.default_rng(0), 5, 9)}
    other = proxies.PROXIES["cscore"]

    self.assertEqual(proxy_values._pseudo_values(other, np.zeros(9), given), ())


if __name__ == "__main__":
  absltest.main()
