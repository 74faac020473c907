"""Scoring: stuck runs by hand, and a whole tiny study written by hand."""

import dataclasses
import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.scoring import stuck_runs
from memo_tf.scoring import study
from memo_tf.scoring import summary as summary_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions
from tests.support import made_up

SMALL, LARGE = "cifar_resnet-8", "cifar_resnet-14"
FAMILY = "r0.50"
RECIPE_DIGEST = recipes.parse("one_hot", settings_lib.TrainingConfig()).digest()
# Six training examples of three classes; example 5's label is planted: its
# right one is 0. Two test examples.
CLEAN = np.array([0, 1, 2, 0, 1, 0], np.int32)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.int32)
TEST_LABELS = np.array([0, 1], np.int32)
MASKS = np.array(
  [
    [1, 1, 1, 0, 0, 1],
    [0, 0, 0, 1, 1, 0],
    [1, 0, 1, 0, 1, 1],
    [0, 1, 0, 1, 0, 0],
  ],
  bool,
)
# What each run of the small model predicts. Everything that a run saw is
# right; held out, example 1 is taken for 2 by run 2, and 5 for its clean 0.
PREDICTED = np.array(
  [
    [0, 1, 2, 0, 1, 2],
    [0, 1, 2, 0, 1, 0],
    [0, 2, 2, 0, 1, 2],
    [0, 1, 2, 0, 1, 0],
  ]
)
TEST_PREDICTED = np.array([[0, 1], [0, 1], [0, 2], [1, 2]])


def unit(index, model=SMALL):
  return work_units.WorkUnit(model, "one_hot", FAMILY, index)


def plan_of(*models, num_subsets=4, families=(), **outputs):
  config = config_lib.StudyConfig(
    models=settings_lib.ModelsConfig(models=models),
    subsets=settings_lib.SubsetsConfig(
      num_subsets=num_subsets, subset_ratio=0.5, subset_families=families
    ),
    outputs=settings_lib.OutputsConfig(**outputs),
  )
  return plan_lib.Plan.of(config)


def logits_for(predicted):
  """Logits with a 2 for the class predicted and 0 elsewhere."""
  return 2 * np.eye(3, dtype=np.float32)[predicted]


class FindStuckTest(parameterized.TestCase):
  def found(self, *values):
    runs = {f"run {place}": value for place, value in enumerate(values)}
    return stuck_runs.find_stuck(runs)

  def test_hand_computed(self):
    # Median 0.9; deviations 0, 0, 0.01, 0.02, 0.8 of median 0.01, times 8 is
    # 0.08, so the limit is 0.1 under: 0.8.
    found = self.found(0.9, 0.9, 0.91, 0.88, 0.1)

    self.assertEqual(
      found, [("run 4", "in-accuracy 0.100, its siblings' median is 0.900")]
    )

  @parameterized.parameters((0.81, []), (0.79, ["run 4"]))
  def test_drop_must_be_a_tenth(self, value, expected):
    found = self.found(0.9, 0.9, 0.9, 0.9, value)

    self.assertEqual([name for name, _ in found], expected)

  @parameterized.parameters((0.51, []), (0.49, ["run 4"]))
  def test_drop_must_be_eight_deviations(self, value, expected):
    # Median 0.9; deviations 0, 0.05, 0.05, 0.1 and about 0.4, of median 0.05,
    # so the limit is 0.4 under: 0.5.
    found = self.found(0.9, 0.95, 0.85, 1.0, value)

    self.assertEqual([name for name, _ in found], expected)

  def test_scattered_runs_are_not_stuck(self):
    self.assertEqual(self.found(0.1, 0.3, 0.5, 0.7, 0.9), [])

  def test_one_run_has_no_siblings(self):
    self.assertEqual(self.found(0.1), [])

  def test_run_that_is_better_is_not_stuck(self):
    self.assertEqual(self.found(0.1, 0.1, 0.1, 0.1, 0.9), [])

  def test_several(self):
    found = self.found(0.1, 0.99, 0.98, 0.2, 0.99, 0.98, 0.99)

    self.assertEqual([name for name, _ in found], ["run 0", "run 3"])


class StudyTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.directory = directory_lib.StudyDirectory(root / "a study")
    path = self.directory.in_mask_path(FAMILY)
    path.parent.mkdir(parents=True)
    np.save(path, MASKS)
    self.directory.dataset_dir.mkdir()
    pd.DataFrame(
      {
        "example_id": [*range(6), 0, 1],
        "split": ["train"] * 6 + ["test"] * 2,
        "label": [*LABELS, *TEST_LABELS],
        "clean_label": [*CLEAN, *TEST_LABELS],
        "is_noisy": [False] * 5 + [True] + [False] * 2,
      }
    ).to_parquet(self.directory.dataset_dir / "examples.parquet")
    for index in range(4):
      self.write(unit(index), PREDICTED[index], TEST_PREDICTED[index])

  def write(self, unit, predicted, test_predicted):
    mask = MASKS[unit.index]
    content = predictions.table_bytes(
      predictions.from_logits(
        logits_for(predicted),
        logits_for(test_predicted),
        LABELS,
        TEST_LABELS,
        mask,
      )
    )
    folder = self.directory.run_dir(unit)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictions.parquet").write_bytes(content)
    record = {
      **made_up.ABOUT_RUN,
      "recipe_digest": recipes.parse(
        unit.recipe, settings_lib.TrainingConfig()
      ).digest(),
      "subset_digest": files.digest_bytes(np.packbits(mask)),
      "unit": unit.name,
      "parameters": 1000 + len(unit.model),
      "in_accuracy": float((predicted == LABELS)[mask].mean()),
      "seconds": {"total": 1.5 + unit.index},
      "outputs": {
        "predictions.parquet": {
          "bytes": len(content),
          "digest": files.digest_bytes(content),
        }
      },
    }
    (folder / "run.json").write_text(json.dumps(record))

  def scores_path(self, model=SMALL):
    folder = self.directory.scores_dir(
      work_units.Group(model, "one_hot", FAMILY)
    )
    return folder / "memorization.parquet"


