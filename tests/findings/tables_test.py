"""The tables of a study, with names; from made-up predictions."""

import pathlib
import shutil
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd

import memo_tf
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.findings import tables
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from tests.support import predictions_elsewhere


class TablesTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.values = predictions_elsewhere.values()
    logits = cls.values["logits"]
    cls.logits = {"small": logits[:, ::-1].copy(), "large": logits}
    folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, folder)
    cls.root = pathlib.Path(folder) / "study"
    memo_tf.study_from_predictions(
      directory=cls.root,
      progress=False,
      min_memorization=0.0,
      min_influence=0.0,
      **cls.values
      | {
        "logits": cls.logits,
        "test_logits": dict.fromkeys(cls.logits, cls.values["test_logits"]),
      },
    )
    cls.directory = directory_lib.StudyDirectory(cls.root)
    cls.plan = plan_lib.Plan.of(opening.recorded_config(cls.directory))

  def test_scores_have_names_of_files_and_labels(self):
    frame = tables.scores(self.directory, self.plan)

    self.assertEqual(
      frame.columns[:7].tolist(),
      [
        "model",
        "recipe",
        "subsets",
        "example_id",
        "file_name",
        "label",
        "label_name",
      ],
    )
    row = frame[frame["example_id"] == 7].iloc[1]
    self.assertEqual(
      row[["model", "file_name", "label", "label_name"]].tolist(),
      ["given-2-large", "train/7.png", 1, "dog"],
    )
    self.assertLen(frame, 60)

  def test_one_model_of_several(self):
    for name in ("given-1-small", "small"):
      frame = tables.scores(self.directory, self.plan, model=name)
      self.assertEqual(set(frame["model"]), {"given-1-small"})
    with self.assertRaisesRegex(errors.UsageError, "given-2-large"):
      tables.scores(self.directory, self.plan, model="medium")
    with self.assertRaisesRegex(errors.UsageError, "`recipe` must be"):
      tables.scores(self.directory, self.plan, recipe="one_hot")

  def test_pairs_have_names_of_both_examples(self):
    frame = tables.influence(self.directory, self.plan)

    for split in ("train", "test"):
      labels = self.values["labels" if split == "train" else "test_labels"]
      ids = frame[f"{split}_id"]
      np.testing.assert_array_equal(frame[f"{split}_label"], labels[ids])
      self.assertEqual(
        frame[f"{split}_file_name"].tolist(),
        [f"{split}/{number}.png" for number in ids],
      )
    stored = pd.concat(
      pd.read_parquet(path)
      for path in sorted(self.root.glob("scores/*/*/*/influence.parquet"))
    )
    np.testing.assert_array_equal(frame["influence"], stored["influence"])

  def test_trajectories_have_classes(self):
    frame = tables.trajectories(self.directory)

    classes = pd.read_parquet(
      self.root / "trajectories/given/given/r0.70/classes.parquet"
    )
    self.assertLen(frame, 60)
    np.testing.assert_array_equal(
      frame.loc[frame["size"] == 1, "shape_class"], classes["shape_class"]
    )

  def test_comparison_counts_the_same_subsets(self):
    """The change of each example by its definition, one at a time."""
    frame = tables.compare(
      self.directory, self.plan, first="small", second="large/given"
    )

    labels, in_mask = self.values["labels"], self.values["in_mask"]
    for n in range(len(labels)):
      score = {}
      for name, logits in self.logits.items():
        right = logits[:, n].argmax(axis=1) == labels[n]
        inside = right[in_mask[:, n]].mean()
        score[name] = inside - right[~in_mask[:, n]].mean()
      self.assertAlmostEqual(
        frame["change"][n], score["large"] - score["small"]
      )
      self.assertAlmostEqual(frame["memorization_small"][n], score["small"])

  def test_comparison_refuses_names_of_none_or_of_the_same(self):
    for first, second, message in (
      ("small", None, "two groups must be named"),
      ("small", "small", "two different groups"),
      ("given-1-small/one_hot", "large", "two groups must be named"),
    ):
      with self.assertRaisesRegex(errors.UsageError, message):
        tables.compare(self.directory, self.plan, first=first, second=second)

  def test_a_table_that_changed_is_refused(self):
    path = next(self.root.glob("scores/given-1*/*/*/influence.parquet"))
    content = path.read_bytes()
    self.addCleanup(path.write_bytes, content)
    path.write_bytes(content[:-1] + b"x")

    with self.assertRaisesRegex(errors.StudyError, "recorded digest"):
      tables.influence(self.directory, self.plan)


if __name__ == "__main__":
  absltest.main()
