"""Data that a Python program holds become the arrays that were given."""

import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from memo_tf.data.sources import in_memory
from memo_tf.data.sources import npz
from memo_tf.experiment import errors

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
Y = np.arange(9) % 3
X_TEST, Y_TEST = X[:4][::-1].copy(), Y[:4][::-1].copy()


def pictures(images, labels):
  """A data set of Hugging Face with three features."""
  datasets = pytest.importorskip("datasets")
  features = datasets.Features(
    {
      "picture": datasets.Image(),
      "animal": datasets.ClassLabel(names=["cat", "dog", "owl"]),
      "note": datasets.Value("string"),
    }
  )
  rows = {
    "picture": [None if i is None else Image.fromarray(i) for i in images],
    "animal": [int(label) for label in labels],
    "note": ["x"] * len(labels),
  }
  return datasets.Dataset.from_dict(rows, features=features)


class ArraysTest(parameterized.TestCase):
  def check(self, data, **keys):
    found = in_memory.arrays_of(data, **keys)

    np.testing.assert_array_equal(found["train_images"], X)
    np.testing.assert_array_equal(np.ravel(found["train_labels"]), Y)
    if "test_images" in found:
      np.testing.assert_array_equal(found["test_images"], X_TEST)
      np.testing.assert_array_equal(np.ravel(found["test_labels"]), Y_TEST)
    return set(found)

  def test_arrays(self):
    train = {"train_images", "train_labels"}

    self.assertEqual(self.check((X, Y)), train)
    self.assertEqual(self.check(([*X], Y.tolist())), train)
    self.assertEqual(
      self.check(((X, Y[:, None]), (X_TEST, Y_TEST))),
      {*train, "test_images", "test_labels"},
    )

  def test_two_examples_are_not_two_splits(self):
    found = in_memory.arrays_of((X[:2], Y[:2]))

    np.testing.assert_array_equal(found["train_images"], X[:2])

  def test_tf_data_batched_or_not(self):
    train = tf.data.Dataset.from_tensor_slices((X, Y))
    test = tf.data.Dataset.from_tensor_slices((X_TEST, Y_TEST))
    named = train.map(lambda image, label: {"pixels": image, "label": label})

    self.check(train)
    self.check((train.batch(4), test))
    self.check(tf.data.Dataset.from_tensor_slices((X, Y[:, None])))
    self.check(named.batch(2), image_key="pixels")
    with self.assertRaisesRegex(errors.UsageError, "repeats for ever"):
      in_memory.arrays_of(train.repeat())
    with self.assertRaisesRegex(errors.UsageError, "image_key"):
      in_memory.arrays_of(named)
    with self.assertRaisesRegex(errors.UsageError, "none"):
      in_memory.arrays_of(train.take(0))
    with self.assertRaisesRegex(errors.UsageError, "must be .image, label."):
      in_memory.arrays_of(train.map(lambda image, label: image))

  @parameterized.parameters(3, 8)  # 8 is also the height of the images
  def test_one_hot_labels_of_tf_data_stay_with_their_images(self, num_classes):
    one_hot = np.eye(num_classes, dtype=np.float32)[Y]
    data = tf.data.Dataset.from_tensor_slices((X, one_hot))

    for each in (data, data.batch(4)):
      found = in_memory.arrays_of(each)

      np.testing.assert_array_equal(found["train_images"], X)
      # The reader of .npz files says what to do with them.
      np.testing.assert_array_equal(found["train_labels"], one_hot)

  def test_grey_images_of_tf_data_batched_or_not(self):
    data = tf.data.Dataset.from_tensor_slices((X[..., 0], Y))

    for each in (data, data.batch(4)):  # the last batch is of one
      found = in_memory.arrays_of(each)

      np.testing.assert_array_equal(found["train_images"], X[..., 0])
      np.testing.assert_array_equal(found["train_labels"], Y)

  def test_hugging_face_by_its_features(self):
    datasets = pytest.importorskip("datasets")
    both = datasets.DatasetDict(
      {"train": pictures(X, Y), "validation": pictures(X_TEST, Y_TEST)}
    )

    self.assertIn("class_names", self.check(both))
    self.assertNotIn("test_images", self.check(both["train"]))
    grey = in_memory.arrays_of(pictures([*X[:2, ..., 0], X[2]], Y[:3]))
    self.assertEqual(grey["train_images"].shape, (3, 8, 8, 3))
    with self.assertRaisesRegex(errors.UsageError, "one Image feature"):
      in_memory.arrays_of(both["train"].remove_columns("picture"))
    with self.assertRaisesRegex(errors.UsageError, "animals among picture, "):
      in_memory.arrays_of(both, label_key="animals")
    with self.assertRaisesRegex(errors.UsageError, "str for train example 0"):
      in_memory.arrays_of(both, image_key="note")
    with self.assertRaisesRegex(errors.UsageError, "4x8 for train example 1"):
      in_memory.arrays_of(pictures([X[0], X[1, :, :4]], Y[:2]))

  def test_hugging_face_images_of_16_bits_keep_them(self):
    deep = X[..., 0].astype(np.uint16) * 257

    found = in_memory.arrays_of(pictures(deep, Y))

    np.testing.assert_array_equal(found["train_images"], deep)

  @parameterized.named_parameters(
    ("32 bits", [np.full((8, 8), 40_000, np.int32)], "I for train example 0"),
    ("floats", [np.full((8, 8), 0.5, np.float32)], "F for train example 0"),
    (
      "16 and 8 bits",
      [np.full((8, 8), 40_000, np.uint16), X[0]],
      "modes I;16, RGB in split train",
    ),
    ("a missing image", [X[0], None], "NoneType for train example 1"),
    ("no image", [], "none in split train"),
  )
  def test_hugging_face_images_that_would_be_changed_are_refused(
    self, images, words
  ):
    with self.assertRaisesRegex(errors.UsageError, words) as caught:
      in_memory.arrays_of(pictures(images, np.zeros(len(images))))

    self.assertNotIn("\n", str(caught.exception))

  @parameterized.parameters(
    (X,),
    (((X, Y), (X_TEST, Y_TEST), (X, Y)),),
    (3,),
    (None,),
    (([X[0], X[0, :2]], [0, 1]),),
    ((([[[1, 2], [3]]], [0]), ([[[1, 2], [3]]], [0])),),
  )
  def test_refuses_other_forms_in_one_line(self, data):
    with self.assertRaises(errors.UsageError) as caught:
      in_memory.arrays_of(data)

    self.assertNotIn("\n", str(caught.exception))
    self.assertStartsWith(str(caught.exception), "`data` must be")


class KeepTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path, "in", "data.npz")
    self.arrays = in_memory.arrays_of(((X, Y), (X_TEST, Y_TEST)))

  def test_the_reader_of_npz_files_reads_it(self):
    in_memory.keep(self.path, self.arrays, may_replace=True)

    found = npz.load(self.path)

    np.testing.assert_array_equal(found.train_images, X)
    np.testing.assert_array_equal(found.test_labels, Y_TEST)

  def test_the_same_arrays_give_the_same_bytes_and_are_written_once(self):
    in_memory.keep(self.path, self.arrays, may_replace=True)
    before = self.path.stat().st_mtime_ns, self.path.read_bytes()

    in_memory.keep(self.path, self.arrays, may_replace=False)
    self.assertEqual(self.path.stat().st_mtime_ns, before[0])
    self.path.unlink()
    in_memory.keep(self.path, self.arrays, may_replace=False)
    self.assertEqual(self.path.read_bytes(), before[1])

  def test_other_arrays_are_refused_or_replace(self):
    in_memory.keep(self.path, self.arrays, may_replace=True)
    other = in_memory.arrays_of((X + 1, Y))

    with self.assertRaisesRegex(errors.UsageError, "other arrays"):
      in_memory.keep(self.path, other, may_replace=False)
    in_memory.keep(self.path, other, may_replace=True)
    with np.load(self.path) as file:
      np.testing.assert_array_equal(file["train_images"], X + 1)
    self.assertEqual(list(self.path.parent.iterdir()), [self.path])


if __name__ == "__main__":
  absltest.main()