class ScoreStudyTest(StudyTestCase):
  def test_scores_by_hand(self):
    (result,) = study.score_study(self.directory, plan_of(SMALL))

    # Each example is in two runs. Example 1 is right in one of the two runs
    # that did not see it, example 5 in neither.
    scores = result.scores
    np.testing.assert_array_equal(scores.in_accuracy, [1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(scores.out_accuracy, [1, 0.5, 1, 1, 1, 0])
    np.testing.assert_array_equal(scores.memorization, [0, 0.5, 0, 0, 0, 1])
    np.testing.assert_array_equal(scores.num_in, [2] * 6)
    np.testing.assert_array_equal(scores.num_out, [2] * 6)
    self.assertEqual(result.group, (SMALL, "one_hot", FAMILY))
    self.assertEqual(result.parameters, 1014)
    self.assertEqual(result.seconds, 1.5 + 2.5 + 3.5 + 4.5)
    self.assertEqual(result.num_missing, 0)
    self.assertEqual(result.flagged, ())
    self.assertLen(result.examples, 6)

  def test_summary_by_hand(self):
    (result,) = study.score_study(self.directory, plan_of(SMALL))

    summary = result.summary()

    expected = {
      "num_runs": 4,
      "parameters": 1014,
      "in_accuracy": 1.0,
      # 9 of 12 held-out places: (1 + 0.5 + 1 + 1 + 1 + 0) / 6.
      "out_accuracy": 0.75,
      # 2, 2, 1 and 0 of two.
      "test_accuracy": 5 / 8,
      # Example 5's label is wrong, so where it is learnt, clean is missed.
      "in_accuracy_clean": 10 / 12,
      # Held out, only run 2 misses example 1.
      "out_accuracy_clean": 11 / 12,
      "mean_memorization": 0.25,
      "num_planted": 1,
      "planted_auroc": 1.0,
      "planted_precision": 1.0,
      "planted_memorization": 1.0,
      "other_memorization": 0.1,
    }
    for name, value in expected.items():
      self.assertAlmostEqual(summary[name], value, 12, name)
    width = np.mean(result.scores.ci_high - result.scores.ci_low)
    self.assertAlmostEqual(summary["mean_interval_width"], width, 12)
    self.assertEqual(
      set(summary) - set(expected),
      {"mean_interval_width", "ambiguous_interval_width", "num_ambiguous"},
    )

  def test_score_file(self):
    (result,) = study.score_study(self.directory, plan_of(SMALL))

    table = pq.read_table(self.scores_path())

    self.assertEqual(
      table.column_names,
      [
        "example_id",
        "label",
        "memorization",
        "in_accuracy",
        "out_accuracy",
        "num_in",
        "num_out",
        "standard_error",
        "ci_low",
        "ci_high",
        "memorization_margin",
        "margin_ci_low",
        "margin_ci_high",
      ],
    )
    frame = table.to_pandas()
    np.testing.assert_array_equal(frame["example_id"], np.arange(6))
    np.testing.assert_array_equal(frame["label"], LABELS)
    for name in table.column_names[2:-3]:
      np.testing.assert_array_equal(frame[name], getattr(result.scores, name))

  def test_score_file_says_how_it_was_made(self):
    study.score_study(self.directory, plan_of(SMALL))

    metadata = pq.read_schema(self.scores_path()).metadata

    expected = {
      "outcome": "correctness",
      "estimand": "conditional",
      "estimator": "plain",
      "model": SMALL,
      "recipe": "one_hot",
      "subsets": FAMILY,
      "scheme": "balanced",
      "ratio": "0.5",
      "M": "4",
      "dataset": "digits",
      "format_version": "2",
    }
    for key, value in expected.items():
      self.assertEqual(metadata[key.encode()], value.encode(), key)

  def test_every_group_smallest_model_first(self):
    for index in range(4):
      # Knows everything: memorization 0 everywhere.
      self.write(unit(index, LARGE), LABELS, TEST_LABELS)

    results = study.score_study(self.directory, plan_of(LARGE, SMALL))

    self.assertEqual([result.group.model for result in results], [SMALL, LARGE])
    np.testing.assert_array_equal(results[1].scores.memorization, [0] * 6)
    self.assertEqual(
      pd.read_parquet(self.scores_path(LARGE))["memorization"].tolist(),
      [0.0] * 6,
    )
    summary = json.loads(
      (self.directory.root / "scores/summary.json").read_text()
    )
    self.assertEqual(
      [(entry["model"], entry["mean_memorization"]) for entry in summary],
      [(SMALL, 0.25), (LARGE, 0.0)],
    )
    self.assertEqual(
      (summary[0]["recipe"], summary[0]["subsets"]), ("one_hot", FAMILY)
    )

  def test_group_without_runs_is_left_out(self):
    results = study.score_study(self.directory, plan_of(SMALL, LARGE))

    self.assertLen(results, 1)
    self.assertTrue(self.scores_path(SMALL).exists())
    self.assertFalse(self.scores_path(LARGE).exists())

  def test_unfinished_runs_are_counted_and_leave_nan(self):
    for index in (1, 3):
      (self.directory.run_dir(unit(index)) / "run.json").unlink()

    (result,) = study.score_study(self.directory, plan_of(SMALL))

    # Runs 0 and 2 are left. Both saw 0, 2 and 5; neither saw 3.
    self.assertEqual(result.num_missing, 2)
    self.assertEqual(result.seconds, 1.5 + 3.5)
    np.testing.assert_array_equal(result.scores.num_in, [2, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(
      result.scores.memorization, [np.nan, 1.0, np.nan, np.nan, 0.0, np.nan]
    )
    # Means are over the two that are known.
    self.assertEqual(result.summary()["mean_memorization"], 0.5)
    text = (self.directory.root / "scores/summary.json").read_text()
    (entry,) = json.loads(text)
    # The planted example is not known, so its figures are missing, not NaN:
    # JSON has none.
    self.assertIsNone(entry["planted_auroc"])
    self.assertNotIn("NaN", text)
    self.assertEqual(pq.read_schema(self.scores_path()).metadata[b"M"], b"2")

  def test_damaged_predictions_are_refused(self):
    path = self.directory.run_dir(unit(2)) / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)

    with self.assertRaisesRegex(errors.StudyError, "recorded digest"):
      study.score_study(self.directory, plan_of(SMALL))

  def test_run_without_an_output_counts_as_missing(self):
    path = self.directory.run_dir(unit(2)) / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:-1])

    (result,) = study.score_study(self.directory, plan_of(SMALL))

    self.assertEqual(result.num_missing, 1)
    self.assertEqual(result.stack.units, (unit(0), unit(1), unit(3)))

  def test_scoring_again_gives_the_same_files(self):
    study.score_study(self.directory, plan_of(SMALL))
    first = self.scores_path().read_bytes()

    study.score_study(self.directory, plan_of(SMALL))

    self.assertEqual(self.scores_path().read_bytes(), first)
    names = [p.name for p in self.scores_path().parent.iterdir()]
    self.assertCountEqual(names, ["memorization.parquet", "influence.parquet"])

  def test_influence_file_holds_the_pairs_and_their_null(self):
    plan = plan_of(SMALL, min_influence=0.4)
    result = study.score_study(self.directory, plan)[0]

    table = pq.read_table(self.scores_path().parent / "influence.parquet")

    # Test example 1 (label 1) is right in runs 0 and 1. Example 1 was in runs 0
    # and 3, example 4 in 1 and 2: influence 0 each. Test example 0 (label 0) is
    # right in all but run 3. Example 0, of memorization 0, was in 0 and 2:
    # influence 1/2, but it is memorized by none; likewise example 3.
    self.assertEqual(table.num_rows, 0)
    self.assertEqual(
      table.column_names,
      [
        "train_id",
        "test_id",
        "influence",
        "standard_error",
        "q_value",
        "influence_margin",
        "margin_q_value",
      ],
    )
    metadata = table.schema.metadata
    self.assertIn(b"Fisher", metadata[b"null"])
    self.assertEqual(metadata[b"num_tested"], b"4")
    text = result.certainty(0.2)
    self.assertRegex(
      text, r"wide on average, and 1\.\d\d for an ambiguous image"
    )

    plan = plan_of(SMALL, min_influence=0.4, min_memorization=-1.0)
    study.score_study(self.directory, plan)
    frame = pd.read_parquet(self.scores_path().parent / "influence.parquet")
    self.assertEqual(frame["train_id"].tolist(), [0])
    self.assertEqual(frame["test_id"].tolist(), [0])
    self.assertEqual(frame["influence"].tolist(), [0.5])

  def test_top_k_keeps_the_best_of_every_test_example(self):
    study.score_study(self.directory, plan_of(SMALL, influence_top_k=1))

    path = self.scores_path().parent / "influence.parquet"
    frame = pd.read_parquet(path).sort_values("test_id")
    # Test example 0: influence 1/2 of examples 0 and 3, the lower id; test
    # example 1, right in runs 0 and 1: example 2 was in these and no others.
    inside = MASKS.astype(float)
    best = []
    for t in (0, 1):
      right = (TEST_PREDICTED[:, t] == TEST_LABELS[t]).astype(float)
      value = (inside * right[:, None]).mean(axis=0) / inside.mean(axis=0) - (
        (1 - inside) * right[:, None]
      ).mean(axis=0) / (1 - inside).mean(axis=0)
      best.append((int(value.argmax()), value.max()))
    self.assertEqual(frame["train_id"].tolist(), [n for n, _ in best])
    self.assertEqual(frame["influence"].tolist(), [v for _, v in best])
    self.assertEqual(pq.read_schema(path).metadata[b"top_k"], b"1")

  def test_further_outcomes_have_files_of_their_own(self):
    outcomes = ("correctness", "label_probability", "margin")
    (result,) = study.score_study(
      self.directory, plan_of(SMALL, outcomes=outcomes)
    )

    for name, values in (
      ("label_probability", result.stack.label_prob),
      ("margin", result.stack.margin),
    ):
      path = self.scores_path().parent / f"memorization_{name}.parquet"
      frame = pd.read_parquet(path)
      expected = [
        values[MASKS[:, n], n].mean(dtype=np.float64)
        - values[~MASKS[:, n], n].mean(dtype=np.float64)
        for n in range(6)
      ]
      np.testing.assert_allclose(frame["memorization"], expected, atol=1e-12)
      metadata = pq.read_schema(path).metadata
      self.assertEqual(metadata[b"outcome"], name.encode())
      self.assertIn(b"Welch", metadata[b"interval"])
    # The first file is what it is without them.
    frame = pd.read_parquet(self.scores_path())
    np.testing.assert_array_equal(
      frame["memorization"], result.scores.memorization
    )

  def test_families_of_two_ratios_give_c_scores(self):
    third = "r0.33"
    np.save(self.directory.in_mask_path(third), MASKS)
    for index in range(4):
      other = dataclasses.replace(unit(index), subsets=third)
      self.write(other, PREDICTED[index], TEST_PREDICTED[index])
    plan = plan_of(SMALL, families=(third,))

    study.score_study(self.directory, plan)

    path = self.scores_path().parents[1] / "consistency.parquet"
    frame = pd.read_parquet(path)
    # The same runs under both names: the mean of two equal profiles.
    right = PREDICTED == LABELS
    held_out = [right[~MASKS[:, n], n].mean() for n in range(6)]
    for name in ("c_score", "consistency_0.33", "consistency_0.5"):
      np.testing.assert_allclose(frame[name], held_out, atol=1e-15)
    self.assertEqual(pq.read_schema(path).metadata[b"ratios"], b"0.33, 0.5")

  def test_study_without_planted_labels(self):
    path = self.directory.dataset_dir / "examples.parquet"
    frame = pd.read_parquet(path)
    frame["is_noisy"] = False
    frame.to_parquet(path)

    (result,) = study.score_study(self.directory, plan_of(SMALL))

    summary = result.summary()
    self.assertEqual(summary["num_planted"], 0)
    for name in ("planted_auroc", "planted_precision", "planted_memorization"):
      self.assertTrue(np.isnan(summary[name]), name)
    self.assertEqual(summary["other_memorization"], 0.25)
    self.assertEndsWith(summary_lib.summary_lines([result])[1], "none")


class StuckRunTest(StudyTestCase):
  def setUp(self):
    super().setUp()
    # Run 3 says 1 whatever it sees: right on example 1 of its three.
    self.write(unit(3), np.ones(6, int), np.ones(2, int))

  def test_is_listed_and_kept(self):
    (result,) = study.score_study(self.directory, plan_of(SMALL))

    self.assertEqual([name for name, _ in result.flagged], [unit(3).name])
    self.assertLen(result.stack.units, 4)
    self.assertEqual(result.scores.in_accuracy[3], 0.5)

  def test_is_left_out_on_request(self):
    (result,) = study.score_study(
      self.directory, plan_of(SMALL, exclude_flagged_runs=True)
    )

    self.assertEqual([name for name, _ in result.flagged], [unit(3).name])
    self.assertEqual(result.stack.units, (unit(0), unit(1), unit(2)))
    np.testing.assert_array_equal(result.scores.num_in, [2, 1, 2, 1, 2, 2])
    self.assertEqual(result.scores.in_accuracy[3], 1.0)
    self.assertEqual(result.num_missing, 0)


class RecordedFiguresTest(StudyTestCase):
  """What a run records of itself must agree with its files and siblings."""

  def assert_refused(self, message: str, **figures) -> None:
    path = self.directory.run_dir(unit(1)) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | figures))

    with self.assertRaisesRegex(errors.DamagedRunError, message):
      study.score_study(self.directory, plan_of(SMALL))

  def test_in_accuracy_is_that_of_the_predictions(self):
    self.assert_refused("in_accuracy 0.25, its predictions", in_accuracy=0.25)

  def test_siblings_have_one_number_of_parameters(self):
    self.assert_refused("has 7 parameters, its siblings 1014", parameters=7)


