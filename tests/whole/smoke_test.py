"""A whole launch with --smoke: a page in the default folder."""

import json
import subprocess
import sys

from absl.testing import absltest
import pandas as pd

from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from tests.support import small_study

COMMAND = (
  *(sys.executable, "-m", "memo_tf.launch"),
  *("--flagfile=planted.flags", "--smoke", "--seed=3"),
)


class SmokeTest(absltest.TestCase):
  def launch(self, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
      [*COMMAND, *more],
      cwd=self.here,
      env=small_study.environment(),
      capture_output=True,
      text=True,
      timeout=300,
      check=False,
    )

  def test_a_small_study_of_its_own(self):
    self.here = self.create_tempdir().full_path

    result = self.launch()

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertStartsWith(result.stderr, "Study: studies/planted-smoke\n")
    directory = directory_lib.StudyDirectory(
      f"{self.here}/studies/planted-smoke"
    )
    self.assertTrue((directory.root / "report/index.html").exists())
    self.assertLen(small_study.finished_runs(directory.root), 2)
    info = json.loads((directory.dataset_dir / "info.json").read_text())
    # 400 and 50 + 50 + 50 copies, 13 * (1 + 2 + 3) more, 100 of noise.
    self.assertEqual((info["num_train"], info["num_test"]), (728, 297))
    config = opening.recorded_config(directory)
    self.assertEqual((config.training.epochs, config.running.seed), (1, 3))
    [path] = directory.root.rglob("memorization.parquet")
    self.assertLen(pd.read_parquet(path), 728)

    with self.subTest("the same command has nothing left to do"):
      again = self.launch("--dry_run")
      self.assertEqual(again.returncode, 0, again.stderr)
      self.assertIn("0 runs pending", again.stdout)

    with self.subTest("the whole study is another one"):
      other = self.launch("--nosmoke", "--experiment_dir=studies/planted-smoke")
      self.assertEqual(other.returncode, 2)
      self.assertIn("--max_examples: recorded 400, given 0", other.stderr)


if __name__ == "__main__":
  absltest.main()
