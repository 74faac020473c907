"""Arrays of a user's .npz file: what is taken, and what is refused."""

import io
import pathlib
import zipfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.data.sources import load as load_lib
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib

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
    ("pixels", {"train_images": np.full((20, 8, 8), -1.0)}, {}, "one dtype"),
    (
      "negative pixels",
      {
        "train_images": np.full((20, 8, 8), -1.0),
        "test_images": np.full((8, 8, 8), 0.5),
      },
      {},
      "fractions",
    ),
    (
      "scale of one split",
      {
        "train_images": np.full((20, 8, 8), 200.0),
        "test_images": np.full((8, 8, 8), 0.5),
      },
      {},
      r"one scale. Received: train in \[200, 200\], test in \[0.5, 0.5\]",
    ),
    (
      "scale of whole numbers",
      {
        "train_images": np.full((20, 8, 8), 200.0),
        "test_images": np.full((8, 8, 8), 1.0),
      },
      {},
      "one scale",
    ),
    (
      "scale of 16 bits",
      {
        "train_images": np.full((20, 8, 8), 60_000, np.uint16),
        "test_images": np.full((8, 8, 8), 200, np.uint16),
      },
      {},
      "one scale",
    ),
    (
      "dtype of one split",
      {"test_images": np.full((8, 8, 8), 200.0)},
      {},
      "one dtype. Received: uint8 and float64",
    ),
    (
      "no pixels",
      {
        "train_images": np.zeros((20, 0, 0), np.uint8),
        "test_images": np.zeros((8, 0, 0), np.uint8),
      },
      {},
      "must have pixels. Received: images of 0x0x1",
    ),
    (
      "no pixels in floats",
      {"train_images": np.zeros((20, 0, 8, 3))},
      {},
      "must have pixels",
    ),
    ("ids of two axes", {"train_ids": np.zeros((20, 1))}, {}, "one name per"),
    (
      "elements of no size",
      {"train_ids": np.zeros(20, "S0")[:, None][:, 0]},
      {},
      "no size",
    ),
    ("text", {"train_images": np.full((20, 8, 8), "x")}, {}, "must be numbers"),
    (
      "a whole number beside fractions",
      {
        "train_images": np.full((20, 8, 8), 0.5),
        "test_images": np.full((8, 8, 8), 1.0),
        "test_labels": np.full(8, 7),
      },
      {},
      "class 3",
    ),
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
    (
      "two names of an array",
      {"x_train": np.zeros((20, 8, 8), np.uint8)},
      {},
      "train_images once. Received: train_images and x_train",
    ),
    ("test images only", {"test_labels": None}, {}, "test_labels"),
    (
      "one-hot labels",
      {"train_labels": np.eye(3)[np.arange(20) % 3]},
      {},
      r"argmax\(axis=1\)",
    ),
    (
      "a label of no axis",
      {"train_labels": np.array(3)},
      {},
      r"train_labels must be one label per example.*of shape \[\]",
    ),
    (
      "labels of no column",
      {"train_labels": np.zeros((20, 0), int)},
      {},
      r"one label per example.*of shape \[20, 0\]",
    ),
    (
      "numbers beside text",
      {"train_labels": (np.arange(20) % 3).astype(str)},
      {},
      "train_labels must be whole numbers",
    ),
    (
      "text of no class",
      {
        "train_labels": np.array(["a", "b", "c", "x"])[np.arange(20) % 4],
        "test_labels": np.array(["a", "b"])[np.arange(8) % 2],
        "class_names": np.array(["a", "b", "c"]),
      },
      {},
      "train_labels must be in class_names. Received: 'x' for example 3",
    ),
    (
      "a class of the test set only",
      {
        "train_labels": np.array(["a", "b"])[np.arange(20) % 2],
        "test_labels": np.array(["a", "c"])[np.arange(8) % 2],
      },
      {},
      "none of class 2 .'c'.",
    ),
    (
      "standardized pixels",
      {
        "train_images": np.linspace(-2, 2, 20 * 64).reshape(20, 8, 8),
        "test_images": np.linspace(-2, 2, 8 * 64).reshape(8, 8, 8),
      },
      {},
      r"\[-1, 1\]. Received: float64 from -2 to 2",
    ),
    (
      "pixels around 0",
      {
        "train_images": np.linspace(-0.01, 0.01, 20 * 64).reshape(20, 8, 8),
        "test_images": np.linspace(-0.01, 0.01, 8 * 64).reshape(8, 8, 8),
      },
      {},
      "some below -0.5 and some above 0.5 .* from -0.01 to 0.01",
    ),
    (
      "black and white as 64 bits",
      {
        "train_images": np.ones((20, 8, 8), np.int64),
        "test_images": np.zeros((8, 8, 8), np.int64),
      },
      {},
      r"whole numbers in \[0, 255\] with some above 1.* int64 from 0 to 1",
    ),
    (
      "one split from -1",
      {
        "train_images": np.linspace(-1, 1, 20 * 64).reshape(20, 8, 8),
        "test_images": np.linspace(0, 1, 8 * 64).reshape(8, 8, 8),
      },
      {},
      "one scale",
    ),
    (
      "file names twice",
      {"train_file_names": np.array(["a.png"] * 20)},
      {},
      "'a.png' 20 times",
    ),
    ("test fraction", {}, {"test_fraction": 0.01}, "--test_fraction=0.01"),
  )
  def test_bad_input_is_one_clear_line(self, changes, settings, words):
    with self.assertRaisesRegex(errors.UsageError, words) as caught:
      self.load(arrays(**changes), **settings)

    self.assertNotIn("\n", str(caught.exception))

  def test_keras_names_and_labels_in_a_column(self):
    content = arrays()
    renamed = {
      "x_train": content["train_images"],
      "y_train": content["train_labels"][:, None],
      "X_test": content["test_images"],
      "y_test": content["test_labels"][:, None],
    }

    data, plain = self.load(renamed), self.load(content)

    for name in ("train_images", "train_labels", "test_images", "test_labels"):
      np.testing.assert_array_equal(getattr(data, name), getattr(plain, name))

  @parameterized.parameters(str, "S3")
  def test_labels_of_text_are_the_names_of_classes(self, dtype):
    names = np.array(["fox", "ant", "cat"])
    content = arrays()
    for split in ("train", "test"):
      labels = content[f"{split}_labels"]
      content[f"{split}_labels"] = names[labels].astype(dtype)[:, None]

    data = self.load(content)

    self.assertEqual(data.class_names, ("ant", "cat", "fox"))
    # 0, 1, 2 were fox, ant, cat.
    expected = np.array([2, 0, 1])[np.arange(20) % 3]
    np.testing.assert_array_equal(data.train_labels, expected)

    given = self.load(content | {"class_names": names})
    np.testing.assert_array_equal(given.train_labels, np.arange(20) % 3)
    self.assertEqual(given.class_names, ("fox", "ant", "cat"))

  def test_channels_first_must_be_said(self):
    rng = np.random.default_rng(0)
    content = arrays(
      train_images=rng.integers(0, 256, (20, 8, 9, 3), np.uint8),
      test_images=rng.integers(0, 256, (8, 8, 9, 3), np.uint8),
    )
    moved = dict(content)
    for name in ("train_images", "test_images"):
      moved[name] = np.moveaxis(content[name], 3, 1)

    with self.assertRaisesRegex(
      errors.UsageError, r"add --channels_first.*\[20, 3, 8, 9\]"
    ):
      self.load(moved)

    np.testing.assert_array_equal(
      self.load(moved, channels_first=True).train_images,
      content["train_images"],
    )
    with self.assertRaisesRegex(errors.UsageError, "1, 3 or 4 channels"):
      self.load(content, channels_first=True)

  def test_names_of_files(self):
    names = np.array([f"a/{n}.png" for n in range(20)])

    data = self.load(arrays(train_file_names=names))

    self.assertTrue(data.sources_are_files)
    np.testing.assert_array_equal(data.train_sources, names)
    self.assertEqual(set(data.test_sources), {""})

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

  def test_archives_that_cannot_be_read_are_one_clear_line(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    whole = folder / "whole.npz"
    np.savez(whole, **arrays())
    sink = io.BytesIO()
    np.lib.format.write_array_header_1_0(
      sink, {"descr": "|u1", "fortran_order": False, "shape": (10**18, 8, 8)}
    )
    absurd = folder / "absurd.npz"
    with zipfile.ZipFile(absurd, "w") as archive:
      archive.writestr("train_images.npy", sink.getvalue() + b"1234")
    text = folder / "text.npz"
    with zipfile.ZipFile(text, "w") as archive:
      archive.writestr("train_images.txt", "no array")
      archive.writestr("train_labels.txt", "no array")
    for name, offsets, value in (
      ("encrypted", (6, 8), 1),  # bit 0 of the flags of an entry
      ("compression", (8, 10), 77),
    ):
      content = bytearray(whole.read_bytes())
      # In the entry's own header, and in the archive's directory.
      content[content.index(b"PK\x03\x04") + offsets[0]] = value
      content[content.index(b"PK\x01\x02") + offsets[1]] = value
      (folder / f"{name}.npz").write_bytes(content)
    for path in folder.glob("*.npz"):
      if path == whole:
        continue
      with self.assertRaisesRegex(errors.UsageError, path.name) as caught:
        load_lib.load(settings_lib.DataConfig(dataset=f"npz:{path}"))
      self.assertNotIn("\n", str(caught.exception))

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


if __name__ == "__main__":
  absltest.main()
