"""The survey: what is done, pending or damaged, and how long the rest takes."""

import dataclasses
import json
import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.scoring import study
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import opening
from memo_tf.store import sealed
from memo_tf.store import survey
from memo_tf.store import time_left
from tests.support import made_up

SMALL, LARGE = "cifar_resnet-8", "cifar_resnet-32"
PLAN = plan_lib.Plan.of(
  config_lib.StudyConfig(
    models=settings_lib.ModelsConfig(models=(SMALL, LARGE)),
    subsets=settings_lib.SubsetsConfig(num_subsets=4),
    proxies=settings_lib.ProxiesConfig(proxies=("el2n",), proxy_runs=2),
  )
)


def unit(index, model=SMALL):
  return work_units.WorkUnit(model, "one_hot", "r0.70", index)


def finished(seconds, num_bytes=100):
  return survey.FinishedRun(seconds, num_bytes)


class SurveyTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.directory = directory_lib.StudyDirectory(root / "a study")

  def write(self, index, *names):
    folder = self.directory.run_dir(unit(index))
    folder.mkdir(parents=True)
    outputs = {}
    for name in names:
      content = f"{name} {index}".encode()
      (folder / name).write_bytes(content)
      digest = files.digest_bytes(content)
      outputs[name] = {"bytes": len(content), "digest": digest}
    record = {
      **made_up.ABOUT_RUN,
      "recipe_digest": PLAN.recipes["one_hot"].digest(),
      "resumed_after_epoch": 1,  # and so tells no time
      "unit": unit(index).name,
      "outputs": outputs,
    }
    (folder / "run.json").write_text(json.dumps(record))
    return record

  def wanted(self, *names, count=5):
    wanted = {unit(index): frozenset(names) for index in range(count)}
    return dataclasses.replace(PLAN, wanted=wanted)

  def test_empty_directory_has_everything_pending(self):
    found = survey.survey(self.directory, self.wanted("a"))

    self.assertEqual(found.done, {})
    self.assertEqual(found.pending, [unit(index) for index in range(5)])
    self.assertEqual(found.damaged, {})

  def test_each_state(self):
    self.write(0, "a", "b")
    self.write(1, "a")
    self.write(2, "a", "b")
    (self.directory.run_dir(unit(2)) / "b").unlink()
    self.directory.run_dir(unit(3)).mkdir(parents=True)

    found = survey.survey(self.directory, self.wanted("a", "b"))

    # 0 is whole, 1 never had an output, 2 lost one, 3 is damaged, 4 not run.
    self.assertEqual(
      found.done, {unit(0): survey.FinishedRun(None, len("a 0") + len("b 0"))}
    )
    self.assertEqual(found.pending, [unit(1), unit(2), unit(3), unit(4)])
    self.assertEqual(found.damaged, {unit(3): "it has no run.json"})
    self.assertEqual(found.lost, {unit(2): ("b",)})

  def test_lost_output_that_nobody_wants_is_no_loss(self):
    self.write(0, "a", "b")
    (self.directory.run_dir(unit(0)) / "b").unlink()

    found = survey.survey(self.directory, self.wanted("a", count=1))

    self.assertEqual((list(found.done), found.lost), ([unit(0)], {}))

  def test_done_is_per_output(self):
    self.write(0, "a")

    one = survey.survey(self.directory, self.wanted("a", count=1))
    both = survey.survey(self.directory, self.wanted("a", "b", count=1))

    self.assertEqual(list(one.done), [unit(0)])
    self.assertEqual((both.pending, both.damaged), ([unit(0)], {}))

  def test_flipped_bit_needs_the_digests(self):
    self.write(0, "a")
    (self.directory.run_dir(unit(0)) / "a").write_bytes(b"a 1")

    quick = survey.survey(
      self.directory, self.wanted("a", count=1), check_digests=False
    )
    thorough = survey.survey(
      self.directory, self.wanted("a", count=1), check_digests=True
    )

    self.assertEqual(list(quick.done), [unit(0)])
    self.assertEqual(thorough.pending, [unit(0)])
    self.assertIn("digest", thorough.damaged[unit(0)])

  def test_changed_time_makes_it_read(self):
    record = self.write(0, "a")
    path = self.directory.run_dir(unit(0)) / "a"
    found = path.stat()
    record["outputs"]["a"]["mtime_ns"] = found.st_mtime_ns
    (path.parent / "run.json").write_text(json.dumps(record))
    path.write_bytes(b"a 1")
    wanted = self.wanted("a", count=1)

    # An earlier time is as suspicious as a later one: clocks are set back.
    for change in (-1, 1):
      os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + change))
      self.assertIn(
        "digest", survey.survey(self.directory, wanted).damaged[unit(0)]
      )
    # With the old time only a full check can tell.
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    self.assertEqual(
      list(survey.survey(self.directory, wanted).done), [unit(0)]
    )
    # A copy of the right content has another time and is right.
    path.write_bytes(b"a 0")
    self.assertEqual(
      list(survey.survey(self.directory, wanted).done), [unit(0)]
    )

  def test_resumed_run_tells_no_time(self):
    for index, more in enumerate(
      (
        {"resumed_after_epoch": 0},
        {"resumed_after_epoch": 3},
        {"resumed_after_epoch": 0},
      )
    ):
      record = self.write(index, "a") | {"seconds": {"total": 2.0}} | more
      path = self.directory.run_dir(unit(index)) / "run.json"
      path.write_text(json.dumps(record))

    found = survey.survey(self.directory, self.wanted("a", count=3))

    self.assertEqual(
      [run.seconds for run in found.done.values()], [2.0, None, 2.0]
    )

  @parameterized.parameters("../a", "/etc/passwd", "x/y", "..", ".hidden", "")
  def test_an_output_that_is_a_path_is_damage(self, name):
    record = self.write(0, "a")
    record["outputs"][name] = record["outputs"]["a"]
    path = self.directory.run_dir(unit(0)) / "run.json"
    path.write_text(json.dumps(record))

    found = survey.survey(self.directory, self.wanted("a", count=1))

    self.assertIn("names an output", found.damaged[unit(0)])

  def test_units_that_were_never_run_cost_no_look_at_the_disk(self):
    self.write(3, "a")
    looked = []
    run_state = self.directory.run_state

    def counted(unit, **options):
      looked.append(unit)
      return run_state(unit, **options)

    self.directory.run_state = counted
    with mock.patch.object(survey.os, "listdir", wraps=os.listdir) as listed:
      found = survey.survey(self.directory, self.wanted("a", count=5000))

    self.assertLen(found.pending, 4999)
    self.assertEqual(looked, [unit(3)])
    self.assertEqual(listed.call_count, 1)

  def test_changes_nothing(self):
    self.directory.run_dir(unit(0)).mkdir(parents=True)
    before = sorted(self.directory.root.rglob("*"))

    survey.survey(self.directory, self.wanted("a"))

    self.assertEqual(sorted(self.directory.root.rglob("*")), before)


