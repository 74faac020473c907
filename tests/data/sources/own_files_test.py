"""One's own data: .npz, a folder of images, a file of labels; what is refused."""

import os
import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
from PIL import Image

from memo_tf.data import resizing
from memo_tf.data.sources import load as load_lib
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib

RNG = np.random.default_rng(0)


def arrays(**changes) -> dict[str, np.ndarray]:
  """What an .npz may hold: 20 + 8 grey images of 3 classes."""
  content = {
    "train_images": RNG.integers(0, 256, (20, 8, 8)).astype(np.uint8),
    "train_labels": np.arange(20) % 3,
    "test_images": RNG.integers(0, 256, (8, 8, 8)).astype(np.uint8),
    "test_labels": np.arange(8) % 3,
  }
  content |= changes
  return {name: array for name, array in content.items() if array is not None}


class NpzTest(parameterized.TestCase):
  def load(self, content: dict[str, np.ndarray], **settings):
    path = pathlib.Path(self.create_tempdir().full_path) / "mine.npz"
    np.savez(path, **content)
    return load_lib.load(
      settings_lib.DataConfig(dataset=f"npz:{path}", **settings)
    )

  def test_arrays_are_taken_as_they_are(self):
    content = arrays(
      class_names=np.array(["ox", "yak", "elk"]),
      train_ids=np.arange(20) + 100,
      test_ids=np.arange(8),
    )

    data = self.load(content)

    np.testing.assert_array_equal(
      data.train_images[..., 0], content["train_images"]
    )
    np.testing.assert_array_equal(data.test_labels, content["test_labels"])
    self.assertEqual(data.class_names, ("ox", "yak", "elk"))
    self.assertEqual(data.train_sources[3], "103")
    self.assertEqual((data.name, data.max_pixel), ("mine.npz", 255))

  def test_a_name_is_looked_up_in_the_data_dir(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    np.savez(folder / "mine.npz", **arrays())

    data = load_lib.load(
      settings_lib.DataConfig(dataset="npz:mine.npz", data_dir=str(folder))
    )

    self.assertLen(data.train_labels, 20)

  @parameterized.parameters(
    (lambda x: x.astype(np.int64), 1),
    (lambda x: x.astype(np.float32), 1),
    (lambda x: x / 255.0, 1),
    (lambda x: x.astype(np.uint16) * 257, 257),
  )
  def test_pixels_of_other_types(self, change, factor):
    content = arrays()
    changed = {
      name: change(array) if name.endswith("images") else array
      for name, array in content.items()
    }

    data = self.load(changed)

    np.testing.assert_array_equal(
      data.train_images[..., 0].astype(int),
      content["train_images"].astype(int) * factor,
    )

  @parameterized.named_parameters(
    ("no labels", {"train_labels": None}, {}, "train_labels"),
    (
      "range",
      {
        "test_labels": np.r_[3, np.zeros(7, int)],
        "class_names": np.array(["a", "b", "c"]),
      },
      {},
      r"labels must be in \[0, 3\).*3 for test example 0",
    ),
    (
      "negative",
      {"train_labels": np.r_[np.arange(19) % 3, -1]},
      {},
      "-1 for training example 19",
    ),
    ("fraction", {"train_labels": np.full(20, 0.5)}, {}, "whole numbers"),
    ("shape", {"test_images": np.zeros((8, 9, 8), np.uint8)}, {}, "one shape"),
    (
      "five axes",
      {"train_images": np.zeros((20, 8, 8, 1, 1), np.uint8)},
      {},
      "height",
    ),
    (
      "two channels",
      {
        "train_images": np.zeros((20, 8, 8, 2), np.uint8),
        "test_images": np.zeros((8, 8, 8, 2), np.uint8),
      },
      {},
      "1, 3 or 4 channels",
    ),
    (
      "too few labels",
      {"train_labels": np.arange(19) % 3},
      {},
      "20 images, 19 labels",
    ),
    (
      "empty class",
      {"class_names": np.array(["a", "b", "c", "d"])},
      {},
      "none of class 3 .'d'.",
    ),
    ("ids", {"train_ids": np.r_[np.arange(19), 4]}, {}, "'4' 2 times"),
    ("id count", {"train_ids": np.arange(19)}, {}, "19 ids, 20 images"),
    (
      "nan",
      {
        "train_images": np.where(np.arange(20)[:, None, None] == 7, np.nan, 0.5)
        * np.ones((20, 8, 8))
      },
      {},
      "NaN or infinity in example 7",
    ),
    ("pixels", {"train_images": np.full((20, 8, 8), -1.0)}, {}, "fractions"),
    ("text", {"train_images": np.full((20, 8, 8), "x")}, {}, "must be numbers"),
    (
      "one class",
      {"train_labels": np.zeros(20, int), "test_labels": np.zeros(8, int)},
      {},
      "at least 2 classes",
    ),
    (
      "no test",
      {"test_images": None, "test_labels": None},
      {},
      "--test_fraction",
    ),
    (
      "no example",
      {
        "train_images": np.zeros((0, 8, 8), np.uint8),
        "train_labels": np.zeros(0, int),
      },
      {},
      "class 0",
    ),
    ("test fraction", {}, {"test_fraction": 0.01}, "--test_fraction=0.01"),
  )
  def test_bad_input_is_one_clear_line(self, changes, settings, words):
    with self.assertRaisesRegex(errors.UsageError, words) as caught:
      self.load(arrays(**changes), **settings)

    self.assertNotIn("\n", str(caught.exception))

  def test_pickles_and_other_files_are_refused(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    with self.assertRaisesRegex(errors.UsageError, "plain arrays"):
      self.load(arrays(train_labels=np.array([{}] * 20, object)))
    for name, content in (("text.npz", b"text"), ("empty.npz", b"")):
      (folder / name).write_bytes(content)
      with self.assertRaisesRegex(errors.UsageError, name):
        load_lib.load(settings_lib.DataConfig(dataset=f"npz:{folder / name}"))
    with self.assertRaisesRegex(errors.UsageError, "No such file"):
      load_lib.load(settings_lib.DataConfig(dataset=f"npz:{folder}/none.npz"))

  def test_a_test_set_is_drawn_by_the_seed(self):
    content = arrays(test_images=None, test_labels=None)
    path = pathlib.Path(self.create_tempdir().full_path) / "mine.npz"
    np.savez(path, **content)
    config = settings_lib.DataConfig(dataset=f"npz:{path}", test_fraction=0.25)

    data, again = load_lib.load(config, 0), load_lib.load(config, 0)
    other = load_lib.load(config, 1)

    self.assertLen(data.test_labels, 5)
    rows = np.concatenate([data.train_sources, data.test_sources]).astype(int)
    np.testing.assert_array_equal(np.sort(rows), np.arange(20))
    np.testing.assert_array_equal(
      data.test_images[..., 0], content["train_images"][rows[15:]]
    )
    np.testing.assert_array_equal(data.test_sources, again.test_sources)
    self.assertFalse(np.array_equal(data.test_sources, other.test_sources))
    self.assertIn("drawn", data.order)


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

    with self.assertRaisesRegex(errors.UsageError, "pets, split train"):
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


class LabelsFileTest(parameterized.TestCase):
  def write(self, name: str, labels) -> str:
    path = os.path.join(self.create_tempdir().full_path, name)
    if name.endswith(".npy"):
      np.save(path, labels)
    else:
      np.savetxt(path, labels, fmt="%s")
    return path

  @parameterized.parameters("human.npy", "human.txt")
  def test_noisy_labels_are_trained_with_and_clean_ones_kept(self, name):
    clean = load_lib.load(settings_lib.DataConfig())
    human = clean.train_labels.copy()
    human[[3, 1499]] = (human[[3, 1499]] + 1) % 10
    settings = settings_lib.DataConfig(labels_file=self.write(name, human))

    data = load_lib.load(settings)
    directory = directory_lib.StudyDirectory(
      pathlib.Path(self.create_tempdir().full_path)
    )
    config = config_lib.StudyConfig(data=settings)
    writer.write_dataset(data, config, directory)

    table = pd.read_parquet(directory.dataset_dir / "examples.parquet")
    train = table[table["split"] == "train"]
    np.testing.assert_array_equal(train["label"], human)
    np.testing.assert_array_equal(train["clean_label"], clean.train_labels)
    self.assertEqual(np.flatnonzero(train["is_noisy"]).tolist(), [3, 1499])
    self.assertEqual(set(train["plant"][train["is_noisy"]]), {"labels_file"})

  @parameterized.parameters(
    (np.zeros(1499, int), "each of the 1500"),
    (np.full(1500, 10), r"--labels_file=.*10 for training example 0"),
    (np.zeros((1500, 1), int), r"\[1500, 1\]"),
    (np.full(1500, np.nan), "whole numbers"),
  )
  def test_bad_files_are_one_clear_line(self, labels, words):
    path = self.write("human.npy", labels)

    with self.assertRaisesRegex(errors.UsageError, words):
      load_lib.load(settings_lib.DataConfig(labels_file=path))

  def test_text_that_is_no_labels(self):
    path = self.write("human.txt", np.full(1500, "cat"))

    with self.assertRaisesRegex(errors.UsageError, "one label a line"):
      load_lib.load(settings_lib.DataConfig(labels_file=path))


class ResizingTest(absltest.TestCase):
  def test_the_shorter_side_then_the_centre(self):
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 10:30] = 200  # the middle half

    found = resizing.resize(image, 10)

    self.assertEqual(found.shape, (10, 10, 3))
    self.assertEqual(found.dtype, np.uint8)
    self.assertTrue((found[:, 1:-1] == 200).all())

  def test_constant_images_stay_constant_in_16_bit(self):
    image = np.full((9, 7, 1), 60_000, np.uint16)

    for size in (8, 7, 5, 30):
      found = resizing.resize(image, size)
      self.assertEqual(found.shape, (size, size, 1))
      self.assertTrue((found == 60_000).all())

  def test_bundled_mnist(self):
    data = load_lib.load(settings_lib.DataConfig(dataset="mnist5k"))

    self.assertEqual(data.train_images.shape, (4000, 28, 28, 1))
    self.assertEqual(np.bincount(data.train_labels).tolist(), [400] * 10)
    self.assertEqual(np.bincount(data.test_labels).tolist(), [100] * 10)
    self.assertGreater(data.train_images.max(), 250)


if __name__ == "__main__":
  absltest.main()
