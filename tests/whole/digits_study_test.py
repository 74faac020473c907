"""A trained study on digits: memorization finds the planted wrong labels."""

import json
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np

from memo_tf.analysis import ranking
from memo_tf.estimators import memorization
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from tests.support import small_study

NUM_SUBSETS = 10


class DigitsStudyTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(cls.temporary.cleanup)
    folder = pathlib.Path(cls.temporary.name) / "study"
    result = small_study.launch(
      folder, num_subsets=NUM_SUBSETS, epochs=16, warmup_epochs=1, workers=1
    )
    if result.returncode:
      raise RuntimeError(result.stderr)
    directory = directory_lib.StudyDirectory(folder)
    unit = f"{small_study.MODEL}/one_hot/r0.70"
    cls.stack = predictions.stack_runs(
      directory,
      [work_units.parse_unit(f"{unit}/{m:05d}") for m in range(NUM_SUBSETS)],
    )
    examples = predictions.read_examples(directory)
    cls.noisy = examples["is_noisy"][examples["split"] == "train"].to_numpy()
    text = (folder / "scores/summary.json").read_text()
    cls.summary = json.loads(text)[0]

  def auroc_and_mean(self, in_mask):
    scores = memorization.memorization_scores(self.stack.correct, in_mask)
    return (
      ranking.auroc(scores.memorization, self.noisy),
      np.nanmean(scores.memorization),
    )

  def test_memorization_finds_the_planted_labels(self):
    auroc, mean = self.auroc_and_mean(self.stack.in_mask)

    self.assertEqual(self.noisy.sum(), 150)
    self.assertGreater(auroc, 0.97)
    self.assertGreater(mean, 0.1)
    self.assertEqual(self.summary["planted_auroc"], auroc)

  def test_with_the_rows_of_in_mask_shuffled_it_finds_nothing(self):
    # Rotations by 1 … M - 1: each run meets a subset that it was not trained
    # on, and over all of them nothing depends on one lucky draw.
    found = np.array(
      [
        self.auroc_and_mean(np.roll(self.stack.in_mask, shift, axis=0))
        for shift in range(NUM_SUBSETS)
      ]
    )

    np.testing.assert_allclose(found[1:, 0], 0.5, atol=0.2)
    np.testing.assert_allclose(found[1:, 1], 0.0, atol=0.03)
    self.assertAlmostEqual(found[1:, 0].mean(), 0.5, delta=0.1)
    # With the true pairing counted in, every run has met every subset as often:
    # by the balance of the margins the means cancel.
    self.assertAlmostEqual(found[:, 1].mean(), 0.0, delta=1e-12)

  def test_runs_learn_their_subsets_and_generalize(self):
    self.assertGreater(self.summary["in_accuracy"], 0.97)
    self.assertGreater(self.summary["test_accuracy"], 0.8)
    self.assertAlmostEqual(
      self.summary["mean_memorization"],
      self.summary["in_accuracy"] - self.summary["out_accuracy"],
      delta=1e-12,
    )

  def test_held_out_planted_labels_are_not_guessed(self):
    # Nothing tells a model a wrong label that it never saw.
    outside = ~self.stack.in_mask[:, self.noisy]
    hits = self.stack.correct[:, self.noisy][outside]

    self.assertLess(hits.mean(), 0.1)


if __name__ == "__main__":
  absltest.main()
