"""Suspected labels and conflicting duplicates, by hand."""

import dataclasses

from absl.testing import absltest
import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.report import material
from memo_tf.report import worklist
from memo_tf.store import directory as directory_lib
from tests.support import page_study


def study_of(group, **info) -> material.Material:
  return material.Material(
    directory=directory_lib.StudyDirectory("none"),
    config=config_lib.StudyConfig(),
    results=[group],
    failures={},
    settings="",
    studies=(),
    compared=(),
    info={"class_names": ["cat", "dog"], "num_classes": 2} | info,
  )


def many_runs():
  """The four images three times over: six runs hold each of them out."""
  group = page_study.make_group()
  stack = group.stack
  repeated = {
    name: np.tile(getattr(stack, name), (3, 1))
    for name in ("in_mask", "label_prob", "margin", "predicted")
  }
  stack = dataclasses.replace(stack, **repeated)
  return dataclasses.replace(group, stack=stack)


class WorklistTest(absltest.TestCase):
  def test_a_label_that_all_held_out_models_contradict_is_suspected(self):
    study = study_of(many_runs())

    found = worklist.content(study)

    # Example 3 is held out of six runs, and all say class 0: at least 0.61.
    self.assertEqual(found["num_suspects"], 1)
    (card,) = found["suspects"]
    self.assertEqual((card["id"], card["label"]), (3, "dog"))
    self.assertEqual(
      (card["said"], card["votes"], card["num_out"]), ("cat", 6, 6)
    )
    self.assertEqual(found["num_planted"], 1)
    self.assertEqual(worklist.issues(study).tolist(), [0, 0, 0, 1])

  def test_without_the_class_of_wrong_answers_none_is_suspected(self):
    for kind, num_classes, expected in (
      ("correctness", 3, 0),
      ("margin", 3, 0),
      ("logits", 3, 1),
      # What is wrong of two classes is the other one.
      ("correctness", 2, 1),
    ):
      about = {"predictions": {"kind": kind}, "num_classes": num_classes}

      found = worklist.content(study_of(many_runs(), **about))

      self.assertEqual(found["num_suspects"], expected, about)

  def test_two_votes_of_two_are_too_few(self):
    found = worklist.content(study_of(page_study.make_group()))

    self.assertEqual(found["num_suspects"], 0)
    self.assertFalse(found["possible"])

  def test_twins_with_two_labels_are_in_conflict_once(self):
    group = page_study.make_group()
    # 0 and 1 are one image with labels 0 and 1; 0 and 2 have the same label.
    group.examples["duplicate_of_train"] = [1, 0, -1, -1]
    group.examples["near_duplicate_of_train"] = [1, 0, 0, -1]

    study = study_of(group)

    self.assertEqual(worklist.conflicts(study), [(0, 1)])
    self.assertEqual(worklist.issues(study).tolist(), [2, 2, 0, 0])
    self.assertTrue(worklist.content(study)["looked"])


if __name__ == "__main__":
  absltest.main()
