"""The data behind the grid are those of the scores."""

import dataclasses
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import settings as settings_lib
from memo_tf.findings import sizes
from memo_tf.report import explorer
from tests.support import page_data
from tests.support import page_study


class ExplorerTest(absltest.TestCase):
  def write(self, *groups, **options) -> page_data.Page:
    root = pathlib.Path(self.create_tempdir().full_path)
    return page_data.Page(page_study.write(root, list(groups), **options))

  def test_the_grid_has_scores_and_counts_of_every_image(self):
    group = page_study.make_group()
    found = self.write(group)

    scores = group.scores
    np.testing.assert_array_equal(
      found.array("group:0", "score"), scores.memorization.astype(np.float32)
    )
    for name, values in {
      "low": scores.ci_low.astype(np.float32),
      "inAll": scores.num_in,
      "outRight": [2, 2, 2, 0],
      "outAll": scores.num_out,
      "answers": [1, 1, 1, 1],
      "answer": [0, 1, 0, 0],
      "answerRuns": [2, 2, 2, 2],
    }.items():
      np.testing.assert_array_equal(found.array("group:0", name), values, name)
    meta = found.values["meta"]
    self.assertEqual(meta["kinds"], ["wrong label"])
    np.testing.assert_array_equal(found.array("examples", "kind"), [0, 0, 0, 1])
    # The highest lower end has the first cell of the first sheet.
    self.assertEqual(found.array("examples", "slot")[3], 0)

  def test_names_of_either_column_are_shown(self):
    # Data sets name their examples in source, given predictions in file_name.
    for column in ("source", "file_name"):
      group = page_study.make_group()
      group.examples[column] = ["a/0.png", "a/1.png", "", None]
      train = group.examples.assign(
        example_id=range(4), split="train", plant="", origin_id=range(4)
      )
      tests = train[:2].assign(split="test")
      tests[column] = ["t/0.png", "t/1.png"]
      examples = pd.concat([train, tests], ignore_index=True)

      found = self.write(
        page_study.with_pairs(group, q=0.01), examples=examples
      )

      self.assertEqual(
        found.values["examples"]["source"], ["a/0.png", "a/1.png", "", ""]
      )
      self.assertEqual(found.values["tests"]["1"]["source"], "t/1.png")
      self.assertIn("a/1.png", found.text)
      self.assertIn("image 3", found.text)

  def test_a_ladder_has_its_groups_whatever_their_models_are_called(self):
    for models in (
      ("cifar_resnet-8", "cifar_resnet-14"),
      ("own-small", "own-large"),
      ("given-1-small", "given-2-large"),
    ):
      groups = [page_study.make_group(model=model) for model in models]
      ladder = sizes.gather(
        sizes.LadderName("any", "one_hot", "r0.50"),
        groups,
        settings_lib.OutputsConfig(),
      )
      # The page has one more group, of another recipe or ladder.
      other = page_study.make_group(model="resnet-18")

      found = self.write(other, *groups, studies=[ladder])

      self.assertEqual(
        [about["name"] for about in found.values["meta"]["groups"]][1:],
        [group.group.name for group in groups],
      )
      self.assertCountEqual(found.values["sizes"][0]["groups"], [1, 2])

  def test_the_histogram_has_bins_for_the_scores_of_every_group(self):
    low = page_study.make_group(model="cifar_resnet-14")
    scores = dataclasses.replace(
      low.scores, memorization=np.array([-0.3, 0.3, 1.0, np.nan])
    )
    low = dataclasses.replace(low, scores=scores)

    found = self.write(low, page_study.make_group())

    (columns,) = page_data.chart_columns(found.values["charts"]["histogram"])
    np.testing.assert_allclose(columns["left"][0], -0.3)
    # Of the first group three scores are 0 and one is 1.
    self.assertEqual(columns["count"][6:26].tolist(), [3, *[0] * 18, 1])

    (columns,) = page_data.chart_columns(
      self.write(low).values["charts"]["histogram"]
    )
    (counted,) = np.nonzero(columns["count"])
    np.testing.assert_allclose(columns["left"][counted], [-0.3, 0.3, 0.95])

  def test_beyond_a_number_there_are_no_pictures(self):
    with mock.patch.object(explorer, "MAX_PICTURES", 2):
      found = self.write(page_study.make_group())

    slots = found.array("examples", "slot")
    self.assertEqual(sorted(slots), [-1, -1, 0, 1])
    self.assertIn("Pictures are of the 2 images", found.text)

  def test_a_test_image_has_its_answers_and_its_cell(self):
    group = page_study.with_pairs(page_study.make_group(), q=0.01)

    found = self.write(group)

    # Test image 1, of label 0, is taken for 1 by all four runs.
    about = found.values["tests"]["1"]
    self.assertEqual(about["label"], 0)
    self.assertEqual(about["answers"], [[[1, 4]]])
    self.assertEqual(about["slot"], 4)  # after four training images


if __name__ == "__main__":
  absltest.main()
