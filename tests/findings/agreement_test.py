"""Models beside each other: files, pairs of disjoint halves, sentences."""

import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.findings import agreement
from memo_tf.report import material
from memo_tf.report.sections import agreement as section_lib
from memo_tf.store import directory as directory_lib
from tests.findings import sizes_test


class StudyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.directory = directory_lib.StudyDirectory(root)
    self.groups, _ = sizes_test.make_groups()

  def study(self, groups=None):
    return agreement.study_agreement(
      self.directory, groups or self.groups, settings_lib.OutputsConfig()
    )

  def test_every_two_models_and_each_beside_itself(self):
    [found] = self.study()

    pairs = found.models[["first", "second"]].to_numpy().tolist()
    small, large = "cifar_resnet-8", "cifar_resnet-14"
    self.assertEqual(pairs, [[small, small], [small, large], [large, large]])
    self.assertEqual(found.models["num_runs"].tolist(), [40] * 3)
    self.assertLen(found.curves, 30)
    self.assertRegex(found.sentences[0], "Noise alone: two halves of the 40")
    self.assertRegex(found.sentences[1], "agree on the images")

  def test_files(self):
    [found] = self.study()

    folder = self.directory.root / "findings/agreement/one_hot/r0.70"
    for name in ("curves", "models"):
      frame = getattr(found, name)
      pd.testing.assert_frame_equal(
        pd.read_parquet(folder / f"{name}.parquet"), frame
      )
      self.assertLen(pd.read_csv(folder / f"{name}.csv"), len(frame))

  def test_only_runs_that_both_have_count(self):
    self.groups[0] = sizes_test.without_runs(self.groups[0], {0, 1})

    [found] = self.study()

    self.assertEqual(found.models["num_runs"].tolist(), [38, 38, 40])

  def test_few_blocks_say_nothing(self):
    few = [
      sizes_test.without_runs(group, set(range(30))) for group in self.groups
    ]

    self.assertEqual(self.study(few), [])

  def test_pairs_that_influence_are_found_by_both_halves(self):
    group = self.groups[0]
    stack = group.stack
    rng = np.random.default_rng(0)
    memorized = int(np.argmax(np.nan_to_num(group.scores.memorization)))
    # Test image 0 is right just where the image is in the subset; image 1 at
    # random, so that its pairs are chance.
    right = np.stack(
      [stack.in_mask[:, memorized], rng.random(len(stack.units)) < 0.5], axis=1
    )
    label = int(stack.labels[memorized])
    labels = np.full(2, label, np.int32)
    changed = {
      "test_predicted": np.where(right, label, 1 - label).astype(np.int32),
      "test_labels": labels,
    }
    stack = type(stack)(**{**vars(stack), **changed})
    group = type(group)(**{**vars(group), "stack": stack})

    [found] = self.study([group])

    [row] = found.models.to_dict("records")
    self.assertGreater(row["num_pairs"], 0)
    self.assertGreater(row["pairs_within"], row["pairs_chance"])

  def test_section(self):
    [found] = self.study()
    study = material.Material(
      directory=self.directory,
      config=config_lib.StudyConfig(),
      results=[],
      failures={},
      settings="",
      studies=(),
      compared=(),
      info={},
      agreed=[found],
    )

    made = section_lib.make(study)

    self.assertEqual(
      [row["first"] for row in made.content["parts"][0]["rows"]],
      ["ResNet-8", "ResNet-8", "ResNet-14"],
    )
    self.assertLen(made.charts, 1)


if __name__ == "__main__":
  absltest.main()
