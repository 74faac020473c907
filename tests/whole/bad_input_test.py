"""Wrong use and broken surroundings: one clear line, non-zero, nothing lost.

Damaged runs and full disks are rows of tests/faults/table.py.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest

from memo_tf.store import sealed
from tests.support import shared_studies
from tests.support import small_study

UNIT = f"{small_study.MODEL}/one_hot/r0.70"


def can_mount() -> bool:
  """Whether this process may mount a small tmpfs."""
  if os.geteuid() or not shutil.which("mount"):
    return False
  with tempfile.TemporaryDirectory() as folder:
    done = subprocess.run(
      ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
      capture_output=True,
      check=False,
    )
    if done.returncode:
      return False
    subprocess.run(["umount", folder], check=True)
  return True


class OneLineMixin:
  def assert_one_line(self, result, code: int, *parts: str):
    self.assertEqual(result.returncode, code, result.stderr)
    self.assertNotIn("Traceback", result.stderr)
    lines = [
      line for line in result.stderr.splitlines() if line.startswith("memo_tf.")
    ]
    self.assertLen(lines, 1, result.stderr)
    for part in parts:
      self.assertIn(part, lines[0])


class WrongUseTest(OneLineMixin, parameterized.TestCase):
  """Nothing may be written where a flag is wrong."""

  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / "study"

  @parameterized.named_parameters(
    ("dataset", {"dataset": "cifra10"}, "--dataset", "cifra10"),
    ("model", {"models": "cifar_resnet-9"}, "--models", "6n + 2"),
    ("family", {"models": "vgg-16"}, "--models", "vgg-16"),
    ("recipe", {"recipes": "two_hot"}, "--recipes", "two_hot"),
    ("ratio_0", {"subset_ratio": "0"}, "--subset_ratio", "between 0 and 1"),
    ("ratio_1", {"subset_ratio": "1"}, "--subset_ratio", "between 0 and 1"),
    ("one_subset", {"num_subsets": "1"}, "--num_subsets", "at least 2"),
    ("no_number", {"epochs": "many"}, "epochs", "many"),
    ("no_epoch", {"epochs": "0"}, "--epochs", "0"),
    ("nan", {"learning_rate": "nan"}, "--learning_rate", "nan"),
    ("noise", {"label_noise": "1"}, "--label_noise", "[0, 1)"),
    (
      "copies",
      {"planted_copies": "1"},
      "--planted_copies",
      "2 or more",
    ),
    (
      "planted",
      {"planted_conflicts": "-1"},
      "--planted_conflicts",
      "0 or more",
    ),
    (
      "distance",
      {"near_duplicate_distance": "0"},
      "--near_duplicate_distance",
      "(0, 1]",
    ),
    ("flag", {"epohcs": "3"}, "epohcs", "epochs"),
    ("scheme", {"subset_scheme": "odd"}, "subset_scheme", "balanced"),
    ("subsets", {"subset_families": "../x"}, "--subset_families", "../x"),
    ("unit", {"work_units": "../../etc"}, "MODEL/RECIPE", "../../etc"),
    ("many_subsets", {"num_subsets": 10**9}, "--num_subsets", "at most"),
    ("many_workers", {"workers": 10**9}, "--workers", "at most 4096"),
    ("many_threads", {"threads_per_unit": 10**9}, "--threads_per", "at most"),
  )
  def test_flag(self, changes, *parts):
    result = small_study.launch(self.folder, **changes)

    self.assert_one_line(result, 2, *parts)
    self.assertFalse(self.folder.exists())

  def test_unknown_flagfile(self):
    result = small_study.launch(self.folder, "--flagfile=nosuch.flags")

    self.assert_one_line(result, 2, "nosuch.flags", "digits.flags")

  def test_no_directory(self):
    result = small_study.launch(None, "--experiment_dir=")

    self.assert_one_line(result, 2, "--experiment_dir must name")

  def test_batch_larger_than_a_subset_leaves_nothing_behind(self):
    result = small_study.launch(self.folder, batch_size=1051)

    self.assert_one_line(result, 2, "--batch_size", "1050")
    self.assertFalse(self.folder.exists())

  @pytest.mark.slow
  def test_a_dry_run_refuses_such_a_batch_as_well(self):
    result = small_study.launch(self.folder, "--dry_run", batch_size=1051)

    self.assert_one_line(result, 2, "--batch_size", "1050")
    self.assertFalse(self.folder.exists())

  @pytest.mark.slow
  def test_own_data_that_changed_since(self):
    path = self.folder.parent / "data.npz"
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 8, 8), np.uint8)
    changes = {
      "dataset": f"npz:{path}",
      "test_fraction": 0.2,
      "batch_size": 16,
      "num_subsets": 2,
      "epochs": 1,
      "workers": 1,
      "label_noise": 0,
    }
    np.savez(path, train_images=images, train_labels=np.arange(60) % 2)
    first = small_study.launch(self.folder, **changes)
    self.assertEqual(first.returncode, 0, first.stderr)
    before = small_study.arrays(self.folder)
    np.savez(path, train_images=255 - images, train_labels=np.arange(60) % 2)

    for more in ((), ("--dry_run",), ("--num_subsets=3",)):
      result = small_study.launch(self.folder, *more, **changes)
      self.assert_one_line(result, 2, "data.npz", "other content")

    self.assertEmpty(
      small_study.differences(small_study.arrays(self.folder), before)
    )
    path.unlink()  # the study has its own copy
    self.assertEqual(small_study.launch(self.folder, **changes).returncode, 0)

  def test_more_to_plant_than_there_are_images(self):
    result = small_study.launch(self.folder, planted_exact_duplicates=1351)

    # 150 of the 1,500 have wrong labels.
    self.assert_one_line(result, 2, "--planted_exact_duplicates", "1350 such")
    self.assertFalse((self.folder / "dataset").exists())
    self.assertFalse((self.folder / "config.json").exists())

  def test_unit_that_is_not_planned(self):
    result = small_study.launch(self.folder, f"--work_units={UNIT}/00010")

    self.assert_one_line(result, 2, "--work_units", f"{UNIT}/00010")

  def test_foreign_folder_is_left_alone(self):
    self.folder.mkdir()
    (self.folder / "thesis.txt").write_text("mine")

    result = small_study.launch(self.folder)

    self.assert_one_line(result, 2, "thesis.txt", "config.json")
    self.assertEqual([p.name for p in self.folder.iterdir()], ["thesis.txt"])

  def test_status_of_no_study(self):
    result = small_study.run(
      [*small_study.command(None)[:2], "memo_tf.status", "--experiment_dir=/no"]
    )

    self.assert_one_line(result, 1, "no study")


class DamageTest(OneLineMixin, absltest.TestCase):
  """A finished study, copied and broken in one place."""

  def setUp(self):
    super().setUp()
    self.whole = shared_studies.finished("four").folder
    self.folder = pathlib.Path(self.create_tempdir().full_path) / "study"
    shared_studies.copy("four", self.folder)

  def launch(self, *more, **changes):
    return small_study.launch(
      self.folder, *more, **{"num_subsets": 4, "workers": 1, **changes}
    )

  def status(self):
    command = small_study.command(self.folder, program="status")
    return small_study.run([*command[:3], f"--experiment_dir={self.folder}"])

  def assert_nothing_lost(self):
    differences = small_study.differences(
      small_study.arrays(self.folder), small_study.arrays(self.whole)
    )
    self.assertEmpty(differences)

  def test_another_config_shows_the_fields_that_differ(self):
    result = self.launch(epochs=4, learning_rate=0.2)

    self.assert_one_line(
      result,
      2,
      "--epochs: recorded 3, given 4",
      "--learning_rate: recorded 0.1, given 0.2",
    )
    self.assertNotIn("--momentum", result.stderr)
    self.assert_nothing_lost()

  def test_truncated_tfrecord(self):
    path = self.folder / "dataset/shards/train-00000-of-00001.tfrecord"
    os.truncate(path, path.stat().st_size // 2)

    result = self.launch()

    self.assert_one_line(result, 1, str(path), "instead of", "launch command")
    self.assert_nothing_lost()
    damaged = self.folder / "runs" / UNIT / "00001/predictions.parquet"
    content = damaged.read_bytes()
    os.truncate(damaged, 100)
    status = self.status()
    self.assertEqual(status.returncode, 1)
    self.assertIn(str(path), status.stdout)
    self.assertIn(f"damaged: {UNIT}/00001", status.stdout)
    self.assertEqual(damaged.stat().st_size, 100)
    damaged.write_bytes(content)

  def test_flipped_bit_in_a_tfrecord(self):
    path = self.folder / "dataset/shards/test-00000-of-00001.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    self.assert_one_line(self.launch(), 1, str(path), "digest")

  def test_damaged_config(self):
    (self.folder / "config.json").write_text('{"format_version": 1, "da')

    self.assert_one_line(self.launch(), 1, "config.json", "cannot be read")
    self.assert_nothing_lost()

  def test_newer_format(self):
    content = sealed.loads((self.folder / "config.json").read_bytes())
    content["format_version"] = 99
    (self.folder / "config.json").write_text(sealed.dumps(content))

    self.assert_one_line(self.launch(), 1, "format_version 99", "newer")

  def test_changed_subsets(self):
    path = self.folder / "subsets/r0.70.npy"
    masks = np.load(path)
    masks[0, :2] = ~masks[0, :2]
    np.save(path, masks)

    self.assert_one_line(self.launch(), 1, "r0.70.npy")

  def test_diverging_loss_names_unit_and_epoch_and_stops_nothing_else(self):
    folder = self.folder.parent / "diverging"

    result = small_study.launch(
      folder, learning_rate="1e30", num_subsets=2, workers=1
    )

    self.assertEqual(result.returncode, 1)
    # The table of what failed; each was tried twice.
    for index in (0, 1):
      self.assertRegex(
        result.stderr,
        rf"{UNIT}/0000{index} +2  the loss became nan in epoch 1 of 3",
      )
    self.assertNotIn("Traceback", result.stderr)
    self.assertIn(
      "DivergedError",
      (folder / "work" / UNIT / "00000/traceback.txt").read_text(),
    )
    self.assertEmpty(small_study.finished_runs(folder))

  @absltest.skipUnless(can_mount(), "needs root and mount")
  def test_read_only_disk(self):
    disk = pathlib.Path(self.create_tempdir().full_path)
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    try:
      result = small_study.launch(disk / "study")
      self.assert_one_line(result, 1, "Read-only file system", str(disk))
    finally:
      subprocess.run(["umount", str(disk)], check=True)

  @absltest.skipUnless(
    os.geteuid() or shutil.which("setpriv"), "root needs setpriv"
  )
  def test_directory_without_the_right_to_write(self):
    folders = [self.folder, *(p for p in self.folder.rglob("*") if p.is_dir())]
    for folder in folders:
      folder.chmod(0o555)
    # Root may write anywhere: without that capability it is like others.
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = small_study.command(self.folder, num_subsets=4)
    try:
      result = small_study.run(command if os.geteuid() else [*drop, *command])
    finally:
      for folder in folders:
        folder.chmod(0o755)

    self.assert_one_line(result, 1, "Permission denied", str(self.folder))
    self.assert_nothing_lost()


if __name__ == "__main__":
  absltest.main()
