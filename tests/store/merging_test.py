"""Merging: a study made in parts is the study, and nothing else gets in."""

import dataclasses
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.store import checkup
from memo_tf.store import directory as directory_lib
from memo_tf.store import merging
from memo_tf.store import opening
from tests.support import made_up
from tests.support import small_study


class MergingTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.into = directory_lib.StudyDirectory(self.root / "into")

  def make(self, name, runs, settings=None, **options):
    settings = settings or made_up.config()
    return made_up.make(self.root / name, settings, runs, **options)

  def merge(self, *sources):
    return merging.merge(self.into, list(sources))

  def refused(self, *sources) -> str:
    with self.assertRaises(errors.UsageError) as caught:
      self.merge(*sources)
    self.assertFalse((self.into.root / "runs").exists())
    self.assertNotIn("\n", str(caught.exception))
    return str(caught.exception)

  def test_parts_are_the_whole(self):
    whole = self.make("whole", range(4))

    merged = self.merge(self.make("a", [0, 2]), self.make("b", [1, 3]))

    self.assertEqual((merged.num_copied, merged.num_there), (4, 0))
    self.assertEmpty(
      small_study.differences(
        small_study.arrays(self.into.root), small_study.arrays(whole.root)
      )
    )
    self.assertEmpty(
      list(checkup.findings(self.into, plan_lib.Plan.of(made_up.config())))
    )
    self.assertEmpty(list(self.into.root.rglob(".*~*")))

  def test_again_it_copies_nothing(self):
    parts = self.make("a", [0, 2]), self.make("b", [1, 2])

    self.merge(*parts)
    before = (self.into.run_dir(made_up.unit(2)) / "run.json").stat()
    merged = self.merge(*parts)

    self.assertEqual((merged.num_copied, merged.num_there), (0, 4))
    after = (self.into.run_dir(made_up.unit(2)) / "run.json").stat()
    self.assertEqual(before.st_mtime_ns, after.st_mtime_ns)

  def test_removal_of_all_models_is_not_reduced_to_those_named(self):
    def settings(*models):
      config = made_up.config()
      removal = dataclasses.replace(
        config.removal, removal_repeats=2, removal_models=models
      )
      return dataclasses.replace(config, removal=removal)

    named = self.make("a", [0, 2], settings(made_up.unit(0).model))
    every = self.make("b", [1, 3], settings())

    for order in ((named, every), (every, named)):
      into = directory_lib.StudyDirectory(self.root / order[0].root.name / "x")
      merging.merge(into, list(order))
      config = opening.recorded_config(into)
      self.assertEqual(config.removal.removal_models, ())

  def test_goes_on_where_it_stopped(self):
    parts = self.make("a", [0, 2]), self.make("b", [1, 3])
    self.merge(*parts)
    (self.into.run_dir(made_up.unit(3)) / "run.json").rename(self.root / "gone")
    self.into.move_aside(made_up.unit(3))
    self.into.config_path.unlink()
    for name in ("runs", "damaged"):
      (self.into.root / name).rename(self.root / name)

    merged = self.merge(*parts)

    self.assertEqual(merged.num_copied, 4)

  def test_a_smaller_study_goes_into_a_larger_one(self):
    small = self.make("a", [0, 1], made_up.config(num_subsets=2))
    large = self.make("b", [2, 3])

    self.merge(small, large)

    self.assertLen(small_study.finished_runs(self.into.root), 4)

  def test_outputs_of_both_are_united(self):
    settings = made_up.config()
    a, b = self.make("a", []), self.make("b", [])
    made_up.write_run(a, settings, 0, outputs=["logits.npy"])
    made_up.write_run(b, settings, 0, outputs=["weights.weights.h5"])

    self.merge(a, b)

    state = self.into.run_state(made_up.unit(0), check_digests=True)
    self.assertIsNone(state.problem)
    self.assertCountEqual(
      state.record["outputs"],
      [
        "predictions.parquet",
        "history.jsonl",
        "logits.npy",
        "weights.weights.h5",
      ],
    )

  @parameterized.parameters(
    ({"seed": 1}, "--seed: recorded 0, given 1"),
    ({"epochs": 21}, "--epochs: recorded 20, given 21"),
  )
  def test_other_settings_are_refused(self, change, message):
    a = self.make("a", [0])
    b = self.make("b", [1], made_up.config(**change))

    self.assertRegex(self.refused(a, b), f"has other settings than.*{message}")

  def test_another_data_set_is_refused(self):
    a = self.make("a", [0])
    b = self.make("b", [1], dataset_digest="e" * 32)

    self.assertIn("has another data set", self.refused(a, b))

  @parameterized.parameters("recipe_digest", "subset_digest", "dataset_digest")
  def test_a_run_of_another_study_is_refused(self, name):
    a, b = self.make("a", [0]), self.make("b", [])
    made_up.write_run(b, made_up.config(), 1, **{name: "0" * 32})

    message = self.refused(a, b)

    self.assertRegex(message, f"00001 in .* its {name} is '00")

  def test_one_unit_with_two_predictions_is_refused(self):
    a, b = self.make("a", [0]), self.make("b", [])
    made_up.write_run(b, made_up.config(), 0, logits_seed=1)

    self.assertRegex(self.refused(a, b), "00000 has other predictions in")

  def test_changed_subsets_are_refused(self):
    a, b = self.make("a", [0]), self.make("b", [1])
    path = b.in_mask_path("r0.70")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    self.assertIn("does not hold the subsets", self.refused(a, b))

  def test_more_subsets_than_recorded_are_accepted_if_the_seed_gives_them(self):
    a, b = self.make("a", [0]), self.make("b", [1])
    longer = made_up.masks_of(made_up.config(num_subsets=12))
    np.save(b.in_mask_path("r0.70"), longer)

    self.merge(a, b)

    np.testing.assert_array_equal(
      np.load(self.into.in_mask_path("r0.70")), longer[:4]
    )

  def test_changed_subsets_are_refused_where_there_are_more(self):
    a, b = self.make("a", [0]), self.make("b", [1])
    longer = made_up.masks_of(made_up.config(num_subsets=12))
    longer[3, 0] ^= True
    np.save(b.in_mask_path("r0.70"), longer)

    self.assertIn("does not hold the subsets", self.refused(a, b))

  def test_a_damaged_run_is_named_and_left(self):
    a, b = self.make("a", [0]), self.make("b", [1, 2])
    path = b.run_dir(made_up.unit(1)) / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)

    merged = self.merge(a, b)

    self.assertLen(small_study.finished_runs(self.into.root), 2)
    (place,) = merged.damaged
    self.assertIn(made_up.unit(1).name, place)

  def test_the_program_says_one_line_and_exits_with_2(self):
    a = self.make("a", [0])
    b = self.make("b", [1], made_up.config(seed=3))

    done = subprocess.run(
      [
        sys.executable,
        "-m",
        "memo_tf.merge",
        f"--experiment_dir={self.into.root}",
        f"--sources={a.root},{b.root}",
      ],
      cwd=small_study.ROOT,
      capture_output=True,
      text=True,
      check=False,
    )

    self.assertEqual(done.returncode, 2, done.stderr)
    self.assertRegex(done.stderr, r"\Amemo_tf.merge: .*--seed.*\n\Z")


if __name__ == "__main__":
  absltest.main()
