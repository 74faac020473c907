"""One contract for all launchers: the same study, wherever it runs.

What is started here are real clusters: Ray's of three nodes, and Slurm.
"""

import os
import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import pandas as pd
import pytest

from tests.launchers import clusters
from tests.support import small_study

STUDY = {
  # Students, whose teachers come first.
  "recipes": "one_hot,distilled-cifar_resnet-8-w0.5-t3",
  "num_subsets": 6,
}
UNITS = 12
# Four runs that select, two repeats and two subsets of two arms each.
REMOVAL = {
  "num_subsets": 4,
  "removal_repeats": 2,
  "removal_comparisons": "same_classes",
  "onion_subsets": 2,
}


def ray_command(cluster, folder, *more, **changes):
  return clusters.command(
    "ray_cluster", folder, f"--ray_address={cluster.address}", *more, **changes
  )


def slurm_command(unused_cluster, folder, *more, **changes):
  return clusters.command("slurm_array", folder, *more, **changes)


@pytest.mark.slow
class ContractTest(parameterized.TestCase):
  _expected = None

  def expected(self):
    """The arrays of the local pool, trained once."""
    if ContractTest._expected is None:
      folder = self.create_tempdir().full_path
      result = clusters.launch(folder, **STUDY)
      self.assertEqual(result.returncode, 0, result.stderr)
      ContractTest._expected = small_study.arrays(folder)
    return ContractTest._expected

  def start(self, launcher):
    if launcher == "ray":
      clusters.require_ray()
      return self.enter_context(clusters.ray_nodes(3)), ray_command
    clusters.require_slurm()
    return self.enter_context(clusters.slurm()), slurm_command

  def test_ray_extends_a_study_until_its_intervals_are_narrow(self):
    clusters.require_ray()
    cluster = self.enter_context(clusters.ray_nodes(2))
    folder = pathlib.Path(self.create_tempdir().full_path, "study")
    # The small study reaches 0.8 with 20 runs, as tests/whole/target_test.py
    # shows; the last round is ended by --max_subsets.
    target = {"target_ci_width": 0.6, "max_subsets": 20}

    result = clusters.run(ray_command(cluster, folder, **target))

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("Extended from 10 to 20 subsets.", result.stderr)
    self.assertIn("--max_subsets=20 ends the study", result.stderr)
    self.assertIn("report/index.html", result.stdout)
    self.assertLen(small_study.finished_runs(folder), 20)
    result = clusters.run(ray_command(cluster, folder, "--dry_run", **target))
    self.assertIn("it seems to stop at 20 subsets, as planned", result.stdout)

  @parameterized.parameters("ray", "slurm")
  def test_same_study(self, launcher):
    cluster, command = self.start(launcher)
    # A path with a space, as people have them.
    folder = pathlib.Path(self.create_tempdir().full_path, "a study")

    # Six of the twelve first, and no scores.
    chosen = ",".join(
      f"{small_study.MODEL}/one_hot/r0.70/{index:05d}" for index in range(6)
    )
    result = clusters.run(
      command(cluster, folder, f"--work_units={chosen}", **STUDY)
    )
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertLen(small_study.finished_runs(folder), 6)
    self.assertFalse((folder / "scores").exists())
    before = {
      p: p.stat().st_mtime_ns for p in small_study.finished_runs(folder)
    }

    # Then the rest, several units a task; what is done stays as it is.
    result = clusters.run(
      command(cluster, folder, "--units_per_task=2", **STUDY)
    )
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("report/index.html", result.stdout)
    self.assertLen(small_study.finished_runs(folder), UNITS)
    for path, when in before.items():
      self.assertEqual(path.stat().st_mtime_ns, when)
    found = small_study.arrays(folder)
    self.assertNotEmpty([name for name in found if "memorization" in name])
    self.assertEqual(small_study.differences(self.expected(), found), [])

    # Again: nothing is sent, the scores are made anew.
    result = clusters.run(command(cluster, folder, **STUDY))
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertEqual(
      small_study.differences(self.expected(), small_study.arrays(folder)), []
    )
    # Tasks of one worker do not write down how they were run.
    self.assertIn("--workers=2", (folder / "resolved.flags").read_text())
    for name in ("config.json", "resolved.flags", "environment.json"):
      self.assertNotIn(str(folder), (folder / name).read_text())

  @parameterized.parameters("ray", "slurm")
  def test_removal(self, launcher):
    """Ray goes on by itself; Slurm says to give the same command again."""
    cluster, command = self.start(launcher)
    parent = pathlib.Path(self.create_tempdir().full_path)
    alone, folder = parent / "alone", parent / "study"
    result = clusters.launch(alone, **REMOVAL)
    self.assertEqual(result.returncode, 0, result.stderr)

    result = clusters.run(command(cluster, folder, **REMOVAL))
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("Onion: ", result.stdout + result.stderr)
    if launcher == "slurm":
      self.assertLen(small_study.finished_runs(folder), 4)
      self.assertIn("Rerun the same command", result.stdout + result.stderr)
      result = clusters.run(command(cluster, folder, **REMOVAL))
      self.assertEqual(result.returncode, 0, result.stderr)

    self.assertLen(small_study.finished_runs(folder), 12)
    self.assertIn("report/index.html", result.stdout)
    self.assertEqual(
      small_study.differences(
        small_study.arrays(alone), small_study.arrays(folder)
      ),
      [],
    )
    for path in (alone / "findings").glob("*/*/*/*.parquet"):
      pd.testing.assert_frame_equal(
        pd.read_parquet(folder / path.relative_to(alone)), pd.read_parquet(path)
      )

  @parameterized.parameters("ray", "slurm")
  def test_runs_that_fail(self, launcher):
    """What fails by itself is not sent again; its student is not run."""
    cluster, command = self.start(launcher)
    folder = pathlib.Path(self.create_tempdir().full_path, "study")
    changes = STUDY | {"num_subsets": 2, "epochs": 1, "learning_rate": 1e30}
    teacher = f"{small_study.MODEL}/one_hot/r0.70/00001"
    student = (
      f"{small_study.MODEL}/{STUDY['recipes'].split(',')[1]}/r0.70/00001"
    )

    result = clusters.run(command(cluster, folder, **changes))

    self.assertEqual(result.returncode, 1, result.stderr)
    text = result.stderr + result.stdout
    self.assertRegex(text, rf"(?m)^{teacher} +\S.*(finite|nan|inf)")
    self.assertRegex(text, rf"(?m)^{student} +a required run failed: {teacher}")
    self.assertIn("4 of 4 runs failed", text)
    self.assertEmpty(small_study.finished_runs(folder))
    text = (folder / "work" / teacher / "traceback.txt").read_text()
    # Twice in the one task (--max_retries=1), and not in another one.
    self.assertEqual(text.count("Traceback"), 2)


if __name__ == "__main__":
  os.environ.setdefault(clusters.REQUIRED, "1")
  absltest.main()
