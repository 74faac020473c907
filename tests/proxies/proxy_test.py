"""Sources of a proxy's dynamics, and averages over recording runs."""

from absl.testing import absltest
import numpy as np

from memo_tf import proxies


class SourcesTest(absltest.TestCase):
  def test_a_source_changes_the_record_alone(self):
    proxy = proxies.PROXIES["area_under_margin"]

    clean = proxy.from_source("clean")

    self.assertEqual(proxy.needs, ("batch_margin",))
    self.assertEqual(clean.needs, ("margin",))
    self.assertEqual(clean.from_source("batch"), proxy)
    margin = np.array([[1.0, -1.0], [3.0, -2.0]])
    np.testing.assert_array_equal(clean.compute(margin=margin), [2, -1.5])

  def test_epochs_have_no_source(self):
    proxy = proxies.PROXIES["first_learned"].from_source("batch")

    self.assertEqual(proxy.needs, ("batch_correct", "epochs"))

  def test_rejects_a_source_that_is_not_there(self):
    with self.assertRaisesRegex(ValueError, "dynamics"):
      proxies.PROXIES["curvature"].from_source("batch")
    with self.assertRaisesRegex(ValueError, "clean"):
      proxies.PROXIES["el2n"].from_source("noisy")


class RunsTest(absltest.TestCase):
  def test_average_of_runs_that_miss_some(self):
    nan = np.nan
    one = np.array([1.0, nan, nan, nan]), np.array([False, True, False, True])
    two = np.array([3.0, 4.0, nan, nan]), np.array([False, False, False, True])

    values, never = proxies.average([one, two])

    # Learned in both; in the second; recorded in none; never in both.
    np.testing.assert_array_equal(values, [2, 4, nan, nan])
    np.testing.assert_array_equal(never, [0, 0.5, 0, 1])
    # Never as 10: the second's mean is (10 + 4) / 2.
    np.testing.assert_array_equal(
      proxies.with_never(values, never, 10), [2, 7, nan, 10]
    )
    # One more than the largest value, 4, unless told.
    np.testing.assert_array_equal(
      proxies.with_never(values, never), [2, 4.5, nan, 5]
    )

  def test_no_runs(self):
    with self.assertRaisesRegex(ValueError, "one recording run"):
      proxies.average([])

  def test_a_missing_record_is_named(self):
    with self.assertRaisesRegex(ValueError, "Missing: in_mask"):
      proxies.evaluate(
        proxies.PROXIES["cscore"], {"subset_correct": np.ones((1, 1))}
      )

  def test_a_wrong_return_is_refused(self):
    for found in (
      np.ones(3, np.float32),
      np.ones((3, 1)),
      (np.ones(3), np.array([True, False, False])),
    ):
      proxy = proxies.Proxy(
        name="own",
        needs=("loss",),
        sign=1,
        paper="",
        function=lambda *, loss, found=found: found,
      )
      with self.assertRaisesRegex(ValueError, "Proxy own must return"):
        proxies.evaluate(proxy, {"loss": np.ones((1, 3))})


if __name__ == "__main__":
  absltest.main()
