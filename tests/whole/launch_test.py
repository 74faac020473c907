"""The main job end to end: the same arrays whatever happens on the way."""

import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import tempfile
import termios
import time

from absl.testing import absltest
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from memo_tf.estimators import memorization
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions
from tests.support import small_study

UNIT = f"{small_study.MODEL}/one_hot/r0.70"


def setUpModule():
  global _TEMPORARY, UNDISTURBED, OUTPUT
  _TEMPORARY = tempfile.TemporaryDirectory()
  UNDISTURBED = pathlib.Path(_TEMPORARY.name) / "un disturbed"
  OUTPUT = small_study.launch(UNDISTURBED)
  if OUTPUT.returncode:
    raise RuntimeError(OUTPUT.stderr)


def tearDownModule():
  _TEMPORARY.cleanup()


class LaunchTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / "study"

  def assert_like_undisturbed(self, folder=None):
    found = small_study.arrays(folder or self.folder)
    expected = small_study.arrays(UNDISTURBED)
    self.assertEmpty(small_study.differences(found, expected))

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
    self.assertIn("data:image/png;base64,", page)
    # In one file: it names no other page, script or image.
    self.assertEmpty(re.findall(r"(?:src|href)=.http[^>]{0,80}", page))
    self.assertEmpty(re.findall(r"https?://(?!www\.w3\.org)[^ ]{0,60}", page))

  def test_the_same_command_again_runs_nothing(self):
    before = {
      p: p.stat().st_mtime_ns for p in small_study.finished_runs(UNDISTURBED)
    }

    again = small_study.launch(UNDISTURBED)

    self.assertEqual(again.returncode, 0, again.stderr)
    self.assertIn("10 done, 0 to run", again.stderr)
    after = {
      p: p.stat().st_mtime_ns for p in small_study.finished_runs(UNDISTURBED)
    }
    self.assertEqual(before, after)

  def test_one_worker_gives_the_same(self):
    result = small_study.launch(self.folder, workers=1)

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assert_like_undisturbed()

  def test_killing_every_process_at_three_moments_changes_nothing(self):
    for moment in (
      lambda before: (self.folder / "dataset").exists(),  # before any run
      lambda before: (self.folder / "work" / UNIT).exists(),  # in the first
      lambda before: len(small_study.finished_runs(self.folder)) > before,
    ):
      before = len(small_study.finished_runs(self.folder))
      process = small_study.start(self.folder)
      # The moment may have been reached by an earlier launch: at work, too.
      small_study.wait_for(
        lambda m=moment, b=before, p=process: (
          m(b) and small_study.children_of(p.pid)
        )
      )
      workers = small_study.kill_all(process)
      self.assertNotEmpty(workers)
    self.assertLess(len(small_study.finished_runs(self.folder)), 10)
    done = {
      p: p.stat().st_mtime_ns for p in small_study.finished_runs(self.folder)
    }

    result = small_study.launch(self.folder)

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assert_like_undisturbed()
    for path, time_ns in done.items():  # what was finished was not run again
      self.assertEqual(path.stat().st_mtime_ns, time_ns)
    self.assertEmpty([p for p in self.folder.rglob(".*~*")])

  def test_workers_die_with_their_parent(self):
    process = small_study.start(self.folder)
    small_study.wait_for(lambda: small_study.finished_runs(self.folder))
    workers = small_study.children_of(process.pid)
    self.assertLen(workers, 2)

    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    small_study.wait_for(
      lambda: not any(small_study.is_working(pid) for pid in workers), 5
    )
    count = len(small_study.finished_runs(self.folder))
    time.sleep(0.5)
    self.assertLen(small_study.finished_runs(self.folder), count)
    result = small_study.launch(self.folder)
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assert_like_undisturbed()

  def test_a_killed_worker_is_replaced(self):
    process = small_study.start(self.folder)
    small_study.wait_for(lambda: small_study.finished_runs(self.folder))
    os.kill(small_study.children_of(process.pid)[0], signal.SIGKILL)

    _, errors = process.communicate(timeout=200)

    self.assertEqual(process.returncode, 0, errors)
    self.assert_like_undisturbed()

  def test_two_launches_at_once_mix_nothing(self):
    both = [small_study.start(self.folder, workers=1) for _ in range(2)]

    for process in both:
      _, errors = process.communicate(timeout=200)
      self.assertEqual(process.returncode, 0, errors)

    self.assert_like_undisturbed()
    self.assertEmpty([p for p in self.folder.rglob(".*~*")])
    self.assertFalse((self.folder / "damaged").exists())

  def test_in_a_terminal_it_shows_a_bar_with_the_time_left(self):
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 100))
    process = subprocess.Popen(
      small_study.command(self.folder, num_subsets=4),
      cwd=small_study.ROOT,
      stdout=subprocess.DEVNULL,
      stderr=its,
    )
    os.close(its)
    shown = b""
    while True:
      try:
        block = os.read(ours, 1 << 16)
      except OSError:  # how Linux says that the other end is closed
        break
      if not block:
        break
      shown += block
    os.close(ours)

    self.assertEqual(process.wait(), 0, shown)
    self.assertIn(b"4/4 runs", shown)
    self.assertRegex(shown, rb"about \d+ (s|min) left")

  def test_a_run_goes_on_inside_after_a_crash(self):
    checkpoint = self.folder / "work" / UNIT / "00000/checkpoint.npz"
    log = checkpoint.with_name("log.txt")
    process = small_study.start(
      self.folder, workers=1, num_subsets=2, checkpoint_epochs=1
    )
    small_study.wait_for(checkpoint.exists)
    small_study.kill_all(process)
    self.assertEmpty(small_study.finished_runs(self.folder))

    result = small_study.launch(
      self.folder, workers=1, num_subsets=2, checkpoint_epochs=1
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("resumed after epoch", log.read_text())
    self.assertFalse(checkpoint.exists())
    found = small_study.arrays(self.folder)
    expected = small_study.arrays(UNDISTURBED)
    for name, array in found.items():
      if name.startswith(UNIT):
        np.testing.assert_array_equal(array, expected[name])

  def test_a_study_that_grows_is_the_larger_study(self):
    first = small_study.launch(self.folder, num_subsets=4)
    self.assertEqual(first.returncode, 0, first.stderr)

    result = small_study.launch(self.folder)

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("4 done, 6 to run", result.stderr)
    self.assert_like_undisturbed()

  def test_units_one_by_one_are_the_same_and_nothing_follows_them(self):
    for names in ([f"{UNIT}/00007"], [f"{UNIT}/00002", f"{UNIT}/00000"]):
      result = small_study.launch(
        self.folder, f"--work_units={','.join(names)}"
      )
      self.assertEqual(result.returncode, 0, result.stderr)

    self.assertLen(small_study.finished_runs(self.folder), 3)
    self.assertFalse((self.folder / "scores").exists())
    found = small_study.arrays(self.folder)
    expected = small_study.arrays(UNDISTURBED)
    for name, array in found.items():
      np.testing.assert_array_equal(array, expected[name])

  def test_one_more_output_repeats_runs_and_reproduces_them(self):
    first = small_study.launch(self.folder, num_subsets=2)
    self.assertEqual(first.returncode, 0, first.stderr)
    before = small_study.arrays(self.folder)

    result = small_study.launch(
      self.folder, "--keep_logits", "--keep_weights", num_subsets=2
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("0 done, 2 to run", result.stderr)
    self.assertEmpty(
      small_study.differences(before, small_study.arrays(self.folder))
    )
    run = self.folder / "runs" / UNIT / "00001"
    logits = np.load(run / "logits.npy")
    predicted = pd.read_parquet(run / "predictions.parquet")["predicted"]
    self.assertEqual((logits.shape, logits.dtype), ((1797, 10), np.float16))
    # float16 may tie what float32 told apart
    self.assertGreater((logits.argmax(axis=1) == predicted).mean(), 0.99)
    again = small_study.launch(
      self.folder, "--keep_logits", "--keep_weights", num_subsets=2
    )
    self.assertIn("2 done, 0 to run", again.stderr)

  def test_a_repeated_run_that_differs_is_an_error_that_names_machines(self):
    first = small_study.launch(self.folder, num_subsets=2)
    self.assertEqual(first.returncode, 0, first.stderr)
    run = self.folder / "runs" / UNIT / "00000"
    other = self.folder / "runs" / UNIT / "00001"
    record = json.loads((run / "run.json").read_text())
    record["machine"]["host"] = "elsewhere"
    stolen = (other / "predictions.parquet").read_bytes()
    record["outputs"]["predictions.parquet"] = {
      "bytes": len(stolen),
      "digest": files.digest_bytes(stolen),
    }
    (run / "predictions.parquet").write_bytes(stolen)
    (run / "run.json").write_text(json.dumps(record))

    result = small_study.launch(self.folder, "--keep_logits", num_subsets=2)

    self.assertEqual(result.returncode, 1)
    self.assertIn("does not reproduce its predictions", result.stderr)
    self.assertIn("elsewhere", result.stderr)
    self.assertEqual((run / "predictions.parquet").read_bytes(), stolen)

  def test_materialized_subsets_give_the_same(self):
    result = small_study.launch(
      self.folder, "--materialize_subsets", num_subsets=2
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    shard = self.folder / "subsets/r0.70/00001/train-00000-of-00001.tfrecord"
    whole = self.folder / "dataset/shards/train-00000-of-00001.tfrecord"
    self.assertAlmostEqual(
      shard.stat().st_size / whole.stat().st_size, 0.7, delta=0.01
    )
    found = small_study.arrays(self.folder)
    expected = small_study.arrays(UNDISTURBED)
    for name, array in found.items():
      if name.startswith(UNIT):
        np.testing.assert_array_equal(array, expected[name])

  def test_signals_end_it_cleanly_and_the_command_goes_on(self):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
      process = small_study.start(self.folder)
      wanted = len(small_study.finished_runs(self.folder)) + 1
      small_study.wait_for(
        lambda n=wanted: len(small_study.finished_runs(self.folder)) >= n
      )
      workers = small_study.children_of(process.pid)
      process.send_signal(number)
      process.send_signal(number)  # twice, as impatient people do
      _, errors = process.communicate(timeout=20)
      self.assertEqual(process.returncode, code, errors)
      self.assertIn("Rerun the same command", errors)
      self.assertNotIn("Traceback", errors)
      self.assertFalse(any(small_study.is_working(pid) for pid in workers))

    result = small_study.launch(self.folder)

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assert_like_undisturbed()

  def test_dry_run_says_what_would_run_and_writes_nothing(self):
    new = small_study.launch(self.folder, "--dry_run")
    self.assertEqual(new.returncode, 0, new.stderr)
    self.assertIn("10 runs pending on 2 workers: about", new.stdout)
    self.assertIn("measured steps", new.stdout)
    self.assertFalse(self.folder.exists())

    known = small_study.launch(UNDISTURBED, "--dry_run", num_subsets=20)
    self.assertEqual(known.returncode, 0, known.stderr)
    self.assertIn("10 runs pending", known.stdout)
    self.assertIn("finished runs", known.stdout)
    self.assert_like_undisturbed(UNDISTURBED)

  def test_resolved_flags_give_the_same_study(self):
    command = [
      *small_study.command(UNDISTURBED)[:3],
      f"--flagfile={UNDISTURBED / 'resolved.flags'}",
      f"--experiment_dir={UNDISTURBED}",
    ]
    result = small_study.run(command)

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("10 done, 0 to run", result.stderr)


if __name__ == "__main__":
  absltest.main()
