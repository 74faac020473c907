"""Contracts of every entry of the table of proxies."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf import proxies
from tests.support import numpy_study


def select(outputs, proxy, order):
  """Run outputs of the examples in another order."""
  found = {}
  for name in proxy.needs:
    value = outputs[name]
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
    cls.outputs = dict(numpy_study.train().outputs)
    # Not every example is presented in every epoch.
    missing = np.random.default_rng(0).random(cls.outputs["loss"].shape) < 0.1
    for name, values in cls.outputs.items():
      if name.startswith("batch_"):
        cls.outputs[name] = np.where(missing, np.nan, values)

  def evaluate(self, name, outputs=None, **settings):
    proxy = proxies.PROXIES[name]
    return proxies.evaluate(proxy, outputs or self.outputs, **settings)

  def test_names_and_run_outputs_are_defined(self):
    for name, proxy in proxies.PROXIES.items():
      self.assertEqual(name, proxy.name)
      self.assertNotEmpty(proxy.needs)
      self.assertContainsSubset(proxy.needs, proxies.RUN_OUTPUTS)
      self.assertIn(proxy.sign, (1, -1, None))
    self.assertCountEqual(self.outputs, proxies.RUN_OUTPUTS)

  @parameterized.parameters(*proxies.PROXIES)
  def test_a_value_an_example(self, name):
    values, never = self.evaluate(name)

    self.assertEqual(values.shape, self.outputs["labels"].shape)
    self.assertEqual(values.dtype, np.float64)
    self.assertTrue(np.isnan(values[never]).all())

  @parameterized.parameters(*proxies.PROXIES)
  def test_relabelling_the_examples_permutes_the_values(self, name):
    order = np.random.default_rng(1).permutation(len(self.outputs["labels"]))
    outputs = select(self.outputs, proxies.PROXIES[name], order)

    values, never = self.evaluate(name)
    moved, moved_never = self.evaluate(name, outputs)

    np.testing.assert_allclose(moved, values[order], rtol=1e-12)
    np.testing.assert_array_equal(moved_never, never[order])

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

    alone, alone_never = self.evaluate(name, select(self.outputs, proxy, [7]))

    np.testing.assert_allclose(alone, values[[7]], rtol=1e-12)
    np.testing.assert_array_equal(alone_never, never[[7]])


if __name__ == "__main__":
  absltest.main()
