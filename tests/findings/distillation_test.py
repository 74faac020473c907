"""From groups of runs to comparisons of recipes, their files and the page."""

import json
import pathlib

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.analysis.distillation import sets
from memo_tf.estimators import exposure
from memo_tf.estimators import memorization
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.findings import compared_recipes
from memo_tf.findings import distillation
from memo_tf.report import material
from memo_tf.report import page
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from tests.findings import sizes_test
from tests.support import made_up
from tests.support import page_data
from tests.support import simulated_distillation

MODELS = (("cifar_resnet-8", 100), ("cifar_resnet-14", 200))
STUDENT = "distilled-cifar_resnet-8-t3"
RECIPES = ("one_hot", STUDENT)
NUM_EXAMPLES, NUM_SUBSETS, NUM_TESTS = 120, 40, 8


def make_plan(recipes=RECIPES):
  return plan_lib.Plan.of(
    config_lib.StudyConfig(
      models=settings_lib.ModelsConfig(
        models=tuple(name for name, _ in MODELS), recipes=tuple(recipes)
      )
    )
  )


def make_groups(recipes=RECIPES, seed=0):
  """Groups of each model and recipe; images that change are planted.

  The recipes after the first memorize images with increasing trajectories
  less, and give held-out labels a higher probability.
  """
  runs = simulated_distillation.simulate(
    lowered=0.5,
    num_subsets=NUM_SUBSETS,
    num_examples=NUM_EXAMPLES,
    num_sizes=len(MODELS),
    shares=sizes_test.SHARES,
    seed=seed,
  )
  study, rng = runs.study, np.random.default_rng(seed)
  planted = study.shape_class == "increasing"
  labels = planted.astype(np.int32)
  tests = np.arange(NUM_TESTS, dtype=np.int32) % 2
  found = []
  for place, recipe in enumerate(recipes):
    outcomes = study.correct if not place else runs.other
    for (model, parameters), correct in zip(MODELS, outcomes):
      probability = rng.uniform(0.6, 0.9, correct.shape)
      probability = np.where(correct, probability, 0.2 + 0.1 * bool(place))
      right = rng.random((NUM_SUBSETS, NUM_TESTS)) < 0.7
      stack = predictions.RunStack(
        units=tuple(
          work_units.WorkUnit(model, recipe, "r0.70", m)
          for m in range(NUM_SUBSETS)
        ),
        in_mask=study.in_mask,
        label_prob=probability.astype(np.float32),
        margin=np.log(probability / (1 - probability)).astype(np.float32),
        predicted=np.where(correct, labels, 1 - labels),
        labels=labels,
        test_predicted=np.where(right, tests, 1 - tests),
        test_labels=tests,
        test_label_prob=np.full(right.shape, 0.5, np.float32),
        test_margin=np.ones(right.shape, np.float32),
      )
      found.append(
        groups_lib.GroupScores(
          group=work_units.Group(model, recipe, "r0.70"),
          parameters=parameters,
          scores=memorization.memorization_scores(correct, study.in_mask),
          stack=stack,
          examples=pd.DataFrame(
            {
              "label": labels,
              "clean_label": np.zeros(NUM_EXAMPLES, int),
              "is_noisy": planted,
            }
          ),
          flagged=(),
          num_missing=0,
          seconds=1.0,
        )
      )
  return found