class ForeignTest(parameterized.TestCase):
  """A run of another study is told from a damaged one, and never done."""

  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = made_up.config()
    self.directory = made_up.make(root / "a study", self.config)
    self.plan = plan_lib.Plan.of(self.config)

  def test_the_runs_of_a_study_are_its_own(self):
    found = survey.usable(self.directory, self.plan)

    self.assertLen(found.done, 4)
    self.assertEqual(found.foreign, {})

  @parameterized.parameters(
    ("recipe_digest", "e" * 32),
    ("dataset_digest", "e" * 32),
    ("subset_digest", "e" * 32),
    ("seed", 1),
    ("threads", 2),
  )
  def test_a_run_that_differs_is_refused(self, name, value):
    path = self.directory.run_dir(made_up.unit(1)) / "run.json"
    made_up.change(path, **{name: value})

    found = survey.survey(self.directory, self.plan)

    problem = f"it is not of this study: its {name} is {value!r} instead of"
    self.assertStartsWith(found.foreign[made_up.unit(1)], problem)
    self.assertEqual(found.pending, [made_up.unit(1)])
    self.assertEqual(found.damaged, {})
    with self.assertRaisesRegex(errors.StudyError, f"00001 cannot .*{problem}"):
      survey.usable(self.directory, self.plan)
    with self.assertRaisesRegex(errors.StudyError, problem):
      study.score_study(self.directory, self.plan)

  def test_a_run_without_a_field_is_damaged(self):
    path = self.directory.run_dir(made_up.unit(1)) / "run.json"
    record = sealed.loads(path.read_bytes())
    del record["threads"]
    path.write_text(sealed.dumps(record))

    found = survey.survey(self.directory, self.plan)

    self.assertEqual(found.pending, [made_up.unit(1)])
    self.assertIn("it has no threads", found.damaged[made_up.unit(1)])

  def test_settings_of_another_study(self):
    other = made_up.make(
      self.directory.root.parent / "other", made_up.config(learning_rate=0.3)
    )
    other.config_path.rename(self.directory.config_path)

    config = opening.recorded_config(self.directory)
    found = survey.survey(self.directory, plan_lib.Plan.of(config))

    self.assertLen(found.foreign, 4)
    with self.assertRaisesRegex(errors.StudyError, r"\(and 3 more\) cannot"):
      survey.usable(self.directory, plan_lib.Plan.of(config))


