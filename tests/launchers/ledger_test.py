"""What becomes of tasks is read from the directory, not from the scheduler."""

import json
import pathlib

from absl.testing import absltest

from launchers import contract
from launchers import ledger
from launchers import tasks
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import survey as survey_lib
from tests.support import made_up

STUDENT = "distilled-cifar_resnet-8-t3"


class LedgerTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.create_tempdir().full_path)
    self.directory = directory_lib.StudyDirectory(root)
    config = config_rules.validated(
      config_lib.StudyConfig(
        models=settings_lib.ModelsConfig(
          models=("cifar_resnet-8",), recipes=("one_hot", STUDENT)
        ),
        subsets=settings_lib.SubsetsConfig(num_subsets=4),
      )
    )
    plan = plan_lib.Plan.of(config)
    self.study = contract.OpenStudy(
      plan=plan,
      directory=self.directory,
      found=survey_lib.survey(self.directory, plan),
    )
    teachers, students = plan.waves(plan.units)
    self.teachers = tasks.Task("00000", tuple(teachers))
    self.students = tasks.Task("00001", tuple(students))
    self.ledger = ledger.Ledger(self.study, retries=2)

  def finish(self, unit):
    """Makes up the run of a unit."""
    folder = self.directory.run_dir(unit)
    folder.mkdir(parents=True)
    outputs = {}
    for name in self.study.plan.wanted[unit]:
      (folder / name).write_bytes(b"x")
      outputs[name] = {"bytes": 1, "digest": "0" * 32}
    content = {**made_up.ABOUT_RUN, "unit": unit.name, "outputs": outputs}
    (folder / "run.json").write_text(json.dumps(content))

  def fail(self, unit, error):
    folder = self.directory.work_dir(unit)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "traceback.txt").write_text(f"Traceback …\n{error}\n")

  def test_a_finished_task_leaves_nothing(self):
    self.ledger.sent(self.teachers)
    for unit in self.teachers.units:
      self.finish(unit)

    # Even where the scheduler says that it died: the runs are there.
    self.assertIsNone(self.ledger.ended(self.teachers, "its machine was lost"))
    self.assertEmpty(self.ledger.failures)

  def test_what_a_dead_task_left_is_sent_again_until_the_retries_are_used(self):
    self.finish(self.teachers.units[0])
    task = self.teachers
    for attempt in range(2):
      self.ledger.sent(task)
      task = self.ledger.ended(task, "killed")
      self.assertEqual(task.units, self.teachers.units[1:])
      self.assertEqual(task.attempt, attempt + 1)
    self.ledger.sent(task)

    self.assertIsNone(self.ledger.ended(task, "killed"))
    self.assertCountEqual(
      self.ledger.failures, [u.name for u in self.teachers.units[1:]]
    )
    self.assertIn(
      "died (3 times): killed", list(self.ledger.failures.values())[0]
    )

  def test_a_run_that_failed_by_itself_is_not_sent_again(self):
    one, two, three, four = self.teachers.units
    self.fail(two, "an old error")  # of an earlier launch
    self.ledger.sent(self.teachers)
    self.finish(one)
    self.fail(three, "the loss became nan")

    again = self.ledger.ended(self.teachers, "exit status 1")

    self.assertEqual(again.units, (two, four))
    self.assertEqual(self.ledger.failures, {three.name: "the loss became nan"})

  def test_a_command_that_is_refused_is_not_given_again(self):
    self.ledger.sent(self.teachers)
    self.ledger.log_path(self.teachers).write_text("memo_tf.launch: no\n\n")

    again = self.ledger.ended(self.teachers, "exit status 2", hopeless=True)

    self.assertIsNone(again)
    self.assertLen(self.ledger.failures, 4)
    self.assertIn("memo_tf.launch: no", list(self.ledger.failures.values())[0])

  def test_well_ended_without_runs_names_the_file_system(self):
    self.ledger = ledger.Ledger(self.study, retries=0)
    self.ledger.sent(self.teachers)

    self.assertIsNone(self.ledger.ended(self.teachers, None))
    self.assertIn("file system", list(self.ledger.failures.values())[0])

  def test_students_of_failed_teachers_are_not_sent(self):
    self.ledger.failures[self.teachers.units[2].name] = "killed"

    task = self.ledger.runnable(self.students)

    self.assertLen(task.units, 3)
    self.assertNotIn(self.students.units[2], task.units)
    self.assertIn(
      "a required run failed",
      self.ledger.failures[self.students.units[2].name],
    )

  def test_the_record_names_every_unit(self):
    self.ledger.sent(self.teachers)
    self.finish(self.teachers.units[0])
    self.ledger.ended(self.teachers, "killed")

    path = self.directory.root / "work" / "tasks" / "record.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    self.assertEqual([e["event"] for e in events], ["sent", "done", "died"])
    self.assertEqual(events[1]["units"], [self.teachers.units[0].name])
    self.assertLen(events[2]["units"], 3)
    self.assertEqual(events[2]["why"], "killed")


class TableTest(absltest.TestCase):
  def test_columns(self):
    table = contract.failure_table({"b/c/d/00001": "why", "a/c/d/00000": "so"})

    self.assertEqual(
      table,
      "failed       why\na/c/d/00000  so\nb/c/d/00001  why",
    )


if __name__ == "__main__":
  absltest.main()