class GatherTest(absltest.TestCase):
  def study(self, groups, recipes=RECIPES):
    directory = directory_lib.StudyDirectory(self.create_tempdir().full_path)
    plan = make_plan(recipes)
    return distillation.study_distillation(directory, plan, groups)

  def test_models_and_subsets_that_both_recipes_have_count(self):
    groups = make_groups()
    groups[0] = sizes_test.without_runs(groups[0], {3})
    groups[3] = sizes_test.without_runs(groups[3], {0, 12})

    (found,) = self.study(groups[::-1])

    self.assertEqual(found.models, ("cifar_resnet-8", "cifar_resnet-14"))
    kept = [m for m in range(NUM_SUBSETS) if m not in (0, 3, 12)]
    for side in (0, 1):
      expected = [groups[2 * side + s].stack for s in range(2)]
      for size, stack in enumerate(expected):
        rows = [i for i, u in enumerate(stack.units) if u.index in kept]
        np.testing.assert_array_equal(
          found.correct[side][size], stack.correct[rows]
        )
    self.assertEqual(found.block.tolist(), [m // 10 for m in kept])

  def test_a_recipe_of_one_model_is_compared_there_alone(self):
    groups = make_groups()

    (found,) = self.study([*groups[:2], groups[3]])

    self.assertEqual(found.models, ("cifar_resnet-14",))
    self.assertNotIn("increasing", set(found.set_table["set"]))
    self.assertIn(compared_recipes.PLANTED, set(found.set_table["set"]))

  def test_what_is_not_compared(self):
    groups = make_groups()

    self.assertEmpty(self.study(groups[:2], ["one_hot"]))
    self.assertEmpty(self.study(groups[2:]))
    alone = [sizes_test.without_runs(g, set(range(1, 40))) for g in groups]
    self.assertEmpty(self.study(alone))

  def test_a_leaky_student_is_compared_with_the_proper_one_too(self):
    recipes = (*RECIPES, f"{STUDENT}-sees_all", "smoothed-0.1", "one_hot-e40")

    found = self.study(make_groups(recipes), recipes)

    self.assertEqual(
      [(f.baseline, f.recipe.name) for f in found],
      [
        ("one_hot", STUDENT),
        ("one_hot", f"{STUDENT}-sees_all"),
        (STUDENT, f"{STUDENT}-sees_all"),
        ("one_hot", "smoothed-0.1"),
        ("one_hot", "one_hot-e40"),
      ],
    )


class WrittenTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.groups = make_groups()
    plan = make_plan()
    cls.compared = distillation.gather(
      *("cifar_resnet", "r0.70", cls.groups, "one_hot"),
      plan.recipes[STUDENT],
      plan,
    )

  def test_tables_are_the_same_in_both_formats(self):
    root = pathlib.Path(self.create_tempdir().full_path)
    tables = self.compared.tables()

    distillation.write(directory_lib.StudyDirectory(root), [self.compared])

    folder = root / "findings/distillation/cifar_resnet/r0.70"

    self.assertCountEqual(
      [p.name for p in folder.iterdir()],
      [f"{name}.{kind}" for name in tables for kind in ("parquet", "csv")],
    )
    for name, frame in tables.items():
      self.assertEqual(list(frame)[:2], ["recipe", "baseline"])
      self.assertEqual(set(frame["recipe"]), {STUDENT})
      stored = pd.read_parquet(folder / f"{name}.parquet")
      text = pd.read_csv(folder / f"{name}.csv")
      self.assertEqual(list(stored), list(frame))
      numbers = frame.select_dtypes("number").columns
      np.testing.assert_allclose(text[numbers], stored[numbers], rtol=1e-12)

  def test_examples_have_both_scores_and_exposures(self):
    table = self.compared.tables()["examples"]

    for place, group in enumerate(self.groups):
      suffix = "" if place >= 2 else "_baseline"
      rows = table[table["model"] == group.group.model]
      stack = group.stack
      np.testing.assert_allclose(
        rows[f"memorization{suffix}"], group.scores.memorization, atol=1e-12
      )
      attack = exposure.exposure(
        exposure.logit_confidence(stack.label_prob, stack.margin, 2),
        stack.in_mask,
      )
      np.testing.assert_allclose(rows[f"separation{suffix}"], attack.separation)
    np.testing.assert_allclose(
      table["change"], table["memorization"] - table["memorization_baseline"]
    )

  def test_sets_come_from_other_runs_than_the_change(self):
    first, second = sets.halves(self.compared.block)
    table = self.compared.set_table
    row = table[
      (table["set"] == compared_recipes.LOWERED) & (table["size"] == -1)
    ].iloc[0]

    changes = []
    for half in (first, second):
      values = []
      for rows in (half.sets, half.change):
        stacks = [g.stack for g in self.groups]
        scores = [
          memorization.memorization_scores(
            s.correct[rows], s.in_mask[rows]
          ).memorization
          for s in stacks
        ]
        values.append(
          np.mean([scores[2] - scores[0], scores[3] - scores[1]], axis=0)
        )
      changes.append(values[1][values[0] <= -0.1].mean())

    self.assertAlmostEqual(row["memorization_change"], np.mean(changes))

  def test_findings_say_what_was_simulated(self):
    found = {f.question: f for f in self.compared.findings}

    self.assertEqual(found["Does it lower mean memorization?"].answer, "yes")
    wrong = found["Does it lower the memorization of wrong labels?"]
    self.assertEqual(wrong.answer, "yes")
    leak = found["Does it raise the probability of held-out wrong labels?"]
    self.assertEqual(leak.answer, "yes")
    self.assertIn("mean over sizes", leak.text)
    increasing = found["Does it lower mostly that of increasing trajectories?"]
    self.assertEqual(increasing.answer, "yes")
    for finding in found.values():
      self.assertNotIn("nan", finding.text)

  def test_without_probabilities_there_is_no_exposure(self):
    groups = []
    for group in make_groups():
      nothing = np.full(group.stack.correct.shape, np.nan, np.float32)
      stack = predictions.RunStack(
        **{**vars(group.stack), "label_prob": nothing, "margin": nothing}
      )
      groups.append(groups_lib.GroupScores(**{**vars(group), "stack": stack}))

    (found,) = distillation.study_distillation(
      directory_lib.StudyDirectory(self.create_tempdir().full_path),
      make_plan(),
      groups,
    )

    self.assertNotIn("exposure", found.tables())
    self.assertNotIn("held_out", found.tables())
    self.assertNotIn("separation", found.tables()["examples"])

  def test_with_three_runs_nothing_is_said_of_exposure(self):
    groups = [
      sizes_test.without_runs(group, set(range(3, NUM_SUBSETS)))
      for group in make_groups()
    ]

    (found,) = distillation.study_distillation(
      directory_lib.StudyDirectory(self.create_tempdir().full_path),
      make_plan(),
      groups,
    )

    self.assertNotIn("exposure", found.tables())
    for finding in found.findings:
      self.assertNotIn("nan", finding.text)

  def test_the_page_shows_it(self):
    directory = directory_lib.StudyDirectory(self.create_tempdir().full_path)
    directory.dataset_dir.mkdir()
    info = {
      **made_up.ABOUT_DATA,
      "name": "made up",
      "version": "1",
      "licence": "none",
      "citation": "nobody",
      "order": "any",
      "num_train": NUM_EXAMPLES,
      "num_test": NUM_TESTS,
      "num_classes": 2,
      "class_names": ["cat", "dog"],
      "image_shape": [8, 8, 1],
      "max_pixel": 255,
    }
    (directory.dataset_dir / "info.json").write_text(json.dumps(info))
    config = config_lib.StudyConfig(
      models=settings_lib.ModelsConfig(
        models=tuple(name for name, _ in MODELS), recipes=RECIPES
      ),
      outputs=settings_lib.OutputsConfig(report_images="none"),
    )
    for group in self.groups:
      for unit in group.stack.units:
        folder = directory.run_dir(unit)
        folder.mkdir(parents=True)
        record = {**made_up.ABOUT_RUN, "unit": unit.name, "outputs": {}}
        (folder / "run.json").write_text(json.dumps(record))

    found = page_data.Page(
      page.write_page(
        material.of(
          directory, config, self.groups, {}, "", recipes=[self.compared]
        )
      )
    )

    start = found.text.index("distilled from ResNet-8, temperature 3 beside")
    part = found.text[start : found.text.index("All tables", start)]
    self.assertIn("Mean memorization falls on average over 2 sizes", part)
    self.assertIn("memorized, right label", part)
    self.assertNotRegex(part, r"\bnan\b")
    charts = [c for c in found.values["charts"] if c.startswith("distillation")]
    self.assertLen(charts, 3)
    self.assertIn("At matched training accuracy", part)
    (row,) = self.compared.matched.dropna(subset="change").to_dict("records")
    ends = f"[{row['change_low']:+.4f}, {row['change_high']:+.4f}]"
    sides = f"{row['matched_memorization']:.4f} → {row['memorization']:.4f}"
    self.assertIn(f"{sides} {row['change']:+.4f} {ends}", part)
    columns = page_data.chart_columns(
      found.values["charts"]["distillation-0-joint"]
    )
    cells = next(shown for shown in columns if "count" in shown)
    self.assertEqual(sum(cells["count"]), NUM_EXAMPLES)
    changes = self.compared.changes["memorization_change"][: len(MODELS)]
    joint = self.compared.joint
    joint = joint[joint["size"] == changes.abs().idxmax()]
    for name, column in (
      ("left", "baseline_low"),
      ("low", "other_low"),
      ("count", "num_examples"),
    ):
      self.assertEqual(cells[name], joint[column].tolist())


if __name__ == "__main__":
  absltest.main()
