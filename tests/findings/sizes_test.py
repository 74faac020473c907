"""From groups of runs to the study over sizes, and its files."""

import dataclasses
import json
import pathlib
import re

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.estimators import memorization
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.findings import sizes
from memo_tf.report import material
from memo_tf.report import page
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from tests.support import beta_trajectories
from tests.support import made_up
from tests.support import page_data

SHARES = {"constant": 0.6, "increasing": 0.2, "decreasing": 0.2}
EVIL = "<script>alert(1)</script>"


def make_groups(
  models=(("cifar_resnet-8", 100), ("cifar_resnet-14", 200)),
  num_subsets=40,
  subsets="r0.70",
  num_examples=60,
):
  """A group a model from one simulated study; increasing ones are planted."""
  study = beta_trajectories.simulate_study(
    num_sizes=len(models),
    num_examples=num_examples,
    num_subsets=num_subsets,
    shares=SHARES,
    seed=1,
  )
  planted = study.shape_class == "increasing"
  labels = np.where(planted, 1, 0).astype(np.int32)
  groups = []
  for (model, parameters), correct in zip(models, study.correct):
    predicted = np.where(correct, labels, 1 - labels)
    stack = predictions.RunStack(
      units=tuple(
        work_units.WorkUnit(model, "one_hot", subsets, m)
        for m in range(num_subsets)
      ),
      in_mask=study.in_mask,
      label_prob=np.full(correct.shape, 0.5, np.float32),
      margin=np.ones(correct.shape, np.float32),
      predicted=predicted,
      labels=labels,
      test_predicted=np.tile(np.array([0, 1], np.int32), (num_subsets, 1)),
      test_labels=np.array([0, 0], np.int32),
      test_label_prob=np.full((num_subsets, 2), 0.5, np.float32),
      test_margin=np.ones((num_subsets, 2), np.float32),
    )
    groups.append(
      groups_lib.GroupScores(
        group=work_units.Group(model, "one_hot", subsets),
        parameters=parameters,
        scores=memorization.memorization_scores(stack.correct, study.in_mask),
        stack=stack,
        examples=pd.DataFrame(
          {
            "label": labels,
            "clean_label": np.zeros(num_examples, int),
            "is_noisy": planted,
          }
        ),
        flagged=(),
        num_missing=0,
        seconds=1.0,
      )
    )
  return groups, study


def without_runs(group, lost):
  """The group without the runs of some indices."""
  kept = [i for i, u in enumerate(group.stack.units) if u.index not in lost]
  stack = group.stack
  arrays = {
    name: getattr(stack, name)[kept]
    for name in (
      "in_mask",
      "label_prob",
      "margin",
      "predicted",
      "test_predicted",
      "test_label_prob",
      "test_margin",
    )
  }
  units = tuple(stack.units[i] for i in kept)
  changed = predictions.RunStack(
    **{**vars(stack), **arrays, "units": units},
  )
  return groups_lib.GroupScores(**{**vars(group), "stack": changed})


class GatherTest(absltest.TestCase):
  def gather(self, groups, subsets="r0.70"):
    key = sizes.LadderName("cifar_resnet", "one_hot", subsets)
    return sizes.gather(key, groups, settings_lib.OutputsConfig())

  def test_sizes_are_ordered_by_parameters(self):
    groups, study = make_groups()

    found = self.gather(groups[::-1])

    self.assertEqual(found.models, ("cifar_resnet-8", "cifar_resnet-14"))
    np.testing.assert_array_equal(found.correct, study.correct)
    self.assertEqual(found.block.tolist(), np.repeat(range(4), 10).tolist())

  def test_only_subsets_that_all_sizes_have_count(self):
    groups, study = make_groups()
    groups[0] = without_runs(groups[0], {3, 12})
    groups[1] = without_runs(groups[1], {0})

    found = self.gather(groups)

    kept = [m for m in range(40) if m not in (0, 3, 12)]
    np.testing.assert_array_equal(found.in_mask, study.in_mask[kept])
    np.testing.assert_array_equal(found.correct, study.correct[:, kept])
    self.assertEqual(found.block[:11].tolist(), [0] * 8 + [1] * 3)

  def test_what_gives_no_study(self):
    groups, _ = make_groups()

    self.assertIsNone(self.gather(groups[:1]))
    self.assertIsNone(self.gather(groups, "full"))
    self.assertIsNone(self.gather(groups, "r0.70-two_sizes"))
    apart = [
      without_runs(groups[0], set(range(20))),
      without_runs(groups[1], set(range(20, 40))),
    ]
    self.assertIsNone(self.gather(apart))

  def test_blocks_and_shortcuts_are_families_of_their_own(self):
    groups, _ = make_groups(
      models=(
        ("cifar_resnet-8", 1),
        ("cifar_resnet-14", 2),
        ("cifar_resnet-8-v2", 1),
        ("mobilenet_v3_small-0.5", 3),
        ("mobilenet_v3_small-1", 4),
      ),
      num_subsets=20,
      num_examples=40,
    )
    directory = directory_lib.StudyDirectory(self.create_tempdir().full_path)

    config = config_lib.StudyConfig(
      models=settings_lib.ModelsConfig(
        models=tuple(group.group.model for group in groups)
      )
    )
    plan = plan_lib.Plan.of(config)

    studies = sizes.study_sizes(directory, plan, groups)

    self.assertEqual(
      [s.name for s in studies],
      ["cifar_resnet/one_hot/r0.70", "mobilenet_v3_small/one_hot/r0.70"],
    )


class WrittenStudyTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.groups, cls.truth = make_groups()
    key = sizes.LadderName("cifar_resnet", "one_hot", "r0.70")
    cls.study = sizes.gather(key, cls.groups, settings_lib.OutputsConfig())

  def test_tables_are_tidy_and_the_same_in_both_formats(self):
    root = pathlib.Path(self.create_tempdir().full_path)

    sizes.write_study(directory_lib.StudyDirectory(root), self.study)

    folder = root / "trajectories/cifar_resnet/one_hot/r0.70"
    tables = self.study.tables()
    self.assertCountEqual(
      [p.name for p in folder.iterdir()],
      [f"{name}.{kind}" for name in tables for kind in ("parquet", "csv")],
    )
    for name, frame in tables.items():
      self.assertNotEmpty(frame, name)
      stored = pd.read_parquet(folder / f"{name}.parquet")
      text = pd.read_csv(folder / f"{name}.csv", keep_default_na=True)
      self.assertEqual(list(stored), list(frame))
      self.assertEqual(list(text), list(frame))
      numbers = frame.select_dtypes("number").columns
      np.testing.assert_allclose(text[numbers], stored[numbers], rtol=1e-12)

  def test_trajectories_are_the_scores(self):
    table = self.study.tables()["trajectories"]

    for group in self.groups:
      rows = table[table["model"] == group.group.model]
      scores = group.scores
      np.testing.assert_allclose(
        rows["memorization"], scores.memorization, atol=1e-12
      )
      np.testing.assert_allclose(rows["out_accuracy"], scores.out_accuracy)
      self.assertEqual(rows["example_id"].tolist(), list(range(60)))

  def test_planted_labels_are_found_among_the_increasing(self):
    table = self.study.tables()["planted"].set_index("shape_class")

    self.assertGreater(table.loc["increasing", "enrichment"], 3)
    self.assertLess(table.loc["decreasing", "share_low"], 0.01)

  def page(self, report_images="shown", studies=None) -> page_data.Page:
    directory = directory_lib.StudyDirectory(self.create_tempdir().full_path)
    directory.dataset_dir.mkdir()
    np.save(
      directory.dataset_dir / "images.npy", np.zeros((62, 8, 8, 1), np.uint8)
    )
    info = {
      **made_up.ABOUT_DATA,
      "name": "made up",
      "version": "1",
      "licence": "none",
      "citation": "nobody",
      "order": "any",
      "num_train": 60,
      "num_test": 2,
      "num_classes": 2,
      "class_names": [EVIL, "cat & dog"],
      "image_shape": [8, 8, 1],
      "max_pixel": 255,
    }
    (directory.dataset_dir / "info.json").write_text(json.dumps(info))
    for group in self.groups:
      for unit in group.stack.units:
        folder = directory.run_dir(unit)
        folder.mkdir(parents=True)
        record = {**made_up.ABOUT_RUN, "unit": unit.name, "outputs": {}}
        (folder / "run.json").write_text(json.dumps(record))
    outputs = settings_lib.OutputsConfig(report_images=report_images)
    study = material.of(
      directory,
      config_lib.StudyConfig(outputs=outputs),
      self.groups,
      {},
      "--dataset=digits",
      [self.study] if studies is None else studies,
    )
    return page_data.Page(page.write_page(study))

  def test_the_page_shows_it(self):
    found = self.page()

    start = found.text.index("Over model sizes")
    part = found.text[start : found.text.index("Planted truth", start)]
    self.assertIn("Planted wrong labels by class", part)
    self.assertIn("If no image changed at all", part)
    self.assertIn("rises from the smallest to the largest size : the", part)
    self.assertNotIn("with probability", part)
    self.assertNotRegex(part, r"\bnan\b")
    # The change over all sizes is the first sentence, with plain names.
    self.assertIn("from ResNet-8 to ResNet-14", part)
    self.assertNotIn(EVIL, found.html)
    charts = [c for c in found.values["charts"] if c.startswith("sizes-0")]
    self.assertLen(charts, 4)

  def test_images_can_be_kept_out(self):
    found = self.page("none")

    self.assertEmpty([tag for tag, _ in found.tags if tag == "img"])
    self.assertIn("smallest q first", found.text)

  def test_only_images_with_a_small_q_value_are_named(self):
    table = self.study.tables()["classes"].set_index("example_id")
    found = self.page("none")
    part = found.html[found.html.index('id="sizes-title"') :]
    part = part[: part.index('id="planted-title"')]

    named = [int(n) for n in re.findall(r'data-open="train:(\d+)"', part)]

    self.assertNotEmpty(named)
    self.assertTrue((table.loc[named, "change_q_value"] <= 0.05).all())
    self.assertFalse([c for c in table if c.startswith("p_")])
    self.assertTrue((table["change_ci_low"] <= table["change"]).all())
    # The drawer and the sort have the change of all, with its q-value.
    column = page_data.unpacked(found.values["sizes"][0]["q"])
    np.testing.assert_allclose(column, table["change_q_value"], rtol=1e-6)

  def test_without_such_images_the_page_names_none(self):
    rng = np.random.default_rng(0)
    level = rng.random(60)
    correct = rng.random(self.study.correct.shape) < level
    study = dataclasses.replace(self.study, correct=correct)

    found = self.page("none", [study])

    self.assertIn("no single image can be named", found.text)
    self.assertNotIn("smallest q first", found.text)


if __name__ == "__main__":
  absltest.main()
