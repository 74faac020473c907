"""A study of given predictions is a study like any other."""

import json
import pathlib
import subprocess
import sys

from absl.testing import absltest
import numpy as np
import pandas as pd

import memo_tf
from memo_tf import export
from memo_tf.estimators import memorization
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.store import checkup
from memo_tf.store import directory as directory_lib
from memo_tf.store import merging
from memo_tf.store import opening
from memo_tf.store import predictions
from memo_tf.store import survey
from tests.support import predictions_elsewhere
from tests.support import small_study

# As a program's own text: nothing here may need TensorFlow.
WITHOUT_TENSORFLOW = """
import sys
class Blocked:
  def find_spec(self, name, path=None, target=None):
    if name.split(".")[0] in ("tensorflow", "keras", "tf_keras"):
      raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Blocked())
import memo_tf
from tests.support import predictions_elsewhere
study = memo_tf.study_from_predictions(
  directory=sys.argv[1], **predictions_elsewhere.values()
)
print(len(study.scores()), study.report().exists())
"""


class ElsewhereTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.create_tempdir().full_path) / "study"
    self.values = predictions_elsewhere.values()

  def make(self, values=None, root=None, **more):
    return memo_tf.study_from_predictions(
      directory=root or self.root,
      progress=False,
      **(self.values if values is None else values),
      **more,
    )

  def without_tests(self, **more) -> dict:
    kept = {k: v for k, v in self.values.items() if "test" not in k}
    return {**kept, "logits": None, **more}

  def test_scores_are_those_of_the_estimator(self):
    study = self.make()

    found = study.scores()
    expected = memorization.memorization_scores(
      predictions_elsewhere.correct(self.values), self.values["in_mask"]
    )
    np.testing.assert_array_equal(found["memorization"], expected.memorization)
    np.testing.assert_array_equal(found["ci_high"], expected.ci_high)
    self.assertGreater(found["memorization"].mean(), 0.2)
    self.assertEqual(study.config.subsets.subset_scheme, "balanced")

  def test_all_that_was_given_is_kept(self):
    self.make()

    directory = directory_lib.StudyDirectory(self.root)
    config = opening.recorded_config(directory)
    plan = plan_lib.Plan.of(config)
    stack = predictions.stack_runs(directory, plan.units)
    logits = self.values["logits"].astype(np.float64)
    own = np.take_along_axis(
      logits, self.values["labels"][None, :, None], axis=2
    )[..., 0]
    np.testing.assert_allclose(
      stack.label_prob,
      np.exp(own) / np.exp(logits).sum(axis=2),
      rtol=1e-6,
    )
    np.testing.assert_array_equal(
      stack.test_predicted, self.values["test_logits"].argmax(axis=2)
    )
    images = np.load(directory.dataset_dir / "images.npy")
    np.testing.assert_array_equal(images[:30, ..., 0], self.values["images"])
    self.assertLen(survey.survey(directory, plan).done, len(plan.units))
    self.assertEmpty(list(checkup.findings(directory, plan)))
    self.assertNotIn("--epochs", directory.flags_path.read_text())

  def test_the_three_kinds_give_the_same_scores(self):
    scores = {}
    logits, labels = self.values["logits"], self.values["labels"]
    own = np.take_along_axis(logits, labels[None, :, None], axis=2)[..., 0]
    others = logits.copy()
    np.put_along_axis(others, labels[None, :, None], -np.inf, axis=2)
    for name, value in (
      ("logits", logits),
      ("margin", own - others.max(axis=2)),
      ("correct", predictions_elsewhere.correct(self.values)),
    ):
      study = self.make(
        self.without_tests(**{name: value}), self.root.with_name(name)
      )
      scores[name] = study.scores()["memorization"].to_numpy()

    np.testing.assert_array_equal(scores["logits"], scores["margin"])
    np.testing.assert_array_equal(scores["logits"], scores["correct"])

  def test_influence_needs_correctness_alone(self):
    logits, test_logits = self.values["logits"], self.values["test_logits"]
    study = self.make(min_influence=0.0, min_memorization=-1.0)
    kept = {k: v for k, v in self.values.items() if "logits" not in k}
    kept["correct"] = logits.argmax(axis=2) == kept["labels"]
    kept["test_correct"] = test_logits.argmax(axis=2) == kept["test_labels"]

    other = self.make(
      kept,
      self.root.with_name("correct"),
      min_influence=0.0,
      min_memorization=-1.0,
    )

    pd.testing.assert_frame_equal(
      other.influence()[["train_id", "test_id", "influence", "q_value"]],
      study.influence()[["train_id", "test_id", "influence", "q_value"]],
    )
    self.assertGreater(len(study.influence()), 10)

  def test_without_images_and_test_examples(self):
    correct = predictions_elsewhere.correct(self.values)
    values = {
      "correct": correct,
      "in_mask": self.values["in_mask"],
      "labels": self.values["labels"],
    }

    study = self.make(values)

    directory = directory_lib.StudyDirectory(self.root)
    plan = plan_lib.Plan.of(study.config)
    self.assertEmpty(list(checkup.findings(directory, plan)))
    self.assertEqual(study.config.outputs.report_images, "none")
    with self.assertRaisesRegex(errors.StudyError, "no influential pairs"):
      study.influence()
    figures = json.loads((self.root / "scores/summary.json").read_text())[0]
    self.assertIsNone(figures["test_accuracy"])
    stack = predictions.stack_runs(directory, plan.units)
    self.assertTrue(np.isnan(stack.margin).all())
    with self.assertRaisesRegex(errors.UsageError, "margin is not known"):
      self.make(values, outcomes=["correctness", "margin"])
    with self.assertRaisesRegex(errors.UsageError, "margins are not known"):
      self.make(values, estimator="margin")

  def test_sizes_are_a_ladder_in_the_order_given(self):
    worse = self.values["logits"] * np.where(
      np.arange(predictions_elsewhere.NUM_TRAIN) < 15, 1, -1
    )[:, None].astype(np.float32)
    sizes = {"small": worse, "a_large": self.values["logits"]}
    tests = dict.fromkeys(sizes, self.values["test_logits"])
    values = self.values | {"logits": sizes, "test_logits": tests}

    study = self.make(values, parameters={"small": 10, "a_large": 20})

    self.assertEqual(study.models, ("given-1-small", "given-2-a_large"))
    frame = study.trajectories()
    np.testing.assert_array_equal(
      frame.loc[frame["size"] == 0, "memorization"],
      study.scores(model="small")["memorization"],
    )
    self.assertEqual(
      frame.groupby("size")["parameters"].first().tolist(), [10, 20]
    )
    compared = study.compare()
    np.testing.assert_allclose(
      compared["change"],
      compared["memorization_a_large"] - compared["memorization_small"],
      atol=1e-12,
    )

  def test_the_same_predictions_again_are_scored_again(self):
    self.make()
    run = next(self.root.glob("runs/*/*/*/*/predictions.parquet"))
    before = run.stat().st_mtime_ns

    study = self.make(min_memorization=0.9)

    self.assertEqual(run.stat().st_mtime_ns, before)
    self.assertEqual(study.config.outputs.min_memorization, 0.9)
    other = self.values | {"logits": -self.values["logits"]}
    with self.assertRaisesRegex(errors.UsageError, "other predictions"):
      self.make(other)
    self.assertEqual(list(self.root.parent.iterdir()), [self.root])

  def test_a_failure_leaves_nothing(self):
    logits = self.values["logits"].copy()
    logits[-1, 0, 0] = np.inf

    with self.assertRaisesRegex(errors.UsageError, "run 19"):
      self.make(self.values | {"logits": logits})

    self.assertEmpty(list(self.root.parent.iterdir()))

  def test_refuses_a_folder_of_something_else(self):
    self.root.mkdir()
    (self.root / "mine.txt").write_text("")

    with self.assertRaisesRegex(errors.UsageError, "something else"):
      self.make()

    self.assertLen(list(self.root.iterdir()), 1)

  def test_nothing_can_train_it(self):
    study = self.make()

    for attempt in (
      study.run,
      lambda: memo_tf.Study(self.root, data="digits"),
      lambda: memo_tf.Study(
        self.root.with_name("new"), data="predictions:x", model="given-x"
      ),
    ):
      with self.assertRaises(errors.UsageError) as caught:
        attempt()
      self.assertNotIn("\n", str(caught.exception))
    with self.assertRaisesRegex(errors.UsageError, "by training"):
      study.run()

  def test_it_is_neither_exported_nor_merged(self):
    self.make()
    directory = directory_lib.StudyDirectory(self.root)

    with self.assertRaisesRegex(errors.UsageError, "at once"):
      merging.merge(
        directory_lib.StudyDirectory(self.root.with_name("merged")),
        [directory],
        print,
      )
    unit = work_units.parse_unit("given-model/given/r0.70/00000")
    with self.assertRaisesRegex(errors.UsageError, "no model to export"):
      export.export(directory, unit, self.root.with_name("exported"))

  def test_a_changed_subset_is_found(self):
    self.make()
    path = self.root / "subsets/r0.70.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    directory = directory_lib.StudyDirectory(self.root)
    plan = plan_lib.Plan.of(opening.recorded_config(directory))
    found = [f.path for f in checkup.findings(directory, plan)]

    self.assertIn("subsets/r0.70.npy", found)

  def test_names_are_escaped_in_the_page(self):
    study = self.make()

    self.assertNotIn("<b>cat", study.report().read_text())
    self.assertIn("&lt;b&gt;cat", study.report().read_text())

  def test_masks_of_any_make_are_taken(self):
    rng = np.random.default_rng(5)
    in_mask = rng.random((20, 30)) < rng.uniform(0.3, 0.9, (20, 1))
    in_mask[0], in_mask[1] = True, np.arange(30) == 4

    study = self.make(self.values | {"in_mask": in_mask})

    self.assertEqual(study.config.subsets.subset_scheme, "bernoulli")
    expected = memorization.memorization_scores(
      predictions_elsewhere.correct(self.values), in_mask
    )
    np.testing.assert_array_equal(
      study.scores()["memorization"], expected.memorization
    )

  def test_needs_no_tensorflow(self):
    result = subprocess.run(
      [sys.executable, "-c", WITHOUT_TENSORFLOW, str(self.root)],
      cwd=small_study.ROOT,
      capture_output=True,
      text=True,
      check=False,
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("30 True", result.stdout)
    examples = pd.read_parquet(self.root / "dataset/examples.parquet")
    self.assertEqual(examples["file_name"][31], "test/1.png")


if __name__ == "__main__":
  absltest.main()
