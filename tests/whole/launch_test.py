"""The main job end to end: the same arrays whatever happens on the way."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from unittest import mock

from absl.testing import absltest
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from memo_tf.estimators import memorization
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions
from memo_tf.store import sealed
from tests.support import page_data
from tests.support import shared_studies
from tests.support import small_study

UNIT = f"{small_study.MODEL}/one_hot/r0.70"


def setUpModule():
  global UNDISTURBED, OUTPUT
  OUTPUT = shared_studies.finished("ten")
  UNDISTURBED = OUTPUT.folder


def times_of(folder: pathlib.Path) -> dict[pathlib.Path, int]:
  """When each finished run of a study was written."""
  return {p: p.stat().st_mtime_ns for p in small_study.finished_runs(folder)}


def trainings(folder: pathlib.Path) -> dict[str, int]:
  """How often each unit was trained to its end, by the units' logs."""
  return {
    path.parent.name: path.read_text().count("] finished and written")
    for path in (folder / "work" / UNIT).glob("*/log.txt")
  }


class UndisturbedTest(absltest.TestCase):
  def test_directory_holds_what_the_design_names(self):
    names = {str(p.relative_to(UNDISTURBED)) for p in UNDISTURBED.rglob("*")}

    for name in (
      "config.json",
      "resolved.flags",
      "environment.json",
      "dataset/info.json",
      "dataset/examples.parquet",
      "dataset/images.npy",
      "dataset/shards/train-00000-of-00001.tfrecord",
      "dataset/shards/test-00000-of-00001.tfrecord",
      "subsets/r0.70.npy",
      f"runs/{UNIT}/00009/predictions.parquet",
      f"runs/{UNIT}/00009/history.jsonl",
      f"runs/{UNIT}/00009/run.json",
      f"scores/{UNIT}/memorization.parquet",
      "scores/summary.json",
      "report/index.html",
    ):
      self.assertIn(name, names)
    self.assertEmpty([n for n in names if "~" in n])
    self.assertNotIn(
      str(UNDISTURBED), (UNDISTURBED / "resolved.flags").read_text()
    )

  def test_every_example_is_predicted_exactly_once(self):
    table = pd.read_parquet(
      UNDISTURBED / "runs" / UNIT / "00003/predictions.parquet"
    )
    mask = np.load(UNDISTURBED / "subsets/r0.70.npy")[3]
    train = table[table["split"] == "train"]
    test = table[table["split"] == "test"]

    self.assertEqual(train["example_id"].tolist(), list(range(1500)))
    self.assertEqual(test["example_id"].tolist(), list(range(297)))
    np.testing.assert_array_equal(train["in_subset"], mask)
    self.assertFalse(test["in_subset"].any())

  def test_scores_are_those_of_the_predictions(self):
    directory = directory_lib.StudyDirectory(UNDISTURBED)
    units = [work_units.parse_unit(f"{UNIT}/{m:05d}") for m in range(10)]
    stack = predictions.stack_runs(directory, units)
    path = UNDISTURBED / "scores" / UNIT / "memorization.parquet"
    table = pq.read_table(path)
    frame = table.to_pandas()

    scores = memorization.memorization_scores(stack.correct, stack.in_mask)

    np.testing.assert_array_equal(frame["memorization"], scores.memorization)
    self.assertEqual(frame["num_in"].unique().tolist(), [7])
    self.assertEqual(frame["num_out"].unique().tolist(), [3])
    about = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    self.assertEqual(about["outcome"], "correctness")
    self.assertEqual(about["estimand"], "conditional")
    self.assertEqual(about["ratio"], "0.7")
    self.assertEqual(about["M"], "10")

  def test_mean_memorization_is_mean_in_minus_mean_out_accuracy(self):
    directory = directory_lib.StudyDirectory(UNDISTURBED)
    units = [work_units.parse_unit(f"{UNIT}/{m:05d}") for m in range(10)]
    records = [
      directory.run_state(unit, check_digests=True).record for unit in units
    ]
    summary = json.loads((UNDISTURBED / "scores/summary.json").read_text())[0]

    gap = np.mean([r["in_accuracy"] - r["out_accuracy"] for r in records])

    self.assertAlmostEqual(summary["mean_memorization"], gap, delta=1e-12)

  def test_the_page_shows_the_figures(self):
    page = (UNDISTURBED / "report/index.html").read_text()
    summary = json.loads((UNDISTURBED / "scores/summary.json").read_text())[0]

    self.assertIn(f"{summary['mean_memorization']:.3f}", page)
    self.assertIn(f"{summary['planted_auroc']:.4f}", page)
    self.assertIn("data:image/webp;base64,", page)
    # In one file: it names no other page, script or image.
    found = page_data.Page(UNDISTURBED / "report/index.html")
    self.assertEmpty(
      [
        s
        for s in found.sources
        if s[:5] not in ("data:",) and not s.startswith("#")
      ]
    )
    # The launch ends with the table and three lines.
    last = OUTPUT.stdout.splitlines()[-5:]
    self.assertStartsWith(last[0], "model/recipe/subsets")
    self.assertIn("memorized for certain by ResNet-8", last[2])
    self.assertStartsWith(last[3], "Page: file://")
    self.assertStartsWith(last[4], "Next: ")

  def test_grown_from_4_to_10_subsets_it_runs_the_other_6(self):
    # That it is the study of one launch: see DisturbedTest.
    self.assertIn("4 done, 6 to run on 1 worker", OUTPUT.stderr)

  def test_the_same_command_again_runs_nothing(self):
    folder = self.new_folder()
    shared_studies.copy("ten", folder)
    before = times_of(folder)

    opened = pathlib.Path(self.create_tempdir().full_path) / "opened"
    program = self.create_tempfile("browser").full_path
    pathlib.Path(program).write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    os.chmod(program, 0o755)
    with mock.patch.dict(os.environ, {"BROWSER": f"{program} %s"}):
      again = small_study.launch(folder, "--open")
    self.assertEqual(
      opened.read_text().strip(),
      (folder / "report/index.html").resolve().as_uri(),
    )
    resolved = small_study.run(
      [
        *small_study.command(None)[:3],
        f"--flagfile={folder / 'resolved.flags'}",
        f"--experiment_dir={folder}",
      ]
    )

    for result in (again, resolved):
      self.assertEqual(result.returncode, 0, result.stderr)
      self.assertIn("10 done, 0 to run", result.stderr)
    self.assertEqual(before, times_of(folder))
    self.assertEmpty(
      small_study.differences(
        small_study.arrays(folder), small_study.arrays(UNDISTURBED)
      )
    )

  def test_dry_run_says_what_would_run_and_writes_nothing(self):
    folder = self.new_folder()
    new = small_study.launch(folder, "--dry_run", workers=1)
    self.assertEqual(new.returncode, 0, new.stderr)
    self.assertIn("10 runs pending on 1 worker: about", new.stdout)
    self.assertIn("measured steps", new.stdout)
    self.assertFalse(folder.exists())

    before = {p: p.stat().st_mtime_ns for p in UNDISTURBED.rglob("*")}
    known = small_study.launch(UNDISTURBED, "--dry_run", num_subsets=20)
    self.assertEqual(known.returncode, 0, known.stderr)
    self.assertIn("10 runs pending", known.stdout)
    self.assertIn("finished runs", known.stdout)
    self.assertEqual(
      before, {p: p.stat().st_mtime_ns for p in UNDISTURBED.rglob("*")}
    )

  def new_folder(self) -> pathlib.Path:
    return pathlib.Path(self.create_tempdir().full_path) / "study"


class DisturbedTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / "study"

  def start(self, **changes) -> subprocess.Popen:
    process = small_study.start(self.folder, **changes)
    self.addCleanup(small_study.kill_all, process)
    return process

  def finished(self) -> list[pathlib.Path]:
    return small_study.finished_runs(self.folder)

  def checkpoint(self) -> pathlib.Path | None:
    """That of the run which is at work, if it has one."""
    return next((self.folder / "work").rglob("checkpoint.npz"), None)

  def wait_until_dead(self, workers: list[int]) -> None:
    self.assertNotEmpty(workers)
    small_study.wait_for(
      lambda: not any(small_study.is_working(pid) for pid in workers), 5
    )

  def test_interrupted_four_times_it_is_the_study_of_one_launch(self):
    self.terminate_at_the_start()
    self.kill_the_launch_in_mid_run()
    self.interrupt_between_runs()
    self.assertBetween(len(self.finished()), 1, 8)
    done = times_of(self.folder)

    errors = self.kill_the_only_worker_and_wait_for_the_end()

    self.assertRegex(errors, "tried again: its worker was killed by signal 9")
    self.assertEmpty(
      small_study.differences(
        small_study.arrays(self.folder), small_study.arrays(UNDISTURBED)
      )
    )
    # What was finished was not run again; what was begun went on.
    self.assertEqual({**times_of(self.folder), **done}, times_of(self.folder))
    # A worker killed right after it has published a run has not logged it yet.
    self.assertEqual(max(trainings(self.folder).values()), 1)
    logs = (self.folder / "work").rglob("log.txt")
    self.assertNotEmpty(
      [p for p in logs if "resumed after epoch" in p.read_text()]
    )
    self.assertEmpty([p for p in self.folder.rglob(".*~*")])

  def terminate_at_the_start(self):
    process = self.start(workers=1)
    small_study.wait_for(lambda: small_study.children_of(process.pid))

    self.signal_twice(process, signal.SIGTERM, 143)

  def kill_the_launch_in_mid_run(self):
    """SIGKILL: its workers die by themselves, and nothing runs on."""
    process = self.start(workers=1)
    small_study.wait_for(self.checkpoint)
    workers = small_study.children_of(process.pid)

    process.kill()
    process.communicate()

    self.wait_until_dead(workers)
    count = len(self.finished())
    time.sleep(0.5)
    self.assertLen(self.finished(), count)

  def interrupt_between_runs(self):
    process = self.start(workers=2)
    wanted = len(self.finished()) + 1
    small_study.wait_for(lambda: len(self.finished()) >= wanted)
    self.assertLen(small_study.children_of(process.pid), 2)

    self.signal_twice(process, signal.SIGINT, 130)

  def signal_twice(self, process, number: int, code: int):
    workers = small_study.children_of(process.pid)

    process.send_signal(number)
    process.send_signal(number)  # twice, as impatient people do
    _, errors = process.communicate(timeout=20)

    self.assertEqual(process.returncode, code, errors)
    self.assertIn("same command", errors)
    self.assertNotIn("Traceback", errors)
    self.wait_until_dead(workers)

  def kill_the_only_worker_and_wait_for_the_end(self) -> str:
    """Without another worker, only a new one can end the study."""
    process = self.start(workers=1)
    wanted = len(self.finished()) + 1
    small_study.wait_for(
      lambda: len(self.finished()) >= wanted and self.checkpoint()
    )
    self.assertLess(len(self.finished()), 10)
    [worker] = small_study.children_of(process.pid)

    os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=200)

    self.assertEqual(process.returncode, 0, errors)
    return errors

  def test_two_launches_divide_the_work_and_mix_nothing(self):
    both = [self.start(num_subsets=4, workers=1) for _ in range(2)]
    # The worker of one launch is halted in its first run …
    claim = small_study.wait_for(
      lambda: next((self.folder / "work").rglob("claim"), None)
    )
    token = small_study.wait_for(claim.read_text)
    path = self.folder / f"work/launches/{token}.json"
    first = json.loads(path.read_text())["pid"]
    slow, fast = sorted(both, key=lambda process: process.pid != first)
    self.assertEqual(slow.pid, first)
    [worker] = small_study.children_of(slow.pid)
    os.kill(worker, signal.SIGSTOP)
    # … so the other one does the other three, and waits.
    small_study.wait_for(lambda: len(self.finished()) == 3)
    self.assertIsNone(fast.poll())
    os.kill(worker, signal.SIGCONT)

    for process, elsewhere in ((slow, 3), (fast, 1)):
      _, errors = process.communicate(timeout=200)
      self.assertEqual(process.returncode, 0, errors)
      self.assertIn(f"{elsewhere} runs were done by another launch", errors)
    self.assertEqual(
      trainings(self.folder), {f"{index:05d}": 1 for index in range(4)}
    )
    self.assertEmpty(
      small_study.differences(
        small_study.arrays(self.folder),
        small_study.arrays(shared_studies.finished("four").folder),
      )
    )
    self.assertEmpty([p for p in self.folder.rglob(".*~*")])
    self.assertFalse((self.folder / "damaged").exists())


