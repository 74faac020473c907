"""The program `memo_tf.attribution`, and its refusals of one line."""

import pathlib
import sys
import tempfile

from absl.testing import absltest
import numpy as np

from tests.findings import attribution_test
from tests.support import small_study


class ProgramTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.folder = pathlib.Path(folder)
    cls.truth, _ = attribution_test.make_study(cls.folder / "study")
    np.save(cls.folder / "mine.npy", cls.truth.T)

  def run_program(self, *flags: str):
    return small_study.run(
      [
        sys.executable,
        "-m",
        "memo_tf.attribution",
        f"--experiment_dir={self.folder}/study",
        *flags,
      ]
    )

  def test_it_prints_and_writes_what_the_runs_say(self):
    done = self.run_program(
      f"--attribution={self.folder}/mine.npy",
      "--orientation=test_by_train",
      "--group=given-1-mine",
      f"--truth={self.folder}/truth.npz",
    )

    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn("The linear datamodeling score is 0.9", done.stdout)
    self.assertIn("/findings/attribution/given-1-mine/given", done.stdout)
    with np.load(self.folder / "truth.npz", allow_pickle=False) as truth:
      self.assertEqual(truth["indices"].shape, (40, 21))
      self.assertEqual(truth["target_values"].shape, (40, 20))

  def test_what_is_wrong_is_one_line(self):
    mine = f"--attribution={self.folder}/mine.npy"
    for flags, message in (
      ((mine,), "--orientation must say what the rows"),
      ((), "--attribution or --truth must name a file"),
      (
        ("--attribution=my own.npy", "--orientation=train_by_test"),
        "its results get that name. Received: 'my own'",
      ),
      (
        (mine, "--orientation=train_by_test", "--group=given-1-mine"),
        "must be 30 x 20 as train_by_test: .* would fit as test_by_train",
      ),
    ):
      done = self.run_program(*flags)

      self.assertEqual(done.returncode, 2, done.stderr)
      last = done.stderr.strip().splitlines()[-1]
      self.assertRegex(last, f"^memo_tf.attribution: .*{message}")
      self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
  absltest.main()
