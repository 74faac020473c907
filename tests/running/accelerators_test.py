"""Which GPUs workers get. No GPU can be had here: the driver's nodes are files
that the test makes, and the workers are looked at through their environment."""

import os
import pathlib
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.running import accelerators
from memo_tf.running import worker_pool


class VisibleGpusTest(parameterized.TestCase):
  def nodes(self, *names):
    folder = pathlib.Path(self.create_tempdir().full_path)
    for name in names:
      (folder / name).touch()
    return folder

  def visible(self, folder, limit=None):
    with mock.patch.dict(os.environ):
      os.environ.pop(accelerators.VARIABLE, None)
      if limit is not None:
        os.environ[accelerators.VARIABLE] = limit
      return accelerators.visible_gpus(folder)

  def test_a_node_a_gpu(self):
    folder = self.nodes("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null")

    self.assertEqual(self.visible(folder), ["0", "1"])
    self.assertEqual(self.visible(self.nodes("null")), [])

  @parameterized.parameters(
    ("1", ["1"]),
    ("1,0", ["1", "0"]),
    (" GPU-1a2b , 3", ["GPU-1a2b", "3"]),
    ("", []),
    ("-1", []),
    ("0,-1,1", ["0"]),
  )
  def test_a_scheduler_limits_them(self, limit, expected):
    folder = self.nodes("nvidia0", "nvidia1")

    self.assertEqual(self.visible(folder, limit), expected)

  def test_a_limit_without_gpus_makes_none(self):
    self.assertEqual(self.visible(self.nodes(), "0,1"), [])

  def test_a_worker_a_gpu_in_turn(self):
    given = [
      accelerators.environment(["4", "7"], worker, "one_device")
      for worker in range(3)
    ]

    self.assertEqual([e[accelerators.VARIABLE] for e in given], ["4", "7", "4"])
    self.assertEqual(accelerators.environment(["4", "7"], 0, "mirrored"), {})
    self.assertEqual(accelerators.environment([], 0, "one_device"), {})


class WorkersTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.enterContext(
      mock.patch.object(
        accelerators, "visible_gpus", return_value=["0", "GPU-1a2b"]
      )
    )

  def test_processes_are_given_a_gpu_each_also_after_a_death(self):
    config = config_lib.StudyConfig()
    count = worker_pool.number_of_workers(config.running)
    setup = {"config": config.to_json(), "experiment_dir": "none"}

    def gpus(pool):
      found = {}
      for worker in pool._workers:
        path = pathlib.Path(f"/proc/{worker.process.pid}/environ")
        text = ""
        while not text:  # empty until the program is loaded
          text = path.read_text()
        lines = [line for line in text.split("\0") if "=" in line]
        variables = dict(line.split("=", 1) for line in lines)
        found[worker.process.pid] = variables[accelerators.VARIABLE]
      return found

    tasks = [{"task": "join", "number": i} for i in range(2)]
    with worker_pool.WorkerPool(count, setup, threads=1, log_path=None) as pool:
      events = pool.run(tasks)
      next(events)
      next(events)
      before = gpus(pool)
      victim = pool._workers[0].process
      victim.kill()
      kinds = [event.kind for event in events]
      after = gpus(pool)

    self.assertEqual(count, 2)
    self.assertCountEqual(before.values(), ["0", "GPU-1a2b"])
    self.assertNotIn(victim.pid, after)
    self.assertCountEqual(after.values(), ["0", "GPU-1a2b"])
    self.assertEqual(kinds.count("done"), 2)

  def test_strategies_over_all_devices_have_one_process(self):
    for strategy in ("mirrored", "multi_worker"):
      running = settings_lib.RunningConfig(strategy=strategy)

      self.assertEqual(worker_pool.number_of_workers(running), 1)


if __name__ == "__main__":
  absltest.main()
