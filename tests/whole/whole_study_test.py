"""The digits study at its real size: the same bits however it came about."""

import pathlib
import tempfile

from absl.testing import absltest
import pytest

from tests.support import small_study


@pytest.mark.slow
class WholeStudyTest(absltest.TestCase):
  """Takes minutes; launch_test does the same with small studies."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(cls.temporary.cleanup)
    cls.root = pathlib.Path(cls.temporary.name)
    cls.whole = cls.root / "whole"
    cls.run_to_the_end(cls.whole)

  @staticmethod
  def command(folder, **changes) -> list[str]:
    flags = {"models": "cifar_resnet-8", "num_subsets": 60, **changes}
    return [
      *small_study.command(None)[:3],
      "--flagfile=digits.flags",
      *(f"--{name}={value}" for name, value in flags.items()),
      f"--experiment_dir={folder}",
    ]

  @classmethod
  def run_to_the_end(cls, folder, **changes) -> str:
    result = small_study.run(cls.command(folder, **changes))
    if result.returncode:
      raise RuntimeError(result.stderr)
    return result.stderr

  def assert_like_whole(self, folder):
    found, expected = map(small_study.arrays, (folder, self.whole))
    self.assertGreater(len(expected), 60 * 7)
    self.assertEmpty(small_study.differences(found, expected))

  def test_extended_from_40_to_60_subsets(self):
    folder = self.root / "extended"
    self.run_to_the_end(folder, num_subsets=40)

    self.assertIn("40 done, 20 to run", self.run_to_the_end(folder))
    self.assert_like_whole(folder)

  def test_killed_three_times_with_another_number_of_workers(self):
    folder = self.root / "killed"
    for wanted, workers in ((5, 2), (20, 1), (40, 3)):
      process = small_study.start_command(self.command(folder, workers=workers))
      small_study.wait_for(
        lambda n=wanted: len(small_study.finished_runs(folder)) >= n
      )
      self.assertLen(small_study.kill_all(process), workers)

    self.run_to_the_end(folder, workers=1)

    self.assert_like_whole(folder)

  def test_in_parts_by_work_units(self):
    folder = self.root / "parts"
    unit = "cifar_resnet-8/one_hot/r0.70"
    for first in (40, 0, 20):
      names = [f"{unit}/{m:05d}" for m in range(first, first + 20)]
      self.run_to_the_end(folder, work_units=",".join(names))
    self.assertFalse((folder / "scores").exists())

    self.assertIn("60 done, 0 to run", self.run_to_the_end(folder))
    self.assert_like_whole(folder)


if __name__ == "__main__":
  absltest.main()