class MoreOutputsTest(absltest.TestCase):
  """Two of four finished runs are repeated for outputs that they lack.

  The stored predictions of run 0 are replaced by those of run 1, so that only
  run 1 can reproduce its own. The runs read subset shards.
  """

  OPTIONS = (
    f"--work_units={UNIT}/00001,{UNIT}/00000",
    "--keep_logits",
    "--keep_weights",
    "--materialize_subsets",
  )

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    cls.folder = shared_studies.copy("four", root / "study")
    for name in ("scores", "report"):
      shutil.rmtree(cls.folder / name)
    cls.runs = cls.folder / "runs" / UNIT
    cls.replace_predictions(cls.runs / "00000", cls.runs / "00001")
    cls.before = small_study.arrays(cls.folder)
    cls.result = cls.launch()

  @classmethod
  def launch(cls):
    return small_study.launch(
      cls.folder, *cls.OPTIONS, num_subsets=4, workers=1
    )

  @staticmethod
  def replace_predictions(run, other):
    record = sealed.loads((run / "run.json").read_bytes())
    record["machine"]["host"] = "elsewhere"
    content = (other / "predictions.parquet").read_bytes()
    record["outputs"]["predictions.parquet"] = {
      "bytes": len(content),
      "digest": files.digest_bytes(content),
    }
    (run / "predictions.parquet").write_bytes(content)
    (run / "run.json").write_text(sealed.dumps(record))

  def test_the_chosen_units_are_run_and_nothing_follows_them(self):
    self.assertIn("0 done, 2 to run", self.result.stderr)
    self.assertFalse((self.folder / "scores").exists())
    self.assertFalse((self.folder / "report").exists())
    for index in (2, 3):
      self.assertFalse((self.runs / f"{index:05d}/logits.npy").exists())

  def test_a_run_that_reproduces_its_predictions_has_the_outputs(self):
    self.assertEmpty(
      small_study.differences(self.before, small_study.arrays(self.folder))
    )
    run = self.runs / "00001"
    self.assertTrue((run / "weights.weights.h5").exists())
    logits = np.load(run / "logits.npy")
    predicted = pd.read_parquet(run / "predictions.parquet")["predicted"]
    self.assertEqual((logits.shape, logits.dtype), ((1797, 10), np.float16))
    # float16 may tie what float32 told apart
    self.assertGreater((logits.argmax(axis=1) == predicted).mean(), 0.99)

  def test_one_that_does_not_is_an_error_that_names_the_machine(self):
    self.assertEqual(self.result.returncode, 1)
    self.assertIn("does not reproduce its predictions", self.result.stderr)
    self.assertIn("elsewhere", self.result.stderr)
    self.assertRegex(self.result.stderr, rf"(?m)^{UNIT}/00000 +2  ")
    self.assertIn("1 of 2 runs failed", self.result.stderr)
    self.assertEqual(
      (self.runs / "00000/predictions.parquet").read_bytes(),
      (self.runs / "00001/predictions.parquet").read_bytes(),
    )
    self.assertFalse((self.runs / "00000/logits.npy").exists())

  def test_the_runs_read_subset_shards(self):
    shard = self.folder / "subsets/r0.70/00001/train-00000-of-00001.tfrecord"
    whole = self.folder / "dataset/shards/train-00000-of-00001.tfrecord"
    self.assertAlmostEqual(
      shard.stat().st_size / whole.stat().st_size, 0.7, delta=0.01
    )

  def test_the_same_command_again_runs_only_what_failed(self):
    again = small_study.launch(
      self.folder, "--dry_run", *self.OPTIONS, num_subsets=4, workers=1
    )

    self.assertIn("1 runs pending", again.stdout)


if __name__ == "__main__":
  absltest.main()
