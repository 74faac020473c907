"""The negative control: figures by hand, intervals, sentences, page."""

import dataclasses
import pathlib

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets
from memo_tf.experiment import work_units
from memo_tf.findings import frozen
from memo_tf.report.sections import frozen as section_lib
from memo_tf.store import directory as directory_lib
from tests.findings import compression_test
from tests.support import page_study

MODEL = compression_test.MODEL
NUM_PLANTED, NUM_EXAMPLES = 40, 300
RECIPES = ("one_hot", "frozen")


def make_groups(lost=0.0, num_subsets=40, seed=0):
  """Planted examples are right in the subset alone; with features, always.

  With features, a share `lost` of all predictions is wrong.
  """
  rng = np.random.default_rng(seed)
  in_mask = subsets.in_masks(NUM_EXAMPLES, num_subsets, 0.7, seed=seed)
  planted = np.arange(NUM_EXAMPLES) < NUM_PLANTED
  whole = np.where(planted & ~in_mask, -1.0, 1.0)
  features = np.where(rng.random(in_mask.shape) < lost, -1.0, 1.0)
  return [
    compression_test.group_of(recipe, margin, in_mask)
    for recipe, margin in zip(RECIPES, (whole, features))
  ]


def source(index=0):
  """The run on all examples: right about all but ten, and all test images."""
  right = np.where(np.arange(NUM_EXAMPLES) < 10, -1.0, 1.0)[None]
  made = compression_test.group_of(
    "one_hot", right, np.ones_like(right) > 0, [index]
  )
  return dataclasses.replace(
    made, group=work_units.Group(MODEL, "one_hot", "full")
  )


