"""Large data on disk: written an image at a time, the same as from memory."""

import functools
import json
import os
import pathlib
import shutil
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd
from PIL import Image
import tensorflow_datasets as tfds

from memo_tf.data import prepare
from memo_tf.data.sources import load
from memo_tf.data.sources import tfds as tfds_lib
from memo_tf.data.sources import tfds_stream
from memo_tf.data.stored import normalization
from memo_tf.data.stored import reader
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib

RNG = np.random.default_rng(0)
STREAM = settings_lib.RunningConfig(storage="stream")


class Photographs(tfds.core.GeneratorBasedBuilder):
  """JPEG files with ids, which TFDS shuffles; a test split."""

  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(
        {
          "id": tfds.features.Text(),
          "image": tfds.features.Image(
            shape=(20, 24, 3), encoding_format="jpeg"
          ),
          "label": tfds.features.ClassLabel(names=["sea", "wood"]),
        }
      ),
      supervised_keys=("image", "label"),
    )

  def _split_generators(self, dl_manager):
    return {
      "train": self._generate_examples(30, 0),
      "test": self._generate_examples(7, 1),
    }

  def _generate_examples(self, count, seed):
    rng = np.random.default_rng(seed)
    for number in range(count):
      image = rng.integers(0, 256, (20, 24, 3), np.uint8)
      name = f"image_{number:03d}"
      yield name, {"id": name, "image": image, "label": number % 2}


class Deep(tfds.core.GeneratorBasedBuilder):
  """16 bits, four channels, no names, no test split."""

  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Image(shape=(6, 5, 4), dtype=np.uint16),
          "label": np.int64,
        }
      ),
      supervised_keys=("image", "label"),
    )

  def _split_generators(self, dl_manager):
    return {"train": self._generate_examples()}

  def _generate_examples(self):
    rng = np.random.default_rng(2)
    for number in range(20):
      image = rng.integers(0, 2**16, (6, 5, 4), np.uint16)
      yield number, {"image": image, "label": number % 3}


def write(
  test, data: settings_lib.DataConfig, running=STREAM
) -> tuple[directory_lib.StudyDirectory, dict]:
  """Writes `dataset/` of a study into a new folder; its info.json."""
  root = pathlib.Path(test.create_tempdir().full_path)
  directory = directory_lib.StudyDirectory(root)
  config = config_lib.StudyConfig(data=data, running=running).validate()
  return directory, prepare.write_dataset(config, directory)


@functools.cache
def prepared(builder) -> str:
  """A folder with a data set in TFDS's own format."""
  folder = tempfile.mkdtemp()
  builder(data_dir=folder).download_and_prepare()
  return folder


def tearDownModule():
  for builder in (Photographs, Deep):
    shutil.rmtree(prepared(builder))


