"""The user's own files are known by their content, not by their name."""

import os
import pathlib
import shutil
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.data.sources import custom_files
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib


class CustomFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    np.savez(self.root / "data.npz", a=np.arange(4))
    (self.root / "labels.txt").write_text("0\n1\n")
    self.images = self.root / "pets"
    for name in ("cat", "dog"):
      (self.images / "train" / name).mkdir(parents=True)
      (self.images / "train" / name / "1.png").write_bytes(b"one")

  def config(self, kind: str) -> settings_lib.DataConfig:
    if kind == "folder":
      return settings_lib.DataConfig(dataset=f"folder:{self.images}")
    if kind == "npz":
      return settings_lib.DataConfig(
        dataset="npz:data.npz", data_dir=str(self.root)
      )
    return settings_lib.DataConfig(labels_file=str(self.root / "labels.txt"))

  def change(self, kind: str) -> None:
    """Changes a byte; the size stays."""
    path = {
      "folder": self.images / "train/dog/1.png",
      "npz": self.root / "data.npz",
      "labels": self.root / "labels.txt",
    }[kind]
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)

  @parameterized.parameters("folder", "npz", "labels")
  def test_another_content_under_the_same_name_is_an_error(self, kind):
    config = self.config(kind)
    info = {"custom_files": custom_files.digests(config)}
    custom_files.check(config, info, "study")  # as it was

    self.change(kind)

    with self.assertRaisesRegex(errors.UsageError, "other content") as caught:
      custom_files.check(config, info, "study")
    self.assertNotIn("\n", str(caught.exception))

  @parameterized.parameters("folder", "npz", "labels")
  def test_a_copy_elsewhere_with_other_times_is_the_same(self, kind):
    info = {"custom_files": custom_files.digests(self.config(kind))}
    for path in (*self.images.rglob("*.png"), *self.root.glob("*.*")):
      os.utime(path, (1, 1))

    self.assertIsNone(custom_files.difference(self.config(kind), info))

  def test_an_image_more_less_or_renamed_is_another_content(self):
    config = self.config("folder")
    info = {"custom_files": custom_files.digests(config)}
    first = self.images / "train/cat/1.png"
    for change in (
      lambda: shutil.copy(first, first.with_name("2.png")),
      lambda: first.unlink(),
      lambda: os.rename(first.with_name("2.png"), first.with_name("3.png")),
    ):
      change()
      self.assertRegex(
        custom_files.difference(config, info), "pets holds other"
      )

  def test_the_way_on_is_said(self):
    config = self.config("labels")
    info = {"custom_files": custom_files.digests(config)}
    self.change("labels")

    with self.assertRaisesRegex(
      errors.UsageError,
      "--update_labels=a/study --experiment_dir=a/study-labels2",
    ):
      custom_files.check(config, info, "a/study")

  def test_what_is_gone_or_was_never_recorded_is_not_compared(self):
    config = self.config("npz")
    info = {"custom_files": custom_files.digests(config)}
    self.change("npz")
    self.assertIsNone(custom_files.difference(config, {}))
    (self.root / "data.npz").unlink()

    self.assertIsNone(custom_files.difference(config, info))

  def test_what_is_of_another_kind_is_left_to_its_reader(self):
    for settings in (
      {"dataset": f"npz:{self.images}"},
      {"dataset": f"folder:{self.root / 'data.npz'}"},
      {"labels_file": str(self.images)},
    ):
      config = settings_lib.DataConfig(**settings)
      self.assertEmpty(custom_files.digests(config), settings)

  def test_published_data_have_none(self):
    self.assertEmpty(custom_files.digests(settings_lib.DataConfig()))


if __name__ == "__main__":
  absltest.main()
