"""Over subset ratios: which families count, files, sentences, section."""

import dataclasses
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import work_units
from memo_tf.findings import ratios
from memo_tf.report import material
from memo_tf.report.sections import ratios as section_lib
from memo_tf.store import directory as directory_lib
from tests.findings import sizes_test

MODELS = (("cifar_resnet-8", 100), ("cifar_resnet-14", 200))


def group(subsets, num_subsets=40):
  found, _ = sizes_test.make_groups(MODELS, num_subsets, subsets)
  return found[0]


class StudyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.directory = directory_lib.StudyDirectory(root)

  def study(self, *groups):
    return ratios.study_ratios(self.directory, groups)

  def test_by_ratio(self):
    first, second = group("r0.70"), group("r0.50")

    [found] = self.study(first, second)

    self.assertEqual(found.ratios["ratio"].tolist(), [0.5, 0.7])
    scores = second.scores.memorization
    self.assertAlmostEqual(found.ratios["memorization"][0], np.nanmean(scores))
    self.assertLen(found.ranks, 1)
    self.assertRegex(found.sentences[0], r"0\.5: 0\.\d+ \[.*0\.7: ")
    self.assertRegex(found.sentences[-1], "It is an extrapolation")

  def test_files(self):
    [found] = self.study(group("r0.70"), group("r0.50"), group("r0.90"))

    folder = self.directory.root / "findings/ratios/cifar_resnet-8/one_hot"
    for name in ("ratios", "ranks", "all_data"):
      frame = getattr(found, name)
      pd.testing.assert_frame_equal(
        pd.read_parquet(folder / f"{name}.parquet"), frame
      )
    self.assertLen(pd.read_csv(folder / "ranks.csv"), 3)

  def test_what_gives_no_study(self):
    small = group("r0.90", num_subsets=20)  # two blocks of ten

    self.assertEqual(self.study(group("r0.70")), [])
    self.assertEqual(self.study(group("r0.70"), small), [])
    self.assertEqual(self.study(group("r0.70"), group("full")), [])
    complement = group("r0.30")
    complement = dataclasses.replace(
      complement,
      group=work_units.Group("cifar_resnet-8", "one_hot", "r0.70-complement"),
    )
    self.assertEqual(self.study(group("r0.70"), complement), [])
    other = group("r0.50")
    other = dataclasses.replace(
      other, group=work_units.Group("cifar_resnet-14", "one_hot", "r0.50")
    )
    self.assertEqual(self.study(group("r0.70"), other), [])

  def test_section(self):
    found = self.study(group("r0.70"), group("r0.50"))
    study = material.Material(
      directory=self.directory,
      config=config_lib.StudyConfig(),
      results=[],
      failures={},
      settings="",
      studies=(),
      compared=(),
      info={},
      ratios=found,
    )

    made = section_lib.make(study)

    self.assertEqual(made.content["parts"][0]["sentences"], found[0].sentences)
    self.assertIsNone(section_lib.make(dataclasses.replace(study, ratios=())))


if __name__ == "__main__":
  absltest.main()