class PlantedTest(StudyTestCase):
  def setUp(self):
    super().setUp()
    # Example 3 is a copy of 0; 4 is noise; 5 has a wrong label.
    path = self.directory.dataset_dir / "examples.parquet"
    frame = pd.read_parquet(path)
    frame["plant"] = ["", "", "", "exact_duplicate", "noise_image"] + [
      "wrong_label",
      "",
      "",
    ]
    frame["origin_id"] = [0, 1, 2, 0, -1, 5, 0, 1]
    frame.to_parquet(path)

  def test_figures_of_wrong_labels_leave_copies_and_noise_aside(self):
    (result,) = study.score_study(self.directory, plan_of(SMALL))

    summary = result.summary()

    # Over 1, 2 and 5, with scores 0.5, 0 and 1.
    self.assertEqual(summary["num_planted"], 1)
    self.assertEqual(summary["planted_memorization"], 1.0)
    self.assertEqual(summary["other_memorization"], 0.25)
    # What is about all of them stays so.
    self.assertEqual(summary["mean_memorization"], 0.25)

  def test_expected_and_measured_by_kind_in_the_summary(self):
    study.score_study(self.directory, plan_of(SMALL))

    text = (self.directory.root / "scores/summary.json").read_text()
    rows = {row["kind"]: row for row in json.loads(text)[0]["planted"]}
    self.assertEqual(
      {kind: row["num_examples"] for kind, row in rows.items()},
      {"clean": 2, "wrong label": 1, "clean, 2 copies": 2, "noise image": 1},
    )
    self.assertEqual(rows["clean"]["memorization"], 0.25)
    self.assertIsNone(rows["clean"]["expected_low"])
    # Half of the clean ones' 0.25, subsets holding half of the examples.
    self.assertEqual(rows["clean, 2 copies"]["expected_low"], 0.125)
    # Three classes.
    self.assertAlmostEqual(rows["noise image"]["expected_low"], 2 / 3)

  def test_nothing_planted_has_no_table(self):
    path = self.directory.dataset_dir / "examples.parquet"
    frame = pd.read_parquet(path)
    frame["plant"], frame["is_noisy"] = "", False
    frame["origin_id"] = frame["example_id"]
    frame.to_parquet(path)

    (result,) = study.score_study(self.directory, plan_of(SMALL))

    self.assertEqual(result.planted_summary(), [])
    self.assertLen(summary_lib.summary_lines([result]), 2)


class SummaryLinesTest(StudyTestCase):
  def test_a_line_a_group_under_a_header(self):
    results = study.score_study(self.directory, plan_of(SMALL))

    header, line = summary_lib.summary_lines(results)

    self.assertEqual(
      line.split(),
      [
        f"{SMALL}/one_hot/{FAMILY}",
        "4",
        "1.0000",
        "0.7500",
        "0.6250",
        "0.2500",
        "1.0000",
      ],
    )
    self.assertEqual(len(header), len(line))

  def test_what_is_not_known_is_none(self):
    (result,) = study.score_study(self.directory, plan_of(SMALL))
    unknown = result.summary() | {"out_accuracy": float("nan")}
    with mock.patch.object(type(result), "summary", return_value=unknown):
      _, line = summary_lib.summary_lines([result])

    self.assertEqual(line.split()[2:5], ["1.0000", "none", "0.6250"])


if __name__ == "__main__":
  absltest.main()
