"""`memo_tf.score`: predictions to a study, and a study scored again."""

import pathlib
import shutil

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import config as config_lib
from memo_tf.store import sealed
from tests.support import predictions_elsewhere
from tests.support import shared_studies
from tests.support import small_study


class ScoreTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def score(self, *flags: str):
    return small_study.run(
      [small_study.sys.executable, "-m", "memo_tf.score", *flags]
    )

  def test_a_file_of_predictions_becomes_a_study(self):
    values = predictions_elsewhere.values()
    np.savez_compressed(self.folder / "mine.npz", **values)
    root = self.folder / "study"

    made = self.score(
      f"--predictions={self.folder}/mine.npz",
      f"--experiment_dir={root}",
      "--outcomes=correctness,margin",
    )

    self.assertEqual(made.returncode, 0, made.stderr)
    self.assertIn("given-mine/given/r0.70", made.stdout)
    scores = root / "scores/given-mine/given/r0.70"
    frame = pd.read_parquet(scores / "memorization_margin.parquet")
    self.assertGreater(frame["memorization"].mean(), 0.5)
    launched = small_study.run(
      [
        small_study.sys.executable,
        "-m",
        "memo_tf.launch",
        f"--experiment_dir={root}",
      ]
    )
    self.assertEqual(launched.returncode, 2)
    self.assertIn("cannot be extended by training", launched.stderr)
    self.assertLen(launched.stderr.strip().splitlines(), 2)  # after "Study: …"

  def test_a_trained_study_is_scored_again_without_training(self):
    root = self.folder / "study"
    shutil.copytree(shared_studies.finished("four").folder, root)
    before = small_study.arrays(root)
    shutil.rmtree(root / "scores")

    again = self.score(f"--experiment_dir={root}", "--min_memorization=0.9")

    self.assertEqual(again.returncode, 0, again.stderr)
    after = small_study.arrays(root)
    different = small_study.differences(before, after)
    self.assertEmpty([name for name in different if "influence" not in name])
    config = config_lib.from_json(
      sealed.unsealed((root / "config.json").read_bytes())
    )
    self.assertEqual(config.outputs.min_memorization, 0.9)
    self.assertEqual(config.data.label_noise, 0.1)

  def test_wrong_use_is_one_line(self):
    result = self.score()

    self.assertEqual(result.returncode, 2)
    self.assertIn("--predictions must name the file", result.stderr)
    self.assertLen(result.stderr.strip().splitlines(), 1)


if __name__ == "__main__":
  absltest.main()
