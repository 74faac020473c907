"""Large data on disk: written one image at a time, the same as from memory."""

import os
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np
import pandas as pd
from PIL import Image

from memo_tf.data import prepare
from memo_tf.data.sources import image_stream
from memo_tf.data.sources import load
from memo_tf.data.stored import normalization
from memo_tf.data.stored import reader
from memo_tf.data.stored import shards
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib
from tests.support import small_data
from tests.support import stored_data_sets


class WriterTest(absltest.TestCase):
  def assert_same(
    self, settings: settings_lib.DataConfig, running=stored_data_sets.STREAM
  ):
    """Streamed is what is held in memory, pixel by pixel; both infos."""
    held_dir, held = stored_data_sets.write(
      self, settings, settings_lib.RunningConfig()
    )
    stored_dir, stored = stored_data_sets.write(self, settings, running)
    one = reader.read_dataset(held_dir)
    other = reader.read_dataset(stored_dir, running)
    for name in ("train_labels", "test_labels", "mean", "std"):
      np.testing.assert_array_equal(getattr(other, name), getattr(one, name))
    for name in ("train_images", "test_images"):
      found = getattr(other, name)
      self.assertNotIsInstance(found, np.ndarray)
      self.assertEqual(found.shape, getattr(one, name).shape)
      np.testing.assert_array_equal(found[:], getattr(one, name))
    pd.testing.assert_frame_equal(
      pd.read_parquet(stored_dir.dataset_dir / "examples.parquet"),
      pd.read_parquet(held_dir.dataset_dir / "examples.parquet"),
    )
    differing = {"files", "digest", "encoding"}
    self.assertEqual(
      {k: v for k, v in stored.items() if k not in differing},
      {k: v for k, v in held.items() if k not in differing},
    )
    # What was prepared to be held in memory can be streamed.
    streamed = reader.read_dataset(held_dir, stored_data_sets.STREAM)
    self.assertNotIsInstance(streamed.test_images, np.ndarray)
    np.testing.assert_array_equal(streamed.train_images[:], one.train_images)
    np.testing.assert_array_equal(streamed.test_images[:], one.test_images)
    np.testing.assert_array_equal(streamed.test_labels, one.test_labels)
    # The same encoded records, held in memory after all.
    memory = settings_lib.RunningConfig(storage="memory")
    decoded = reader.read_dataset(stored_dir, memory)
    np.testing.assert_array_equal(decoded.train_images, one.train_images)
    np.testing.assert_array_equal(decoded.test_images, one.test_images)
    return held_dir, stored_dir, stored

  def test_jpeg_files_of_tfds_stay_the_bytes_that_they_are(self):
    folder = stored_data_sets.prepared(stored_data_sets.Photographs)
    settings = settings_lib.DataConfig(dataset="photographs", data_dir=folder)

    _, _, info = self.assert_same(settings)

    self.assertEqual(info["encoding"]["images_as_published"], 37)
    self.assertIn("own `id`", info["order"])

  def test_resized_with_a_drawn_test_set_and_labels_of_ones_own(self):
    folder = stored_data_sets.prepared(stored_data_sets.Photographs)
    path = pathlib.Path(self.create_tempdir().full_path, "labels.txt")
    path.write_text("\n".join(str(number % 2) for number in range(24)))
    settings = settings_lib.DataConfig(
      dataset="photographs",
      data_dir=folder,
      image_size=12,
      test_fraction=0.2,
      labels_file=str(path),
    )

    _, stored_dir, info = self.assert_same(settings)

    self.assertEqual(info["encoding"]["images_as_published"], 0)
    self.assertEqual(info["num_train"], 24)
    self.assertEqual(info["image_shape"], [12, 12, 3])
    table = pd.read_parquet(stored_dir.dataset_dir / "examples.parquet")
    self.assertStartsWith(table["source"][0], "image_")

  def test_sixteen_bits_of_four_channels(self):
    folder = stored_data_sets.prepared(stored_data_sets.Deep)

    self.assert_same(
      settings_lib.DataConfig(
        dataset="deep", data_dir=folder, test_fraction=0.25
      )
    )

  def test_a_folder_of_images(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    for split, count in (("train", 5), ("test", 2)):
      for name in ("cat", "dog"):
        place = folder / split / name
        place.mkdir(parents=True)
        for number in range(count):
          pixels = stored_data_sets.RNG.integers(
            0, 256, (20, 16 + number, 3), np.uint8
          )
          Image.fromarray(pixels).save(place / f"{number}.png")
    settings = settings_lib.DataConfig(
      dataset=f"folder:{folder}", image_size=16
    )

    self.assert_same(settings)

    with self.assertRaisesRegex(errors.UsageError, "--image_size must"):
      stored_data_sets.write(
        self, settings_lib.DataConfig(dataset=f"folder:{folder}")
      )
    (folder / "train/cat/9.png").write_bytes(b"\x89PNG no image")
    with self.assertRaisesRegex(errors.UsageError, "cannot be read"):
      stored_data_sets.write(self, settings)

  def test_jpeg_is_asked_for_and_close_and_copies_of_it_are_equal(self):
    path = pathlib.Path(self.create_tempdir().full_path, "smooth.npz")
    ramp = np.linspace(0, 255, 64)[:, None, None] * [1.0, 0.8, 0.5]
    ramp = np.broadcast_to(ramp, (64, 60, 3)).astype(np.uint8)
    images = np.stack([np.roll(ramp, n, axis=0) for n in range(10)])
    labels = np.arange(10) % 2
    np.savez(
      path,
      train_images=images[:8],
      train_labels=labels[:8],
      test_images=images[8:],
      test_labels=labels[8:],
    )
    settings = settings_lib.DataConfig(
      dataset=f"npz:{path}", image_encoding="jpeg", planted_exact_duplicates=3
    )

    directory, info = stored_data_sets.write(self, settings)

    data = reader.read_dataset(directory, stored_data_sets.STREAM)
    difference = np.abs(data.train_images[:8].astype(int) - images[:8])
    self.assertGreater(difference.max(), 0)
    self.assertLess(difference.mean(), 2.0)
    table = pd.read_parquet(directory.dataset_dir / "examples.parquet")
    origins = table["origin_id"][8:11].to_numpy()
    np.testing.assert_array_equal(
      data.train_images[8:11], data.train_images[origins]
    )
    np.testing.assert_array_equal(table["duplicate_of_train"][8:11], origins)
    thumbnails = np.load(directory.dataset_dir / "thumbnails.npy")
    self.assertEqual(thumbnails.shape, (13, 48, 48, 3))
    self.assertAlmostEqual(thumbnails[2].mean(), images[2].mean(), delta=2.0)
    self.assertEqual(
      info["normalization"], normalization.normalization(data.train_images[:])
    )
    with self.assertRaisesRegex(errors.UsageError, "8 bits with 1 or 3"):
      folder = stored_data_sets.prepared(stored_data_sets.Deep)
      stored_data_sets.write(
        self,
        settings_lib.DataConfig(
          dataset="deep",
          data_dir=folder,
          test_fraction=0.25,
          image_size=8,  # else its own PNG files would stay
          image_encoding="jpeg",
        ),
      )

  def test_what_fails_half_way_leaves_nothing(self):
    path = pathlib.Path(self.create_tempdir().full_path)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path / "a.png")
    for name in ("train/a", "train/b", "test/a", "test/b"):
      (path / name).mkdir(parents=True)
      os.link(path / "a.png", path / name / "a.png")
    (path / "a.png").unlink()
    (path / "test/b/b.png").write_bytes(b"\x89PNG")
    directory = directory_lib.StudyDirectory(
      pathlib.Path(self.create_tempdir().full_path)
    )
    config = config_lib.StudyConfig(
      data=settings_lib.DataConfig(dataset=f"folder:{path}"),
      running=stored_data_sets.STREAM,
    )

    with self.assertRaisesRegex(errors.UsageError, "test/b/b.png"):
      prepare.write_dataset(config, directory)

    self.assertEmpty(list(directory.root.iterdir()))

  def test_near_duplicates_of_very_many_are_refused(self):
    data = load.load(settings_lib.DataConfig())
    self.assertLess(len(data.train_labels), 2000)
    settings = settings_lib.DataConfig()
    with self.assertRaisesRegex(errors.UsageError, "exact or off"):
      from memo_tf.data.stored import writer

      whole = image_stream.stream_of(data)
      many = np.zeros(210_000, np.int32)
      object.__setattr__(whole, "train_labels", many)
      writer.write_dataset(
        whole,
        config_lib.StudyConfig(data=settings),
        directory_lib.StudyDirectory(
          pathlib.Path(self.create_tempdir().full_path)
        ),
      )

  def test_a_failed_write_leaves_nothing(self):
    directory = directory_lib.StudyDirectory(
      pathlib.Path(self.create_tempdir().full_path)
    )
    with mock.patch.object(
      shards.Writer, "add", side_effect=OSError(28, "No space")
    ):
      with self.assertRaises(OSError):
        writer.write_dataset(
          small_data.digits(), small_data.config(), directory
        )

    self.assertEmpty(list(directory.root.iterdir()))

  def test_everything_planted_on_data_of_a_package(self):
    settings = settings_lib.DataConfig(
      label_noise=0.1,
      planted_exact_duplicates=5,
      planted_near_duplicates=5,
      planted_copied_labels=4,
      planted_conflicts=3,
      planted_noise_images=6,
    )

    held_dir, _ = stored_data_sets.write(
      self, settings, settings_lib.RunningConfig()
    )
    stored_dir, info = stored_data_sets.write(self, settings)

    one = reader.read_dataset(held_dir)
    other = reader.read_dataset(stored_dir, stored_data_sets.STREAM)
    rows = np.arange(1480, info["num_train"])
    np.testing.assert_array_equal(
      other.train_images[rows], one.train_images[rows]
    )
    np.testing.assert_array_equal(other.train_labels, one.train_labels)
    np.testing.assert_array_equal(other.mean, one.mean)
    pd.testing.assert_frame_equal(
      pd.read_parquet(stored_dir.dataset_dir / "examples.parquet"),
      pd.read_parquet(held_dir.dataset_dir / "examples.parquet"),
    )
    # Of small images the thumbnails are the images.
    np.testing.assert_array_equal(
      np.load(stored_dir.dataset_dir / "thumbnails.npy"),
      np.load(held_dir.dataset_dir / "images.npy"),
    )


if __name__ == "__main__":
  absltest.main()
