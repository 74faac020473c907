"""Real Slurm with one node, this machine: killed, preempted, cancelled.

Several hosts cannot be had here: that part is not tested.
"""

import os
import pathlib
import signal
import subprocess

from absl.testing import absltest
import pytest

from tests.launchers import clusters
from tests.support import small_study

STUDY = {
  "recipes": "one_hot,distilled-cifar_resnet-8-w0.5-t3",
  "num_subsets": 4,
  "epochs": 30,
}
UNITS = 8


def slurm(*command: str) -> str:
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  return done.stdout.strip()


def running_tasks() -> list[str]:
  """Names JOB_TASK of the array tasks that run."""
  names = slurm("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i").split()
  return sorted(name for name in names if "_" in name)


def logs(folder) -> str:
  paths = sorted((folder / "work" / "slurm").rglob("*.log"))
  return "\n".join(path.read_text() for path in paths)


@pytest.mark.slow
class SlurmTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    clusters.require_slurm()
    self.enter_context(clusters.slurm())
    self.folder = pathlib.Path(self.create_tempdir().full_path, "study")

  def command(self, *more):
    return clusters.command(
      "slurm_array", self.folder, "--units_per_task=2", *more, **STUDY
    )

  def finished(self, recipe=""):
    return [
      path
      for path in small_study.finished_runs(self.folder)
      if recipe in str(path)
    ]

  def check_all_is_as_if_nothing_had_happened(self):
    self.assertLen(self.finished(), UNITS)
    for path in self.finished():
      name = path.parent.relative_to(self.folder / "runs")
      log = (self.folder / "work" / name / "log.txt").read_text()
      self.assertEqual(log.count("] finished and written"), 1, name)
    alone = self.create_tempdir().full_path
    result = clusters.launch(alone, **STUDY)
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertEqual(
      small_study.differences(
        small_study.arrays(alone), small_study.arrays(self.folder)
      ),
      [],
    )

  def test_killed_out_of_time_and_preempted_tasks_are_requeued(self):
    process = small_study.start_command(self.command())
    self.addCleanup(small_study.kill_all, process)

    # Killed, as by the kernel when memory is short.
    small_study.wait_for(self.finished, 900)
    victim = min(clusters.launches(self.folder))
    os.kill(victim, signal.SIGKILL)
    small_study.wait_for(
      lambda: "killed by signal 9: requeued" in logs(self.folder), 60
    )
    # The students start when the teachers are done, not before.
    small_study.wait_for(lambda: self.finished("distilled"), 1800)
    self.assertLen(self.finished("one_hot"), 4)
    # What Slurm sends before the end of --time_limit.
    [task, *_] = running_tasks()
    slurm("scancel", "--batch", "--signal=USR1", task)
    small_study.wait_for(
      lambda: "out of time: requeued" in logs(self.folder), 60
    )
    # A job of a partition that goes first takes the whole machine.
    small_study.wait_for(running_tasks, 120)
    before = running_tasks()
    cores = str(len(os.sched_getaffinity(0)))
    slurm("sbatch", "-W", "-p", "urgent", "-c", cores, "-o", "/dev/null",
          "--wrap", "true")  # fmt: skip
    restarts = [
      slurm("scontrol", "show", "job", name).split("Restarts=")[1].split()[0]
      for name in before
    ]
    self.assertNotEmpty([count for count in restarts if int(count) > 0])
    output, errors = process.communicate(timeout=3000)

    self.assertEqual(process.returncode, 0, errors)
    self.assertIn("report/index.html", output)
    # Nothing had to be sent again: Slurm has brought all of it to its end.
    self.assertLen(list((self.folder / "work" / "slurm").iterdir()), 1)
    self.check_all_is_as_if_nothing_had_happened()

  def test_what_a_cancelled_task_left_is_sent_again_and_nothing_else(self):
    result = clusters.run(self.command("--nowait"))
    self.assertEqual(result.returncode, 0, result.stderr)
    small_study.wait_for(self.finished, 900)
    slurm("scancel", running_tasks()[0])

    # The command given again sends nothing twice, it waits for what is there.
    result = clusters.run(self.command())

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("Jobs of this study are in the queue", result.stderr)
    self.assertIn("report/index.html", result.stdout)
    folders = sorted((self.folder / "work" / "slurm").iterdir())
    self.assertLen(folders, 2)
    first, again = (
      {
        name
        for path in folder.glob("*.units")
        for name in path.read_text().replace("\n", ",").split(",")
        if name
      }
      for folder in folders
    )
    self.assertLen(first, UNITS)
    self.assertLess(len(again), UNITS)
    # Students of a wave whose teachers did not all end well were taken back.
    self.assertLen([name for name in again if "distilled" in name], 4)
    self.check_all_is_as_if_nothing_had_happened()


if __name__ == "__main__":
  absltest.main()
