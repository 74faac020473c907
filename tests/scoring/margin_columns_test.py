"""Scores from margins in a study's files and figures."""

import dataclasses
import json
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from memo_tf.estimators import margin_sizes
from memo_tf.estimators import margins
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.scoring import margin_columns
from memo_tf.scoring import study
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions
from tests.support import made_up

SMALL, LARGE = "cifar_resnet-8", "cifar_resnet-14"
NUM_RUNS, NUM_EXAMPLES, FAMILY = 20, 80, "r0.50"


def plan_of(*models, **outputs):
  return plan_lib.Plan.of(
    config_lib.StudyConfig(
      models=settings_lib.ModelsConfig(models=models),
      subsets=settings_lib.SubsetsConfig(
        num_subsets=NUM_RUNS, subset_ratio=0.5
      ),
      outputs=settings_lib.OutputsConfig(**outputs),
    )
  )


class MarginColumnsTest(absltest.TestCase):
  """Two sizes of 20 runs; examples 0 and 1 are copies of one image."""

  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.directory = directory_lib.StudyDirectory(root)
    self.mask = subsets_lib.in_masks(NUM_EXAMPLES, NUM_RUNS, 0.5, seed=1)
    path = self.directory.in_mask_path(FAMILY)
    path.parent.mkdir(parents=True)
    np.save(path, self.mask)
    self.labels = np.arange(NUM_EXAMPLES, dtype=np.int32) % 2
    split = ["train"] * NUM_EXAMPLES + ["test"] * 2
    self.directory.dataset_dir.mkdir()
    pd.DataFrame(
      {
        "example_id": [*range(NUM_EXAMPLES), 0, 1],
        "split": split,
        "label": [*self.labels, 0, 1],
        "clean_label": [*self.labels, 0, 1],
        "is_noisy": [False] * len(split),
        "duplicate_of_train": [1] + [-1] * (len(split) - 1),
      }
    ).to_parquet(self.directory.dataset_dir / "examples.parquet")
    rng = np.random.default_rng(0)
    held_out = rng.normal(1, 1.5, NUM_EXAMPLES)
    self.margin = {}
    for model in (SMALL, LARGE):
      level = np.where(self.mask, 4.0, held_out)
      margin = level + rng.normal(size=self.mask.shape)
      self.margin[model] = margin.astype(np.float32)
      for index, row in enumerate(self.margin[model]):
        self.write(work_units.WorkUnit(model, "one_hot", FAMILY, index), row)

  def write(self, unit, margin):
    mask = self.mask[unit.index]
    logits = np.zeros((NUM_EXAMPLES, 2), np.float32)
    logits[np.arange(NUM_EXAMPLES), self.labels] = margin
    content = predictions.table_bytes(
      predictions.from_logits(
        logits,
        np.eye(2, dtype=np.float32),
        self.labels,
        np.array([0, 1], np.int32),
        mask,
      )
    )
    entry = {"bytes": len(content), "digest": files.digest_bytes(content)}
    recipe = recipes.parse(unit.recipe, settings_lib.TrainingConfig())
    right = logits.argmax(axis=1) == self.labels
    record = {
      **made_up.ABOUT_RUN,
      "recipe_digest": recipe.digest(),
      "subset_digest": files.digest_bytes(np.packbits(mask)),
      "unit": unit.name,
      "parameters": 1000 + len(unit.model),
      "in_accuracy": float(right[mask].mean()),
      "seconds": {"total": 1.0},
      "outputs": {"predictions.parquet": entry},
    }
    folder = self.directory.run_dir(unit)
    folder.mkdir(parents=True)
    (folder / "predictions.parquet").write_bytes(content)
    (folder / "run.json").write_text(json.dumps(record))

  def table(self, model):
    folder = self.directory.scores_dir(
      work_units.Group(model, "one_hot", FAMILY)
    )
    return pq.read_table(folder / "memorization.parquet")

  def test_file_has_all_estimators_whatever_is_chosen(self):
    study.score_study(self.directory, plan_of(SMALL, LARGE))
    plain = self.table(LARGE)

    study.score_study(
      self.directory, plan_of(SMALL, LARGE, estimator="margin_sizes")
    )

    self.assertTrue(plain.equals(self.table(LARGE)))
    copies = np.arange(NUM_EXAMPLES) < 2
    alone = margins.margin_scores(
      self.margin[LARGE], self.mask, use_counts=copies
    )
    together = margin_sizes.margin_scores_sizes(
      np.stack([self.margin[SMALL], self.margin[LARGE]]),
      self.mask,
      use_counts=copies,
    )
    frame = plain.to_pandas()
    for name, expected in (
      ("memorization_margin", alone.memorization),
      ("margin_ci_low", alone.ci_low),
      ("margin_ci_high", alone.ci_high),
      ("memorization_margin_sizes", together[1].memorization),
    ):
      np.testing.assert_array_equal(frame[name], expected, err_msg=name)
    np.testing.assert_allclose(
      frame["memorization_margin"][:2], frame["memorization"][:2]
    )
    metadata = plain.schema.metadata
    self.assertEqual(
      json.loads(metadata[b"margin_fallbacks"])["named by the caller"], 2
    )
    self.assertEqual(metadata[b"estimator"], b"plain")
    self.assertEqual(float(metadata[b"margin_misfit"]), alone.misfit)

  def test_figures_are_of_the_chosen_estimator(self):
    means = {}
    for estimator in ("plain", "margin", "margin_sizes"):
      results = study.score_study(
        self.directory, plan_of(SMALL, LARGE, estimator=estimator)
      )
      summary = json.loads(
        (self.directory.root / "scores/summary.json").read_text()
      )
      self.assertEqual(summary[1]["estimator"], estimator)
      means[estimator] = summary[1]["mean_memorization"]
      self.assertIn("From margins an interval is", summary[1]["certainty"])
      self.assertEqual(
        "Figures are those of" in summary[1]["certainty"], estimator != "plain"
      )
      self.assertAlmostEqual(
        means[estimator], np.mean(results[1].chosen.memorization)
      )
      # The plain scores stay what they are.
      np.testing.assert_array_equal(
        results[1].scores.memorization, self.table(LARGE)["memorization"]
      )
    self.assertLen(set(means.values()), 3)

  def test_one_size_has_no_column_of_sizes(self):
    (result,) = study.score_study(
      self.directory, plan_of(SMALL, estimator="margin_sizes")
    )

    self.assertNotIn(
      "memorization_margin_sizes", self.table(SMALL).column_names
    )
    self.assertIs(result.chosen, result.margin)
    # What the figures are of is said, not what was asked for.
    summary = self.directory.root / "scores/summary.json"
    self.assertEqual(json.loads(summary.read_text())[0]["estimator"], "margin")
    self.assertEndsWith(
      result.certainty(0.2), "Figures are those of --estimator=margin."
    )

  def test_unknown_margins_leave_the_plain_scores(self):
    (result,) = study.score_study(self.directory, plan_of(SMALL))
    unknown = dataclasses.replace(
      result.stack,
      margin=np.full_like(result.stack.margin, np.nan),
      test_margin=np.full_like(result.stack.test_margin, np.nan),
    )

    self.assertIsNone(margin_columns.tally_of(unknown, result.scores))
    self.assertIsNone(margin_columns.of_pairs(unknown, result.influence))
    self.assertIsNotNone(result.margin_influence)

  def test_runs_keep_the_half_of_their_subset_if_others_are_missing(self):
    (result,) = study.score_study(self.directory, plan_of(SMALL))
    stack = result.stack
    part = dataclasses.replace(
      stack,
      **{
        name: getattr(stack, name)[1:]
        for name in ("units", "in_mask", "predicted", "margin")
      },
    )
    single = margins.MarginTally(NUM_EXAMPLES)
    for m in range(1, NUM_RUNS):
      single.add(stack.margin[m], stack.in_mask[m], index=m)

    tally = margin_columns.tally_of(part, result.scores)

    for half in (0, 1):
      np.testing.assert_array_equal(
        tally.moments(0, (half,)).count, single.moments(0, (half,)).count
      )

  def test_copies_on_both_sides_found_or_planted(self):
    examples = pd.DataFrame(
      {
        "duplicate_of_train": [3, -1, -1, -1, -1, -1],
        "near_duplicate_of_train": [3, -1, -1, 0, -1, -1],
        "origin_id": [0, 1, 2, 3, -1, 1],
      }
    )

    np.testing.assert_array_equal(
      margin_columns.has_copies(examples), [1, 1, 0, 1, 0, 1]
    )
    self.assertFalse(
      margin_columns.has_copies(pd.DataFrame({"label": [0, 1]})).any()
    )


if __name__ == "__main__":
  absltest.main()
