"""Launches that extend the study until its intervals are narrow enough."""

import dataclasses
import json
import pathlib
import shutil
import tempfile

from absl.testing import absltest
import numpy as np
import pytest

from memo_tf.experiment import plan as plan_lib
from memo_tf.running import planning
from memo_tf.running import rounds
from memo_tf.scoring import spending
from memo_tf.scoring import study
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import survey
from tests.support import made_up
from tests.support import shared_studies
from tests.support import small_study

# The small study has widths of about 0.92, 0.74 and 0.62 with 10, 20 and 30
# runs.
TARGET = {"target_ci_width": 0.8, "workers": 1}


def subsets_of(folder) -> int:
  """The recorded number of subsets."""
  config = opening.recorded_config(directory_lib.StudyDirectory(folder))
  return config.subsets.num_subsets


def target_of(folder) -> dict:
  rows = json.loads((folder / "scores/summary.json").read_text())
  return rows[0]["target"]


class TargetTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.folder = pathlib.Path(temporary.name) / "study"

  def launch(self, *more, **changes):
    result = small_study.launch(self.folder, *more, **{**TARGET, **changes})
    self.assertEqual(result.returncode, 0, result.stderr)
    return result

  def test_a_finished_study_is_extended_and_then_done(self):
    shutil.copytree(shared_studies.finished("ten").folder, self.folder)
    before = {
      p: p.stat().st_mtime_ns for p in small_study.finished_runs(self.folder)
    }

    dry = self.launch("--dry_run")
    result = self.launch()

    self.assertIn("it seems to stop at about 20 subsets, 10 runs", dry.stdout)
    self.assertIn("Extended from 10 to 20 subsets.", result.stderr)
    self.assertIn("The target of 0.8 is reached: with 20", result.stderr)
    runs = small_study.finished_runs(self.folder)
    self.assertLen(runs, 20)
    for path, when in before.items():
      self.assertEqual(path.stat().st_mtime_ns, when)
    self.assertEqual(subsets_of(self.folder), 20)
    self.assertLen(np.load(self.folder / "subsets/r0.70.npy"), 20)
    self.assertEqual(target_of(self.folder)["state"], "reached")
    self.assertLessEqual(target_of(self.folder)["width"], 0.8)
    page = (self.folder / "report/index.html").read_text()
    self.assertIn("The target of 0.8 is reached", page)
    status = small_study.run(
      small_study.command(self.folder, program="status")[:3]
      + [f"--experiment_dir={self.folder}", "--check"]
    )
    self.assertEqual(status.returncode, 0, status.stdout + status.stderr)
    self.assertIn("The target of 0.8 is reached", status.stdout)

    # The same command, and one whose limit is what the study has: no run.
    self.launch()
    self.launch(target_ci_width=0.1, max_subsets=20)

    self.assertEqual(small_study.finished_runs(self.folder), runs)
    self.assertEqual(target_of(self.folder)["state"], "max_subsets")
    self.assertIn(
      "--max_subsets=20 ends the study",
      (self.folder / "report/index.html").read_text(),
    )

  @pytest.mark.slow
  def test_killed_at_any_moment_the_same_command_goes_on(self):
    target = {"target_ci_width": 0.7, "max_subsets": 30}
    undisturbed = self.folder.parent / "undisturbed"
    shutil.copytree(shared_studies.finished("ten").folder, undisturbed)
    self.folder, own = undisturbed, self.folder
    self.launch(**target)
    self.folder = own
    expected = small_study.arrays(undisturbed)
    self.assertEqual(subsets_of(undisturbed), 30)

    moments = (
      # Subsets are written, config.json is not.
      lambda: len(np.load(self.folder / "subsets/r0.70.npy")) == 20,
      lambda: subsets_of(self.folder) == 20,
      lambda: len(small_study.finished_runs(self.folder)) >= 14,
      lambda: len(small_study.finished_runs(self.folder)) == 20,
      lambda: subsets_of(self.folder) == 30,
    )
    shutil.copytree(shared_studies.finished("ten").folder, self.folder)
    for reached in moments:
      process = small_study.start(self.folder, **{**TARGET, **target})
      small_study.wait_for(reached)
      small_study.kill_all(process)
    self.launch(**target)

    self.assertEqual(
      small_study.differences(expected, small_study.arrays(self.folder)), []
    )
    self.assertEqual(target_of(self.folder)["state"], "reached")

  @pytest.mark.slow
  def test_a_new_study_starts_at_the_given_number(self):
    """Reached at the start: it is not extended."""
    result = self.launch(target_ci_width=1.0, num_subsets=10)

    self.assertNotIn("Extended", result.stderr)
    self.assertLen(small_study.finished_runs(self.folder), 10)
    self.assertEqual(target_of(self.folder)["state"], "reached")


class ExtendedTest(absltest.TestCase):
  """The decision after a round, on made-up runs."""

  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    config = made_up.config(num_subsets=20)
    subsets = dataclasses.replace(
      config.subsets, target_ci_width=0.3, max_subsets=200
    )
    self.config = dataclasses.replace(config, subsets=subsets)
    self.directory = made_up.make(root / "study", self.config, range(20))
    self.plan = plan_lib.Plan.of(self.config)
    self.results = study.score_study(self.directory, self.plan)

  def extended(self, failures=()):
    plan = rounds.extended(
      self.directory, self.plan, self.results, dict.fromkeys(failures, "why")
    )
    return plan and plan.config.subsets.num_subsets

  def test_half_way(self):
    (found,) = spending.progress(self.config, self.results)
    needed = found.look.runs_needed

    self.assertGreater(needed, 40)
    self.assertEqual(self.extended(), 20 + needed // 10 // 2 * 10)

  def test_not_while_runs_have_failed(self):
    self.assertIsNone(self.extended([made_up.unit(3).name]))

  def test_as_far_as_another_launch_has_extended_it(self):
    subsets = dataclasses.replace(self.config.subsets, num_subsets=180)
    further = dataclasses.replace(self.config, subsets=subsets)
    opening.write_settings(self.directory, further)

    self.assertEqual(self.extended(), 180)

  def test_dry_run_tells_the_cost(self):
    def told(plan, done):
      found = survey.survey(self.directory, plan)
      found = dataclasses.replace(
        found, done={u: r for u, r in found.done.items() if u in done}
      )
      known = {made_up.GROUP: 2.0}
      return planning.target_lines(plan, self.directory, found, known, 1)

    *_, last = told(self.plan, self.plan.units)
    (found,) = spending.progress(self.config, self.results)
    likely = min(found.predicted_runs, 200)
    self.assertEqual(
      last,
      f"--target_ci_width=0.3: it seems to stop at about {likely} subsets, "
      f"{likely - 20} runs from now, in about {2 * (likely - 20)} s.",
    )
    self.assertEqual(
      told(self.plan, []),
      [
        "--target_ci_width=0.3: where it stops is not known before each model "
        "has a block of finished runs. At most: --max_subsets=200, 200 runs "
        "from now, in about 400 s."
      ],
    )
    chosen = self.plan.selected(self.plan.units[:2])
    self.assertEqual(told(chosen, []), [])


if __name__ == "__main__":
  absltest.main()
