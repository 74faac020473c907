"""From groups of runs to what compression does, and its files."""

import dataclasses
import pathlib

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.estimators import memorization
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets
from memo_tf.experiment import work_units
from memo_tf.findings import compression
from memo_tf.report import names
from memo_tf.report.sections import compression as section_lib
from memo_tf.scoring import groups as groups_lib
from memo_tf.scoring import margin_columns
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions

MODEL = "cifar_resnet-8"
NUM_SUBSETS, NUM_EXAMPLES, NUM_PLANTED = 40, 300, 40
CONFIG = config_lib.StudyConfig(
  models=settings_lib.ModelsConfig(
    models=(MODEL,), recipes=("one_hot", "pruned-0.9")
  ),
  subsets=settings_lib.SubsetsConfig(num_subsets=NUM_SUBSETS),
)


def group_of(recipe, margin, in_mask, indices=None):
  """The scores of runs with these margins on two classes."""
  indices = range(len(margin)) if indices is None else indices
  labels = np.zeros(margin.shape[1], np.int32)
  test = np.ones((len(margin), 4), np.float32)
  stack = predictions.RunStack(
    units=tuple(
      work_units.WorkUnit(MODEL, recipe, "r0.70", i) for i in indices
    ),
    in_mask=in_mask,
    label_prob=(1 / (1 + np.exp(-margin))).astype(np.float32),
    margin=margin.astype(np.float32),
    predicted=(margin <= 0).astype(np.int32),
    labels=labels,
    test_predicted=(test * (recipe != "one_hot") * [1, 0, 0, 0]).astype(
      np.int32
    ),
    test_labels=np.zeros(4, np.int32),
    test_label_prob=test / 2,
    test_margin=test,
  )
  scores = memorization.memorization_scores(stack.correct, in_mask)
  noisy = np.arange(margin.shape[1]) < NUM_PLANTED
  return groups_lib.GroupScores(
    group=work_units.Group(MODEL, recipe, "r0.70"),
    parameters=100,
    scores=scores,
    stack=stack,
    examples=pd.DataFrame(
      {"label": labels, "clean_label": labels, "is_noisy": noisy}
    ),
    flagged=(),
    num_missing=0,
    seconds=1.0,
    margin_tally=margin_columns.tally_of(stack, scores),
  )


def make_groups(lost_planted=0.5, lost_others=0.1, seed=0):
  """Planted examples are right in the subset alone; margins are all alike."""
  rng = np.random.default_rng(seed)
  in_mask = subsets.in_masks(
    NUM_EXAMPLES, NUM_SUBSETS, 0.7, scheme="balanced", seed=seed
  )
  planted = np.arange(NUM_EXAMPLES) < NUM_PLANTED
  size = rng.uniform(0.5, 3.0, in_mask.shape)
  margin = np.where(planted & ~in_mask, -size, size)
  chance = np.where(planted, lost_planted, lost_others)
  lost = in_mask & (rng.random(in_mask.shape) < chance)
  after = np.where(lost, -0.1, margin)
  return [
    group_of("one_hot", margin, in_mask),
    group_of("pruned-0.9", after, in_mask),
  ]


class CompressionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.create_tempdir().full_path)
    self.directory = directory_lib.StudyDirectory(self.root)

  def compare(self, groups):
    plan = plan_lib.Plan.of(CONFIG)
    return compression.compare_compressed(self.directory, plan, groups)

  def test_changes_are_those_of_the_means(self):
    before, after = make_groups()

    (study,) = self.compare([before, after])

    (level,) = study.levels
    change, low, high = level.changes["memorization"]
    expected = np.nanmean(after.scores.memorization) - np.nanmean(
      before.scores.memorization
    )
    self.assertAlmostEqual(change, expected)
    self.assertLess(low, change)
    self.assertLess(high, 0)  # 0.1 and more of what is in the subset is lost
    self.assertAlmostEqual(level.changes["out_accuracy"][0], 0.0)
    self.assertAlmostEqual(level.changes["test_accuracy"][0], -0.25)

  def test_more_than_margins_predict_is_found_and_said(self):
    (study,) = self.compare(make_groups())

    table = study.forgotten.set_index(["where", "group"])
    row = table.loc[("in", "planted: wrong label")]
    self.assertAlmostEqual(row["excess"], 0.4, delta=0.06)
    self.assertGreater(row["excess_low"], 0.3)
    # Held out, nothing planted was right.
    self.assertEqual(table.loc[("out", "planted: wrong label"), "num_right"], 0)
    self.assertIn("more than margins alone predict", study.sentences[1])
    self.assertIn("mean memorization falls by", study.sentences[0])
    self.assertIn(
      "held-out accuracy is the same in every run", study.sentences[0]
    )

  def test_what_margins_explain_is_not_said_to_be_more(self):
    (study,) = self.compare(make_groups(lost_planted=0.1))

    row = study.forgotten[study.forgotten["where"] == "in"].iloc[0]
    self.assertLess(row["excess_low"], 0)
    self.assertGreater(row["excess_high"], 0)
    self.assertIn("not to be told from what margins", study.sentences[1])

  def test_only_runs_that_both_have_count(self):
    before, after = make_groups()
    stack = after.stack
    few = group_of(
      "pruned-0.9", stack.margin[5:30], stack.in_mask[5:30], range(5, 30)
    )

    (study,) = self.compare([before, few])

    (level,) = study.levels
    np.testing.assert_array_equal(level.after, stack.correct[5:30])
    np.testing.assert_array_equal(level.before, before.stack.correct[5:30])
    self.assertEqual(level.block.tolist(), (np.arange(5, 30) // 10).tolist())

  def test_nothing_without_compressed_runs(self):
    self.assertEmpty(self.compare(make_groups()[:1]))
    self.assertFalse((self.root / "findings").exists())

  def test_counts_of_the_runs_are_averaged(self):
    facts = [
      {"bytes_gzip": 10, "source": {}, "kernel_sparsity": 0.5},
      {"bytes_gzip": 30, "kernel_sparsity": "many"},
    ]

    self.assertEqual(
      compression._mean_facts(facts),
      {"bytes_gzip": 20.0, "kernel_sparsity": 0.5},
    )

  def test_files_and_page(self):
    (study,) = self.compare(make_groups())

    folder = self.root / "findings" / "compression" / MODEL / "r0.70"
    for name, frame in study.tables().items():
      read = pd.read_parquet(folder / f"{name}.parquet")
      self.assertLen(read, len(frame))
      self.assertEqual(set(read["model"]), {MODEL})
      self.assertTrue((folder / f"{name}.csv").exists())
    examples = pd.read_parquet(folder / "examples.parquet")
    self.assertLen(examples, NUM_EXAMPLES)
    planted = examples[examples["kind"] != "clean"]
    share = planted["num_forgotten_in"].sum() / planted["num_right_in"].sum()
    self.assertAlmostEqual(share, 0.5, delta=0.05)
    part, charts = section_lib._part(study, "compression-0")
    self.assertEqual(part["levels"][0]["title"], "pruned to 0.9 zeros")
    self.assertNotIn(0, [row["num_right"] for row in part["forgotten"]])
    self.assertLen(charts, 1)

  def test_plain_names(self):
    self.assertEqual(names.recipe("clustered-16"), "16 values per kernel")
    self.assertEqual(names.recipe("int8"), "8-bit integers")
    self.assertEqual(
      names.recipe("pruned-0.5-e20"), "pruned to 0.5 zeros, 20 epochs"
    )

  def test_shape_classes_are_groups(self):
    groups = make_groups()
    (study,) = self.compare(groups)
    more = {"shape: cap": np.arange(NUM_EXAMPLES) < 10}

    found = dataclasses.replace(study, more_groups=more).forgotten

    self.assertIn("shape: cap", set(found["group"]))


if __name__ == "__main__":
  absltest.main()