class FrozenControlTest(absltest.TestCase):
  def compare(self, groups, recipes=RECIPES):
    config = config_lib.StudyConfig(
      models=settings_lib.ModelsConfig(models=(MODEL,), recipes=recipes)
    )
    self.root = pathlib.Path(self.create_tempdir().full_path) / "study"
    directory = directory_lib.StudyDirectory(self.root)
    return frozen.compare_frozen(directory, plan_lib.Plan.of(config), groups)

  def test_figures(self):
    whole, features = make_groups(lost=0.01)

    (found,) = self.compare([whole, features, source()])

    rows = found.figures.set_index("figure")
    share = NUM_PLANTED / NUM_EXAMPLES
    memorization = rows.loc[frozen.MEMORIZATION]
    self.assertAlmostEqual(memorization["one_hot"], share)
    expected = features.scores.memorization.mean()
    self.assertAlmostEqual(memorization["frozen"], expected)
    self.assertAlmostEqual(memorization["change"], expected - share)
    self.assertLess(memorization["change_high"], -0.12)
    self.assertEqual(rows.loc[frozen.AT_LEAST, "one_hot"], NUM_PLANTED)
    high = features.scores.memorization >= 0.25
    self.assertEqual(rows.loc[frozen.AT_LEAST, "frozen"], high.sum())
    self.assertEqual(rows.loc[frozen.AT_MOST, "one_hot"], 0)
    self.assertEqual(rows.loc[frozen.AT_MOST, "frozen_low"], 0)  # not below
    self.assertAlmostEqual(rows.loc[frozen.WRONG, "one_hot"], 1.0)
    self.assertAlmostEqual(rows.loc[frozen.WRONG, "frozen"], 0, delta=0.05)
    self.assertAlmostEqual(rows.loc["out_accuracy", "one_hot"], 1 - share)
    self.assertAlmostEqual(rows.loc[frozen.TEST, "change"], -0.25)
    self.assertAlmostEqual(rows.loc["in_accuracy", "all_examples"], 290 / 300)
    self.assertEqual(rows.loc[frozen.TEST, "all_examples"], 1.0)
    self.assertIn("lower by 0.13", found.sentences[0])
    self.assertIn("as a negative control must be", found.sentences[0])
    self.assertIn("with whole models 40 (change -40", found.sentences[1])

  def test_a_control_that_is_no_lower_is_not_said_to_be(self):
    """Both recipes as the whole models, and one swapped for the other."""
    whole, features = make_groups(lost=0.05)
    stack = features.stack

    same = compression_test.group_of(
      "frozen", whole.stack.margin, stack.in_mask
    )
    (found,) = self.compare([whole, same])
    (noise,) = self.compare(
      [
        compression_test.group_of("one_hot", stack.margin, stack.in_mask),
        features,
      ]
    )
    (higher,) = self.compare(
      [
        compression_test.group_of("one_hot", stack.margin, stack.in_mask),
        same,
      ]
    )

    for one in (found, noise):
      self.assertIn("whether it is lower cannot be told", one.sentences[0])
    self.assertIn("this is no negative control", higher.sentences[0])

  def test_only_shared_runs_count(self):
    whole, features = make_groups()
    stack = features.stack
    few = compression_test.group_of(
      "frozen", stack.margin[5:30], stack.in_mask[5:30], range(5, 30)
    )
    one = compression_test.group_of(
      "frozen", stack.margin[5:6], stack.in_mask[5:6], [5]
    )

    (found,) = self.compare(
      [page_study.with_pairs(g, q=0.01) for g in (whole, few)]
    )

    self.assertEqual(found.num_runs, 25)
    # Those of 40 runs and of 25 would not compare.
    self.assertNotIn(frozen.PAIRS, found.figures["figure"].tolist())
    self.assertLen(found.sentences, 2)
    self.assertEqual(self.compare([whole, one]), [])
    self.assertEqual(self.compare([whole, source()]), [])
    self.assertEqual(self.compare([features, source()]), [])
    self.assertFalse((self.root / "findings").exists())

  def test_another_run_on_all_images_is_no_source(self):
    (found,) = self.compare([*make_groups(), source(index=1)])

    self.assertTrue(found.figures["all_examples"].isna().all())

  def test_files_pairs_and_page(self):
    groups = [page_study.with_pairs(g, q=0.01) for g in make_groups()]
    longer = dataclasses.replace(
      groups[1], group=work_units.Group(MODEL, "frozen-e40", "r0.70")
    )

    found = self.compare([*groups, longer], (*RECIPES, "frozen-e40"))

    folder = self.root / "findings" / "frozen" / MODEL / "r0.70"
    figures = pd.read_parquet(folder / "figures.parquet")
    self.assertEqual(
      figures["recipe"].unique().tolist(), ["frozen", "frozen-e40"]
    )
    pairs = figures[figures["figure"] == frozen.PAIRS].iloc[0]
    self.assertEqual((pairs["one_hot"], pairs["frozen"]), (1, 1))
    self.assertTrue(np.isnan(pairs["change_low"]))
    self.assertIn(
      "pairs with influence of at least 0.15: 1, with", found[0].sentences[2]
    )
    examples = pd.read_csv(folder / "examples.csv")
    self.assertLen(examples, 2 * NUM_EXAMPLES)
    self.assertLen(pd.read_csv(folder / "findings.csv"), 6)

    page = page_study.write(
      pathlib.Path(self.create_tempdir().full_path),
      [page_study.make_group()],
      frozen=found,
    ).read_text()
    self.assertIn("Only the last layer trained", page)
    self.assertIn("last layer only, 40 epochs", page)
    self.assertIn("images with memorization of at least 0.25", page)
    self.assertIn("<td>40 [40, 40]</td>", page)
    self.assertRegex(page, r"<td>-40 \[-40, -40\]</td><td>–</td>")
    self.assertIn("<td>+0.0000 [+0.0000, +0.0000]</td>", page)
    self.assertIn("<td>1</td><td>1</td><td>+0</td>", page)  # pairs
    empty = dataclasses.make_dataclass("Empty", ["frozen"])([])
    self.assertIsNone(section_lib.make(empty))


if __name__ == "__main__":
  absltest.main()