class LargePreparationTest(absltest.TestCase):
  def assert_same(self, settings: settings_lib.DataConfig, running=STREAM):
    """Streamed is what is held in memory, pixel by pixel; both infos."""
    held_dir, held = write(self, settings, settings_lib.RunningConfig())
    stored_dir, stored = write(self, settings, running)
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
    streamed = reader.read_dataset(held_dir, STREAM)
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
    folder = prepared(Photographs)
    settings = settings_lib.DataConfig(dataset="photographs", data_dir=folder)

    _, _, info = self.assert_same(settings)

    self.assertEqual(info["encoding"]["images_as_published"], 37)
    self.assertIn("own `id`", info["order"])

  def test_resized_with_a_drawn_test_set_and_labels_of_ones_own(self):
    folder = prepared(Photographs)
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
    folder = prepared(Deep)

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
          pixels = RNG.integers(0, 256, (20, 16 + number, 3), np.uint8)
          Image.fromarray(pixels).save(place / f"{number}.png")
    settings = settings_lib.DataConfig(
      dataset=f"folder:{folder}", image_size=16
    )

    self.assert_same(settings)

    with self.assertRaisesRegex(errors.UsageError, "--image_size must"):
      write(self, settings_lib.DataConfig(dataset=f"folder:{folder}"))
    (folder / "train/cat/9.png").write_bytes(b"\x89PNG no image")
    with self.assertRaisesRegex(errors.UsageError, "cannot be read"):
      write(self, settings)

  def test_everything_planted_on_data_of_a_package(self):
    settings = settings_lib.DataConfig(
      label_noise=0.1,
      planted_exact_duplicates=5,
      planted_near_duplicates=5,
      planted_copied_labels=4,
      planted_conflicts=3,
      planted_noise_images=6,
    )

    held_dir, _ = write(self, settings, settings_lib.RunningConfig())
    stored_dir, info = write(self, settings)

    one = reader.read_dataset(held_dir)
    other = reader.read_dataset(stored_dir, STREAM)
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

    directory, info = write(self, settings)

    data = reader.read_dataset(directory, STREAM)
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
      folder = prepared(Deep)
      write(
        self,
        settings_lib.DataConfig(
          dataset="deep",
          data_dir=folder,
          test_fraction=0.25,
          image_size=8,  # else its own PNG files would stay
          image_encoding="jpeg",
        ),
      )

  def test_memory_budget_decides(self):
    folder = prepared(Photographs)
    settings = settings_lib.DataConfig(dataset="photographs", data_dir=folder)
    builder = tfds_lib.prepared_builder(settings)
    digits = settings_lib.DataConfig(
      image_encoding="auto", find_duplicates="off"
    )
    size = 1797 * 64

    found = tfds_stream.decoded_bytes(builder, "photographs", settings)
    _, below = write(
      self, digits, settings_lib.RunningConfig(memory_budget_gb=size / 1e9)
    )
    tight = settings_lib.RunningConfig(memory_budget_gb=(size - 1) / 1e9)
    directory, above = write(self, digits, tight)

    self.assertEqual(found, 37 * 20 * 24 * 3)
    self.assertNotIn("encoding", below)
    self.assertIn("encoding", above)
    self.assertNotIsInstance(
      reader.read_dataset(directory, tight).train_images, np.ndarray
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
      data=settings_lib.DataConfig(dataset=f"folder:{path}"), running=STREAM
    )

    with self.assertRaisesRegex(errors.UsageError, "split test"):
      prepare.write_dataset(config, directory)

    self.assertEmpty(list(directory.root.iterdir()))

  def test_materialized_subsets_are_refused_before_anything_is_written(self):
    directory = directory_lib.StudyDirectory(
      pathlib.Path(self.create_tempdir().full_path)
    )
    config = config_lib.StudyConfig(
      running=settings_lib.RunningConfig(memory_budget_gb=0.0),
      outputs=settings_lib.OutputsConfig(materialize_subsets=True),
    )

    with self.assertRaisesRegex(ValueError, "for data in memory"):
      prepare.write_dataset(config, directory)

    self.assertEmpty(list(directory.root.iterdir()))

  def test_near_duplicates_of_very_many_are_refused(self):
    data = load.load(settings_lib.DataConfig())
    self.assertLess(len(data.train_labels), 2000)
    settings = settings_lib.DataConfig()
    with self.assertRaisesRegex(errors.UsageError, "exact or off"):
      from memo_tf.data.sources import image_source
      from memo_tf.data.stored import writer

      whole = image_source.stream_of(data)
      many = np.zeros(210_000, np.int32)
      object.__setattr__(whole, "train_labels", many)
      writer.write_dataset(
        whole,
        config_lib.StudyConfig(data=settings),
        directory_lib.StudyDirectory(
          pathlib.Path(self.create_tempdir().full_path)
        ),
      )

  def test_a_damaged_index_is_named(self):
    directory, info = write(self, settings_lib.DataConfig(image_encoding="raw"))
    self.assertEqual(info["encoding"]["kind"], "raw")
    np.testing.assert_array_equal(
      reader.read_dataset(directory, STREAM).train_images[7:9],
      load.load(settings_lib.DataConfig()).train_images[7:9],
    )
    path = directory.dataset_dir / "shards/train-index.npy"
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)

    with self.assertRaisesRegex(errors.StudyError, "index.npy"):
      reader.read_dataset(directory, STREAM)

    self.assertIn("shards/train-index.npy", json.dumps(info["files"]))


if __name__ == "__main__":
  absltest.main()