class TimeTest(parameterized.TestCase):
  def test_median_of_each_group(self):
    done = {
      unit(0): finished(1.0),
      unit(1): finished(2.0),
      unit(2): finished(90.0),
      unit(0, LARGE): finished(10.0),
      unit(1, LARGE): finished(20.0),
    }

    found = time_left.seconds_a_run(done)

    self.assertEqual(found, {unit(0).group: 2.0, unit(0, LARGE).group: 15.0})

  def test_runs_of_unknown_time_do_not_count(self):
    done = {unit(0): finished(8.0), unit(1): finished(None)}

    self.assertEqual(time_left.seconds_a_run(done), {unit(0).group: 8.0})

  def test_nothing_known(self):
    self.assertEqual(time_left.seconds_a_run({}), {})
    self.assertIsNone(time_left.remaining_seconds(PLAN, [unit(0)], {}, 2))

  @parameterized.parameters((1, 60.0), (2, 30.0), (3, 20.0), (100, 10.0))
  def test_remaining_by_hand(self, workers, expected):
    pending = [unit(index) for index in range(6)]

    # Six runs of 10 seconds; no number of workers ends before one run does.
    found = time_left.remaining_seconds(
      PLAN, pending, {unit(0).group: 10.0}, workers
    )

    self.assertEqual(found, expected)

  def test_unknown_model_is_scaled_by_its_cost(self):
    # Depth 32 costs four times depth 8.
    known = {unit(0).group: 10.0}
    pending = [unit(5), unit(0, LARGE), unit(1, LARGE)]

    self.assertEqual(time_left.remaining_seconds(PLAN, pending, known, 1), 90.0)

  def test_recording_is_reckoned_apart(self):
    done = {
      unit(0): survey.FinishedRun(10.0, 0, recording=5.0),
      unit(2): finished(10.0),
    }
    pending = [unit(1), unit(3), unit(0, LARGE)]

    known = time_left.seconds_a_run(done)
    beside = time_left.seconds_of_recording(done)
    more = time_left.seconds_beside(PLAN, pending, beside)

    self.assertEqual(known, {unit(0).group: 10.0})
    # Runs 0 and 1 of each model record; depth 32 costs four times depth 8.
    self.assertEqual(more, {unit(1): 5.0, unit(0, LARGE): 20.0})
    # 10 + 10 + 40 of running and 25 of recording.
    left = time_left.remaining_seconds(PLAN, pending, known, 1, more)
    self.assertEqual(left, 85.0)

  def test_nothing_pending_takes_no_time(self):
    self.assertEqual(
      time_left.remaining_seconds(PLAN, [], {unit(0).group: 10.0}, 4), 0.0
    )

  @parameterized.parameters(
    (0, "0 s"),
    (44.6, "45 s"),
    (89.4, "89 s"),
    (90, "90 s"),
    (599, "599 s"),
    (600, "10 min"),
    (5399, "90 min"),
    (5400, "1.5 h"),
    (9000, "2.5 h"),
    (172799, "48.0 h"),
    (172800, "2.0 days"),
    (354240, "4.1 days"),
  )
  def test_duration(self, seconds, expected):
    self.assertEqual(time_left.duration(seconds), expected)


if __name__ == "__main__":
  absltest.main()
