"""Contracts of every entry of the table of proxies, and their signs."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf import proxies


def planted_records(rng, num_examples=400, share=0.1):
  """Simulated records of clustered examples, some of them labelled wrongly.

  A wrongly labelled example is learned late and from held-out models never:
  what is known of such examples, not an outcome of any training.
  """
  classes = 4
  clean = rng.integers(classes, size=num_examples)
  wrong = rng.random(num_examples) < share
  labels = np.where(wrong, (clean + 1) % classes, clean)
  epochs = 20
  when = np.where(wrong, 14, 4) + rng.integers(-3, 4, num_examples)
  progress = np.arange(1, epochs + 1)[:, None] - when
  p = 1 / (1 + np.exp(-0.6 * progress + 0.3 * rng.normal(size=progress.shape)))
  p = np.clip(p, 1e-4, 1 - 1e-4)
  dynamics = {
    "label_prob": p,
    # What is not the label's is the clean class's, or spread.
    "max_prob": np.where(wrong, np.maximum(p, 0.8 * (1 - p)), 0.5 + p / 2),
    "entropy": -p * np.log(p) - (1 - p) * np.log1p(-p) + 0.2 * wrong,
    "loss": -np.log(p),
    "margin": np.log(p / (1 - p)),
    "el2n": np.sqrt(2) * (1 - p),
    "correct": p > 0.5,
  }
  records = dict(dynamics)
  for name, values in dynamics.items():
    values = values.astype(np.float64)
    values[rng.random(values.shape) < 0.1] = np.nan
    records[f"batch_{name}"] = values
  # Every other epoch of a wrong label's first good one is bad again.
  records["batch_correct"][14:18:2, wrong] = 1
  records["batch_correct"][15:18:2, wrong] = 0
  checkpoints = slice(3, None, 4)
  noise = np.exp(0.2 * rng.normal(size=p[checkpoints].shape))
  harder = np.where(wrong, 2.0, 1.0) * noise
  in_mask = rng.random((30, num_examples)) < 0.7
  held_out = np.where(wrong, 0.05, 0.9)
  right = in_mask | (rng.random(in_mask.shape) < held_out)
  centre = rng.normal(size=(classes, 8)) * 4
  shallow = centre[clean] + rng.normal(size=(num_examples, 8))
  deep = np.eye(classes)[labels] + 0.01 * rng.normal(
    size=(num_examples, classes)
  )
  second = (np.arange(1, 6)[:, None] < np.where(wrong, 2, 4)).astype(float)
  second[:, ::2] = np.nan
  spread = np.where(wrong, 0.5, 0.05)[:, None]
  guess = np.eye(classes)[clean] * (1 - spread) + spread / classes
  runs = np.stack([guess, guess, np.roll(guess, 1, axis=1)])
  runs[2] = (1 - spread) * guess + spread * runs[2]
  return wrong, records | {
    "epochs": np.arange(1, epochs + 1),
    "checkpoint_epochs": np.arange(1, epochs + 1)[checkpoints],
    "learning_rate": np.full(5, 0.1),
    "grand": harder,
    "grand_last": harder * noise,
    "vog": harder.mean(axis=0),
    "loss_sensitivity": harder,
    "curvature": harder,
    "representations": [shallow, shallow, deep],
    "predicted": labels,
    "labels": labels,
    "subset_correct": right,
    "subset_label_prob": np.clip(right - 0.1, 0.05, 1),
    "in_mask": in_mask,
    "family_correct": [right, right],
    "family_in_mask": [in_mask, in_mask],
    "probabilities": runs / runs.sum(axis=-1, keepdims=True),
    "second_correct": second,
  }


def auroc(score, positive):
  """Probability that a positive is above a negative, by all pairs."""
  known = ~np.isnan(score)
  high, low = score[known & positive], score[known & ~positive]
  above = (high[:, None] > low).mean() + 0.5 * (high[:, None] == low).mean()
  return above


def select(records, proxy, order):
  """Records of the examples in another order."""
  found = {}
  for name in proxy.needs:
    value = records[name]
    if name == "representations":
      value = [layer[order] for layer in value]
    elif name.startswith("family_"):
      value = [one[:, order] for one in value]
    elif name == "probabilities":
      value = value[:, order]
    elif name in ("labels", "predicted", "vog"):
      value = value[order]
    elif name not in ("epochs", "checkpoint_epochs", "learning_rate"):
      value = value[:, order]
    found[name] = value
  return found


class EveryProxyTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.wrong, cls.records = planted_records(np.random.default_rng(0))

  def evaluate(self, name, records=None, **settings):
    proxy = proxies.PROXIES[name]
    return proxies.evaluate(proxy, records or self.records, **settings)

  def test_names_and_records_are_defined(self):
    for name, proxy in proxies.PROXIES.items():
      self.assertEqual(name, proxy.name)
      self.assertNotEmpty(proxy.needs)
      self.assertContainsSubset(proxy.needs, proxies.RECORDS)
      self.assertIn(proxy.sign, (1, -1, None))
    self.assertCountEqual(self.records, proxies.RECORDS)

  @parameterized.parameters(*proxies.PROXIES)
  def test_a_value_an_example(self, name):
    values, never = self.evaluate(name)

    self.assertEqual(values.shape, self.wrong.shape)
    self.assertEqual(values.dtype, np.float64)
    self.assertTrue(np.isnan(values[never]).all())

  @parameterized.parameters(*proxies.PROXIES)
  def test_relabelling_the_examples_permutes_the_values(self, name):
    order = np.random.default_rng(1).permutation(len(self.wrong))
    records = select(self.records, proxies.PROXIES[name], order)

    values, never = self.evaluate(name)
    moved, moved_never = self.evaluate(name, records)

    np.testing.assert_allclose(moved, values[order], rtol=1e-12)
    np.testing.assert_array_equal(moved_never, never[order])

  @parameterized.parameters(
    *(n for n, p in proxies.PROXIES.items() if p.sign is not None)
  )
  def test_the_sign_finds_planted_wrong_labels(self, name):
    values, never = self.evaluate(name)

    score = proxies.oriented(
      proxies.PROXIES[name], proxies.with_never(values, never)
    )

    self.assertGreater(auroc(score, self.wrong), 0.75)

  def test_a_random_score_finds_none(self):
    score = np.random.default_rng(2).random(len(self.wrong))

    self.assertBetween(auroc(score, self.wrong), 0.35, 0.65)

  def test_an_unsigned_proxy_is_not_turned(self):
    with self.assertRaisesRegex(ValueError, "unsigned"):
      proxies.oriented(proxies.PROXIES["cartography_variability"], np.ones(2))

  @parameterized.parameters(
    *(
      n
      for n in proxies.PROXIES
      if not {"representations", "vog"} & set(proxies.PROXIES[n].needs)
    )
  )
  def test_one_example_alone_has_the_same_value(self, name):
    proxy = proxies.PROXIES[name]
    values, never = self.evaluate(name)

    alone, alone_never = self.evaluate(name, select(self.records, proxy, [7]))

    np.testing.assert_allclose(alone, values[[7]], rtol=1e-12)
    np.testing.assert_array_equal(alone_never, never[[7]])


if __name__ == "__main__":
  absltest.main()
