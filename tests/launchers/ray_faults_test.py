"""Real Ray: three nodes on this machine, one killed; runs of two processes."""

import collections
import json
import os
import pathlib
import signal

from absl.testing import absltest
import pytest

from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from tests.launchers import clusters
from tests.support import small_study


def ray_command(cluster, folder, *more, **changes):
  return clusters.command(
    "ray_cluster", folder, f"--ray_address={cluster.address}", *more, **changes
  )


def descendants(pid: int) -> list[int]:
  found = []
  for child in small_study.children_of(pid):
    found += [child, *descendants(child)]
  return found


@pytest.mark.slow
class NodeLossTest(absltest.TestCase):
  def test_a_node_is_killed_in_mid_study(self):
    clusters.require_ray()
    changes = {"num_subsets": 9, "epochs": 40}
    folder = pathlib.Path(self.create_tempdir().full_path, "study")
    cluster = self.enter_context(clusters.ray_nodes(3))
    command = ray_command(cluster, folder, "--units_per_task=3", **changes)
    process = small_study.start_command(command)
    self.addCleanup(small_study.kill_all, process)

    # Every task has a node of its own. Once one has a finished run behind it
    # and others before it, the last node is killed as a machine would be lost.
    small_study.wait_for(
      lambda: len(small_study.finished_runs(folder)) >= 2, 900
    )
    lost = cluster.list_all_nodes()[-1]
    killed = descendants(lost.all_processes["raylet"][0].process.pid)
    self.assertNotEmpty(killed)
    cluster.remove_node(lost, allow_graceful=False)
    small_study.wait_for(
      lambda: not any(map(small_study.is_working, killed)), 60
    )
    output, errors = process.communicate(timeout=3000)

    self.assertEqual(process.returncode, 0, errors)
    self.assertIn("report/index.html", output)
    events = clusters.record(folder)
    died = [event for event in events if event["event"] == "died"]
    self.assertLen(died, 1, events)
    # Every unit once: by the record of the tasks, and by the runs' own logs,
    # in which each training that came to an end has a line.
    done = collections.Counter(
      unit
      for event in events
      if event["event"] == "done"
      for unit in event["units"]
    )
    self.assertLen(done, 9)
    self.assertEqual(set(done.values()), {1})
    for name in done:
      log = (folder / "work" / name / "log.txt").read_text()
      self.assertEqual(log.count("] finished and written"), 1, name)
    alone = self.create_tempdir().full_path
    result = clusters.launch(alone, **changes)
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertEqual(
      small_study.differences(
        small_study.arrays(alone), small_study.arrays(folder)
      ),
      [],
    )


@pytest.mark.slow
class MultiWorkerTest(absltest.TestCase):
  def test_a_preempted_run_of_two_processes_resumes_inside(self):
    clusters.require_ray()
    changes = {
      "num_subsets": 2,
      "epochs": 40,
      "strategy": "multi_worker",
      "checkpoint_epochs": 2,
    }
    cluster = self.enter_context(clusters.ray_nodes(2))
    parent = pathlib.Path(self.create_tempdir().full_path)
    calm, folder = parent / "calm", parent / "study"
    result = clusters.run(ray_command(cluster, calm, **changes))
    self.assertEqual(result.returncode, 0, result.stderr)

    process = small_study.start_command(
      ray_command(cluster, folder, "--units_per_task=1", **changes)
    )
    self.addCleanup(small_study.kill_all, process)
    small_study.wait_for(
      lambda: list((folder / "work").rglob("checkpoint.npz")), 900
    )
    # One of the two processes goes, as on a machine that is taken away.
    victims = clusters.launches(folder)
    self.assertLen(victims, 2)
    os.kill(max(victims), signal.SIGKILL)
    output, errors = process.communicate(timeout=3000)

    self.assertEqual(process.returncode, 0, errors)
    self.assertIn("report/index.html", output)
    self.assertNotEmpty(
      [e for e in clusters.record(folder) if e["event"] == "died"]
    )
    directory = directory_lib.StudyDirectory(folder)
    records = [
      json.loads((directory.run_dir(unit) / "run.json").read_text())
      for unit in (
        work_units.parse_unit(f"{small_study.MODEL}/one_hot/r0.70/{i:05d}")
        for i in range(2)
      )
    ]
    self.assertGreater(max(r["resumed_after_epoch"] for r in records), 0)
    self.assertEqual(
      small_study.differences(
        small_study.arrays(calm), small_study.arrays(folder)
      ),
      [],
    )


@pytest.mark.slow
class FitTest(absltest.TestCase):
  def test_what_does_not_fit_is_refused(self):
    clusters.require_ray()
    cluster = self.enter_context(clusters.ray_nodes(1))
    folder = self.create_tempdir().full_path + "/study"
    for more in ("--cpus_per_task=64", "--gpus_per_task=0.5"):
      result = clusters.run(ray_command(cluster, folder, more))
      self.assertEqual(result.returncode, 2, result.stderr)
      self.assertIn("no task fits on the cluster", result.stderr)
      self.assertFalse(os.path.exists(folder))

  def test_ctrl_c_ends_the_tasks_and_the_same_command_goes_on(self):
    clusters.require_ray()
    cluster = self.enter_context(clusters.ray_nodes(2))
    folder = self.create_tempdir().full_path + "/study"
    command = ray_command(cluster, folder, num_subsets=4, epochs=40)
    process = small_study.start_command(command)
    self.addCleanup(small_study.kill_all, process)
    small_study.wait_for(lambda: small_study.finished_runs(folder), 900)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    self.assertEqual(process.returncode, 130, errors)
    small_study.wait_for(lambda: not clusters.launches(folder), 30)
    result = clusters.run(command)
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertLen(small_study.finished_runs(folder), 4)


if __name__ == "__main__":
  absltest.main()
