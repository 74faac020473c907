"""What becomes of units: retries, tracebacks, waves, and other launches."""

import pathlib
import tempfile

from absl.testing import absltest

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.running import claims
from memo_tf.running import dispatch
from memo_tf.running import worker_pool
from memo_tf.store import survey as survey_lib
from tests.support import made_up


class Pool:
  """Stands in for worker processes: a script says how each try ends."""

  def __init__(self, script, on_start=lambda unit: None):
    self._script = {name: list(ends) for name, ends in script.items()}
    self._on_start = on_start
    self.started = []

  def run(self, queue, *, retries):
    tries: dict[str, int] = {}
    while len(queue):
      task = queue.next()
      if task is None:
        yield worker_pool.Event("tick", None, {})
        continue
      name = task["unit"]
      self.started.append(name)
      self._on_start(name)
      yield worker_pool.Event("started", task, {})
      ends = self._script.get(name) or [None]
      content = ends.pop(0)
      if content is None:
        yield worker_pool.Event("done", task, {"seconds": {"total": 1.0}})
        continue
      tries[name] = tries.get(name, 0) + 1
      if content.get("damaged") or tries[name] > retries:
        yield worker_pool.Event("failed", task, content)
      else:
        queue.put_back(task)
        yield worker_pool.Event("retry", task, content)


def error(text, **more):
  return {"error": text, "traceback": f"Traceback\n{text}", **more}


class DispatchTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = made_up.config()
    self.directory = made_up.make(root / "study", self.config, runs=[0])

  def run_units(self, pool, config=None) -> dispatch.Outcome:
    config = config or self.config
    plan = plan_lib.Plan.of(config)
    found = survey_lib.survey(self.directory, plan)
    return dispatch.run_units(self.directory, plan, found, pool, workers=1)

  def test_runs_what_is_pending(self):
    pool = Pool({})

    outcome = self.run_units(pool)

    self.assertEqual(pool.started, [made_up.unit(m).name for m in (1, 2, 3)])
    self.assertEqual(outcome.failures, {})
    self.assertEmpty(
      [p for p in (self.directory.root / "work").rglob("*") if p.is_file()]
    )

  def test_a_failure_is_tried_again_and_stops_no_other(self):
    name = made_up.unit(1).name
    pool = Pool({name: [error("first"), error("second")]})

    outcome = self.run_units(pool)

    self.assertEqual(pool.started, [made_up.unit(m).name for m in (1, 2, 3, 1)])
    self.assertEqual(outcome.failures, {name: "second"})
    self.assertRegex(outcome.table()[1], f"{name} +2  second")
    kept = (
      self.directory.work_dir(made_up.unit(1)) / "traceback.txt"
    ).read_text()
    self.assertEqual(
      kept,
      "Attempt 1 of 2:\nTraceback\nfirst\n\n"
      "Attempt 2 of 2:\nTraceback\nsecond\n",
    )

  def test_a_failure_that_passes_is_none(self):
    pool = Pool({made_up.unit(1).name: [error("once"), None]})

    self.assertEqual(self.run_units(pool).failures, {})

  def test_students_of_a_failed_teacher_fail_without_being_run(self):
    config = config_lib.StudyConfig(
      subsets=self.config.subsets,
      models=settings_lib.ModelsConfig(
        recipes=("distilled-cifar_resnet-8-t3",)
      ),
      running=self.config.running,
    )
    teacher = made_up.unit(2).name
    pool = Pool({teacher: [error("x")] * 2})

    outcome = self.run_units(pool, config)

    student = "cifar_resnet-8/distilled-cifar_resnet-8-t3/r0.70/00002"
    self.assertEqual(
      outcome.failures,
      {teacher: "x", student: f"a required run failed: {teacher}"},
    )
    self.assertNotIn(student, pool.started)
    self.assertLen(set(pool.started), 7)

  def test_a_damaged_run_is_nobody_s_failure(self):
    name, other = made_up.unit(1).name, made_up.unit(0)
    pool = Pool({name: [error("x", damaged=[other.name, "is short"])]})

    outcome = self.run_units(pool)

    self.assertEqual(outcome.failures, {})
    self.assertEqual(outcome.damaged, {other: "is short"})

  def test_what_another_launch_does_is_not_done_twice(self):
    with claims.Claims(self.directory) as other:
      other.take(made_up.unit(1))

      def finish(name):
        if name == made_up.unit(3).name:  # the other one's is done meanwhile
          made_up.write_run(self.directory, self.config, 1)
          made_up.write_run(self.directory, self.config, 2)
          other.release(made_up.unit(1))

      pool = Pool({}, finish)
      outcome = self.run_units(pool)

    self.assertEqual(pool.started, [made_up.unit(m).name for m in (2, 3)])
    self.assertEqual(outcome.num_elsewhere, 1)

  def test_nothing_is_deleted_by_moving_aside_twice(self):
    said = []
    for _ in range(2):
      dispatch.move_damaged_aside(
        self.directory, {made_up.unit(0): "is short"}, said.append
      )

    self.assertLen(said, 1)
    self.assertLen(
      list((self.directory.root / "damaged").rglob("predictions.parquet")), 1
    )


if __name__ == "__main__":
  absltest.main()
