"""Launches of a removal and an onion: killed at any moment, to the same end."""

import json
import pathlib
import re
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd
import pytest

from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from memo_tf.store import selections
from tests.support import small_study

MODEL = "cifar_resnet-8-w0.25"
FLAGS = {
  "models": MODEL,
  "num_subsets": 4,
  "subset_ratio": 0.5,
  "epochs": 3,
  "removal_repeats": 2,
  "removal_comparisons": "same_classes",
  "onion_subsets": 2,
  "workers": 1,
}
FAMILY = f"without-memorized-t0.25-{MODEL}"
CONTROL = f"without-same_classes-t0.25-{MODEL}"


def of_removal(folder) -> list[pathlib.Path]:
  return [p for p in small_study.finished_runs(folder) if "/without" in str(p)]


def of_onion(folder) -> list[pathlib.Path]:
  return [p for p in small_study.finished_runs(folder) if "0-without" in str(p)]


@pytest.mark.slow
class RemovalStudyTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(cls.temporary.cleanup)
    cls.root = pathlib.Path(cls.temporary.name)
    cls.folder = cls.root / "whole"
    cls.planned = small_study.launch(cls.folder, "--dry_run", **FLAGS)
    cls.launched = small_study.launch(cls.folder, **FLAGS)

  def test_two_rounds_in_one_launch(self):
    self.assertEqual(self.launched.returncode, 0, self.launched.stderr)
    said = self.launched.stdout + self.launched.stderr
    self.assertRegex(said, "4 runs: 0 done, 4 to run")
    self.assertRegex(said, r"Removal: \d+ of 1500 training examples")
    self.assertRegex(said, r"Onion: \d+ of 1500 training .* in the 2 runs that")
    self.assertRegex(said, "12 runs: 4 done, 8 to run")
    self.assertRegex(self.launched.stdout, "leaving out")
    self.assertRegex(self.launched.stdout, "Onion: .*other images")
    self.assertLen(of_removal(self.folder), 4)
    self.assertLen(of_onion(self.folder), 4)

  def test_dry_run_counts_them_beforehand(self):
    self.assertEqual(self.planned.returncode, 0, self.planned.stderr)
    self.assertRegex(self.planned.stdout, "12 runs pending")
    self.assertRegex(self.planned.stdout, rf"/{FAMILY} +2 +0")
    self.assertRegex(self.planned.stdout, rf"r0.50-{FAMILY} +2 +0")

  def test_runs_are_trained_on_what_is_written(self):
    directory = directory_lib.StudyDirectory(self.folder)
    chosen = selections.read(directory, FAMILY)
    group = self.folder / "scores" / MODEL / "one_hot/r0.50"
    scores = pd.read_parquet(group / "memorization.parquet")
    labels = scores["label"].to_numpy()

    high = np.flatnonzero(scores["memorization"] >= 0.25)
    self.assertEqual(list(chosen.ids), high.tolist())
    for path in of_removal(self.folder):
      name = str(path.parent.relative_to(directory.root / "runs"))
      table = predictions.pq.read_table(path.with_name("predictions.parquet"))
      frame = table.to_pandas()
      out = np.flatnonzero(
        ~frame["in_subset"].to_numpy()[frame["split"] == "train"]
      )
      self.assertLen(out, len(high), name)
      np.testing.assert_array_equal(
        np.bincount(labels[out], minlength=10),
        np.bincount(labels[high], minlength=10),
      )
      if FAMILY in name:
        np.testing.assert_array_equal(out, high)

  def test_runs_of_an_onion_are_those_before_without_what_is_written(self):
    directory = directory_lib.StudyDirectory(self.folder)
    chosen = selections.read(directory, f"r0.50-{FAMILY}")
    self.assertEqual(chosen.about["runs"], [2, 3])
    out_of_all = np.ones(1500, bool)
    for index in range(2):
      subset = []
      for family in ("r0.50", f"r0.50-{FAMILY}"):
        unit = work_units.WorkUnit(MODEL, "one_hot", family, index)
        table = predictions.read_run(directory, unit).to_pandas()
        train = table[table["split"] == "train"]
        subset.append(train["in_subset"].to_numpy())
        out_of_all &= ~subset[-1] | (family == "r0.50")
      before, after = subset
      self.assertGreater((before & ~after).sum(), 0)
      self.assertFalse((after & ~before).any())
      self.assertTrue(
        np.isin(np.flatnonzero(before & ~after), chosen.ids).all()
      )
    self.assertTrue(out_of_all[list(chosen.ids)].all())

  def test_such_runs_are_not_scored(self):
    summary = json.loads((self.folder / "scores/summary.json").read_text())

    self.assertEqual([row["subsets"] for row in summary], ["r0.50"])

  def test_status_counts_them(self):
    result = small_study.run(
      [small_study.sys.executable, "-m", "memo_tf.status"]
      + [f"--experiment_dir={self.folder}", "--check"]
    )

    self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
    self.assertRegex(result.stdout, rf"{FAMILY} +2 +2 +0")

  def test_killed_at_three_moments_it_ends_in_the_same_arrays(self):
    folder = self.root / "killed"
    moments = (
      lambda: len(small_study.finished_runs(folder)) >= 2,
      lambda: (folder / f"subsets/r0.50-{FAMILY}.json").exists(),
      lambda: len(of_onion(folder)) >= 1,
    )
    for moment in moments:
      process = small_study.start(folder, **FLAGS)
      small_study.wait_for(moment)
      small_study.kill_all(process)
    self.assertLess(len(of_removal(folder)) + len(of_onion(folder)), 8)

    result = small_study.launch(folder, **FLAGS)

    self.assertEqual(result.returncode, 0, result.stderr)
    whole = small_study.arrays(self.folder)
    killed = small_study.arrays(folder)
    self.assertEqual(whole.keys(), killed.keys())
    for name, values in whole.items():
      np.testing.assert_array_equal(killed[name], values, name)
    names = ["removal/{}/runs", "removal/{}/effects"]
    names += [f"onion/{{}}/{name}" for name in ("means", "changes", "examples")]
    for name in names:
      path = f"findings/{name.format(f'{MODEL}/one_hot')}.parquet"
      pd.testing.assert_frame_equal(
        pd.read_parquet(folder / path), pd.read_parquet(self.folder / path)
      )

  def test_units_of_a_removal_before_its_selection_are_refused(self):
    unit = f"{MODEL}/one_hot/{CONTROL}/00000"
    result = small_study.launch(
      self.root / "new", f"--work_units={unit}", **FLAGS
    )

    self.assertEqual(result.returncode, 2)
    lines = result.stderr.strip().splitlines()
    self.assertRegex(lines[-1], "selected from scores")
    self.assertFalse(re.search("Traceback", result.stderr))


if __name__ == "__main__":
  absltest.main()
