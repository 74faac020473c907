"""The pool with real processes: order, failures, deaths."""

import pathlib

from absl.testing import absltest

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors as errors_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.running import worker_pool


class WorkerPoolTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.create_tempdir().full_path)
    self.config = config_lib.StudyConfig()

  def pool(self, workers: int) -> worker_pool.WorkerPool:
    setup = {
      "config": self.config.to_json(),
      "experiment_dir": str(self.root),
    }
    return worker_pool.WorkerPool(
      workers, setup, threads=1, log_path=self.root / "log.txt"
    )

  def test_a_failed_task_is_reported_and_the_others_go_on(self):
    good = {"task": "measure", "model": "cifar_resnet-8-w0.25"}
    tasks = [
      {"task": "no_such_task"},
      {**good, "recipe": "one_hot"},
      {**good, "recipe": "no_such_recipe"},
    ]

    with self.pool(1) as pool:
      temporary = pathlib.Path(pool._temporary.name)
      events = [e for e in pool.run(tasks) if e.kind in ("done", "failed")]
      left = list(temporary.iterdir())

    # What the killed worker left behind is deleted.
    self.assertNotEmpty(left)
    self.assertFalse(temporary.exists())
    kinds = {tuple(e.task.values()): e.kind for e in events}
    self.assertEqual(
      kinds,
      {
        ("no_such_task",): "failed",
        ("measure", "cifar_resnet-8-w0.25", "one_hot"): "done",
        ("measure", "cifar_resnet-8-w0.25", "no_such_recipe"): "failed",
      },
    )
    errors = [e.content for e in events if e.kind == "failed"]
    self.assertIn("no_such_recipe", errors[1]["error"])
    self.assertIn("Traceback", errors[1]["traceback"])
    seconds = next(e.content for e in events if e.kind == "done")
    self.assertGreater(seconds["trace"], seconds["step"])
    self.assertGreater(seconds["step"], 0)
    self.assertEqual((seconds["num_train"], seconds["num_test"]), (1500, 297))

  def test_a_fatal_failure_raises(self):
    task = {
      "task": "run",
      "unit": "cifar_resnet-8/one_hot/r0.70/00000",
      "outputs": [],
    }

    with self.pool(1) as pool:
      with self.assertRaisesRegex(
        errors_lib.StudyError, "00000: .*info.json cannot be read"
      ):
        list(pool.run([task]))

  def test_retries_and_a_queue_that_has_nothing_for_now(self):
    class Slow(worker_pool.TaskQueue):
      asked = 0

      def next(self):
        self.asked += 1
        return super().next() if self.asked > 3 else None

    def kinds(tasks):
      return [
        (event.task["task"], event.kind)
        for event in pool.run(tasks, tick=0.01, retries=2)
        if event.task
      ]

    with self.pool(1) as pool:
      waited = kinds(Slow([{"task": "join"}]))
      retried = kinds([{"task": "no_such_task"}, {"task": "join"}])

    self.assertEqual(waited, [("join", "started"), ("join", "done")])
    # Again after the others, and for good the third time.
    self.assertEqual(
      retried,
      [
        ("no_such_task", "started"),
        ("no_such_task", "retry"),
        ("join", "started"),
        ("join", "done"),
        ("no_such_task", "started"),
        ("no_such_task", "retry"),
        ("no_such_task", "started"),
        ("no_such_task", "failed"),
      ],
    )

  def test_a_worker_that_cannot_be_set_up_is_reported(self):
    class Broken:
      def to_json(self):
        return "{"

    self.config = Broken()
    with self.pool(1) as pool:
      with self.assertRaises(errors_lib.StudyError):
        list(pool.run([{"task": "prepare"}]))

  def test_number_of_workers(self):
    def number(**settings):
      return worker_pool.number_of_workers(
        settings_lib.RunningConfig(**settings)
      )

    self.assertGreaterEqual(number(), 1)
    self.assertEqual(number(threads_per_unit=10_000), 1)
    self.assertEqual(number(threads_per_unit=2), max(1, number() // 2))
    self.assertEqual(number(workers=7), 7)
    self.assertEqual(number(strategy="mirrored"), 1)
    self.assertEqual(number(strategy="mirrored", workers=3), 3)
    self.assertEqual(number(strategy="multi_worker", workers=3), 1)


if __name__ == "__main__":
  absltest.main()
