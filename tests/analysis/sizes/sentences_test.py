"""Sentences about a study over sizes agree with its tables."""

from absl.testing import absltest
import numpy as np

from memo_tf.analysis.sizes import distribution
from memo_tf.analysis.sizes import sentences
from memo_tf.analysis.sizes import trends as trends_lib
from memo_tf.analysis.trajectories import shares as shares_lib
from memo_tf.estimators import resampling
from tests.support import beta_trajectories


def simulate(**options):
  settings = {
    "num_sizes": 3,
    "num_examples": 300,
    "num_subsets": 100,
    "seed": 0,
  }
  return beta_trajectories.simulate_study(**(settings | options))


class FindingsTest(absltest.TestCase):
  def findings(self, **options):
    study = simulate(**options)
    bootstrap = resampling.paired_bootstrap(100, block=10, num_resamples=60)
    shares = shares_lib.shape_shares(
      study.correct, study.in_mask, block=10, num_simulated=4
    )
    trends = trends_lib.mean_trends(study.correct, study.in_mask, bootstrap)
    modes, _ = distribution.bimodality(study.correct, study.in_mask, bootstrap)
    found = sentences.findings(["a", "b", "c"], *trends, modes, shares)
    evidence = shares_lib.evidence(study.correct, study.in_mask)
    carried = sentences.what_the_runs_carry(
      evidence.memorization,
      shares_lib.flat_standard_error(study.correct, study.in_mask),
      evidence.correlation,
      0.2,
      shares,
    )
    return found, carried

  def test_saturated_in_accuracy_may_still_change(self):
    study = simulate(shares={"constant": 1.0}, beta=(1.0, 1.0))
    bootstrap = resampling.paired_bootstrap(100, block=10, num_resamples=20)
    by_size, changes = trends_lib.mean_trends(
      study.correct, study.in_mask, bootstrap
    )
    modes, _ = distribution.bimodality(study.correct, study.in_mask, bootstrap)
    by_size["saturated"] = True
    for low, high, words in (
      (-0.009, -0.003, "saturated at both, and yet changes."),
      (-0.009, 0.001, "this is held-out accuracy alone."),
    ):
      changes["in_accuracy_low"], changes["in_accuracy_high"] = low, high

      found = sentences.findings(["a", "b", "c"], by_size, changes, modes, [])

      self.assertIn(words, found[0].text)

  def test_a_fall_is_told_and_sized(self):
    found, carried = self.findings(
      shares={"decreasing": 0.7, "constant": 0.3}, beta=(1.0, 1.0)
    )

    self.assertEqual(found[2].answer, "no")
    self.assertRegex(
      found[2].text, r"Mean memorization falls from a to c: -0\.\d{4} \[-0"
    )
    self.assertEqual(found[-1].answer, "yes")
    self.assertIn("most are decreasing", found[-1].text)
    self.assertGreater(carried["ambiguous"], 0.3)

  def test_no_change_is_not_called_one(self):
    found, carried = self.findings(
      shares={"constant": 1.0}, beta=(20.0, 20.0), seed=3
    )

    self.assertEqual(found[2].answer, "open")
    self.assertIn("is not shown to change", found[2].text)
    text = sentences.noise_statement(carried, 100, 0.2)
    # sqrt(0.25 / 30) = 0.091, and of a difference 0.129.
    self.assertRegex(text, r"standard error of 0\.09\d")
    self.assertRegex(text, r"two sizes has one of 0\.1[23]\d")
    self.assertIn("is no evidence", text)
    self.assertGreater(carried["false_changes_ambiguous"], 0.2)

  def test_with_many_runs_few_classes_are_noise(self):
    carried = {
      "ambiguous": 0.1,
      "typical_error": 0.02,
      "difference_error": 0.03,
      "false_changes": 0.001,
      "false_changes_ambiguous": 0.01,
      "measured_constant": 0.5,
      "constant": 0.5,
    }

    text = sentences.noise_statement(carried, 4000, 0.2)

    self.assertIn("few of the classes by the plain rule are noise", text)

  def test_single_images_are_named_or_none_is(self):
    none = np.zeros(0, int)
    named = {"rises": none, "falls": none, "departs": none}

    self.assertIn(
      "With 40 runs per size no single image can be named",
      sentences.named_statement(named, 40, 3),
    )
    named |= {"falls": np.arange(3), "departs": np.arange(2)}
    text = sentences.named_statement(named, 40, 3)
    self.assertIn("for 0 and falls for 3; 2 more depart", text)
    self.assertNotIn("depart", sentences.named_statement(named, 40, 2))


if __name__ == "__main__":
  absltest.main()
