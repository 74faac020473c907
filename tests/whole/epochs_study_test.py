"""A finished study to which `--score_epochs` is added."""

import os
import pathlib
import shutil
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import errors
from memo_tf.running import results
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import selections
from tests.support import page_data
from tests.support import shared_studies
from tests.support import small_study

NUM_TRAIN = 1500


class EpochsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    temporary = self.enterContext(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(temporary) / "study"

  def launch(self, *more, **changes):
    return small_study.launch(self.folder, *more, workers=1, **changes)

  def bits(self, run, epoch):
    with np.load(run / f"after_epoch_{epoch}.npz") as found:
      count = int(found["num_examples"])
      return np.unpackbits(found["correct"], count=count).astype(bool)

  def test_a_finished_study_is_scored_over_epochs(self):
    shutil.copytree(shared_studies.finished("ten").folder, self.folder)
    runs = [p.parent for p in small_study.finished_runs(self.folder)]
    before = {run: (run / "predictions.parquet").read_bytes() for run in runs}

    refused = self.launch(score_epochs="2,4")
    result = self.launch(score_epochs="2,1,3", num_subsets=20)

    self.assertEqual(refused.returncode, 2)
    self.assertIn("--score_epochs must be at most --epochs, 3", refused.stderr)
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("0 done, 20 to run", result.stderr)
    for run, content in before.items():
      self.assertEqual((run / "predictions.parquet").read_bytes(), content)
    # The last epoch is in the predictions.
    self.assertFalse((runs[0] / "after_epoch_3.npz").exists())
    self.check_tables(sorted(runs)[0].parent)
    page = page_data.Page(self.folder / "report/index.html")
    self.assertIn("Over training", page.text)
    self.assertIn("epochs-0-0", page.values["charts"])
    self.check_damaged(runs[0] / "after_epoch_2.npz")

  def check_damaged(self, path):
    """A file that differs from its digest is found, though it looks whole."""
    when = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(path, ns=(when, when))
    directory = directory_lib.StudyDirectory(self.folder)
    plan = selections.plan(directory, opening.recorded_config(directory))

    with self.assertRaisesRegex(errors.DamagedRunError, "after_epoch_2.npz"):
      results.score(directory, plan)

  def check_tables(self, group):
    [folder] = self.folder.glob("findings/epochs/*/one_hot/r0.70")
    scores = pd.read_parquet(folder / "scores.parquet")
    right, masks = [], []
    for run in sorted(group.iterdir()):
      right.append(self.bits(run, 1)[:NUM_TRAIN])
      table = pd.read_parquet(run / "predictions.parquet")
      masks.append(table["in_subset"].to_numpy()[:NUM_TRAIN])
    right, masks = np.array(right), np.array(masks)
    expected = [
      right[m, n].mean() - right[~m, n].mean()
      for n, m in enumerate(masks.T)
      if m.any() and not m.all()
    ]
    found = scores[scores["epoch"] == 1]["memorization"]
    np.testing.assert_allclose(found.dropna(), expected, atol=1e-12)
    last = pd.read_parquet(
      self.folder
      / "scores"
      / group.relative_to(self.folder / "runs")
      / "memorization.parquet"
    )
    np.testing.assert_array_equal(
      scores[scores["epoch"] == 3]["memorization"], last["memorization"]
    )
    sentences = pd.read_csv(folder / "findings.csv")["sentence"]
    self.assertIn("planted wrong labels", "\n".join(sentences))


if __name__ == "__main__":
  absltest.main()
