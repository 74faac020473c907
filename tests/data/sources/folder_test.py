"""A user's folder of images: what is taken, and what is refused."""

import os
import pathlib
import shutil

from absl.testing import absltest
import numpy as np
from PIL import Image

from memo_tf.data.sources import load as load_lib
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib


class FolderTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / "pets"
    for split, count in (("train", 3), ("test", 2)):
      for name, level in (("cat", 50), ("dog", 200)):
        place = self.folder / split / name
        place.mkdir(parents=True)
        for number in range(count):
          pixels = np.full((12, 10, 3), level + number, np.uint8)
          Image.fromarray(pixels).save(place / f"{number}.png")

  def load(self, **settings):
    return load_lib.load(
      settings_lib.DataConfig(dataset=f"folder:{self.folder}", **settings)
    )

  def test_a_folder_for_each_class(self):
    data = self.load()

    self.assertEqual(data.class_names, ("cat", "dog"))
    self.assertEqual(data.train_images.shape, (6, 12, 10, 3))
    self.assertLen(data.test_labels, 4)
    np.testing.assert_array_equal(
      data.train_images[:, 0, 0, 0] > 100, data.train_labels == 1
    )
    self.assertEqual(data.name, "pets")

  def test_images_of_differing_sizes_need_a_size(self):
    Image.new("RGB", (30, 20)).save(self.folder / "train/cat/large.png")

    with self.assertRaisesRegex(errors.UsageError, "12x10 to 20x30"):
      self.load()

    self.assertEqual(self.load(image_size=9).train_images.shape, (7, 9, 9, 3))

  def test_a_broken_image_is_one_clear_line(self):
    (self.folder / "train/cat/9.png").write_bytes(b"no image")

    with self.assertRaisesRegex(
      errors.UsageError, "1 of 11 images of .*pets .*cat/9.png"
    ):
      self.load()

  def test_what_is_no_such_folder_is_one_clear_line(self):
    (self.folder / "train/empty").mkdir()
    with self.assertRaisesRegex(errors.UsageError, "train/empty"):
      self.load()
    with self.assertRaisesRegex(errors.UsageError, "train/CLASS/IMAGE"):
      self.folder = self.folder / "train/cat"
      self.load()
    with self.assertRaisesRegex(errors.UsageError, "name a folder"):
      self.folder = self.folder / "none"
      self.load()

  def test_links_that_lead_outside_are_refused(self):
    secret = self.folder.parent / "secret.png"
    Image.new("RGB", (10, 12)).save(secret)
    link = self.folder / "train/cat/9.png"
    link.symlink_to(secret)
    with self.assertRaisesRegex(errors.UsageError, "leads out.*secret.png"):
      self.load()

    link.unlink()
    link.symlink_to(self.folder / "train/cat/1.png")
    self.assertLen(self.load().train_labels, 7)

    link.unlink()
    outside = self.folder.parent / "outside"
    outside.mkdir()
    secret.rename(outside / "secret.png")
    (self.folder / "train/fox").symlink_to(outside)
    with self.assertRaisesRegex(errors.UsageError, "leads out.*outside"):
      self.load()

  def test_what_is_no_plain_file_is_refused_and_never_opened(self):
    path = self.folder / "train/cat/9.png"
    for make, words in (
      (lambda: os.mkfifo(path), "a FIFO"),
      (lambda: path.mkdir(), "a folder"),
      (lambda: path.symlink_to("nowhere.png"), "leads nowhere"),
    ):
      make()
      with self.assertRaisesRegex(errors.UsageError, words):
        self.load()
      path.rmdir() if path.is_dir() else path.unlink()

  def test_images_of_too_many_pixels_are_refused(self):
    with self.assertRaisesRegex(errors.UsageError, "max_image_pixels=119"):
      self.load(max_image_pixels=119)

  def test_splits_that_are_not_there_are_one_clear_line(self):
    with self.assertRaisesRegex(
      errors.UsageError, "must be a split of pets: .*test.*--test_split=val"
    ):
      self.load(test_split="val")
    with self.assertRaisesRegex(errors.UsageError, "--train_split=fit"):
      self.load(train_split="fit")

  def test_a_test_set_may_be_drawn_in_either_layout(self):
    self.assertLen(self.load(test_fraction=0.5).test_labels, 3)

    (self.folder / "test").rename(self.folder.parent / "away")
    for name in ("cat", "dog"):
      (self.folder / "train" / name).rename(self.folder / name)
    (self.folder / "train").rmdir()
    with self.assertRaisesRegex(errors.UsageError, "no test examples"):
      self.load()
    with self.assertRaisesRegex(errors.UsageError, "of every class, of the 6"):
      self.load(test_fraction=0.9)
    data = self.load(test_fraction=0.34)
    self.assertEqual(data.test_labels.tolist(), [0, 1])
    self.assertCountEqual(
      [*data.train_sources, *data.test_sources],
      [f"{name}/{n}.png" for name in ("cat", "dog") for n in range(3)],
    )

  def test_one_class_is_too_few(self):
    for split in ("train", "test"):
      shutil.rmtree(self.folder / split / "dog")

    with self.assertRaisesRegex(errors.UsageError, "at least 2 classes"):
      self.load()


if __name__ == "__main__":
  absltest.main()
