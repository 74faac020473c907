"""A source of images, in memory or read one by one: ids, selection, checks."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.data.sources import image_source
from memo_tf.data.sources import image_stream
from memo_tf.experiment import errors


def dataset(**changes) -> image_source.ImageDataset:
  """Five training images and three test images, each of one grey value."""
  fields = {
    "name": "grey",
    "version": "1",
    "licence": "none",
    "citation": "none",
    "class_names": ("a", "b"),
    "train_images": pixels([10, 11, 12, 13, 14]),
    "train_labels": np.array([0, 1, 0, 1, 1], np.int32),
    "test_images": pixels([20, 21, 22]),
    "test_labels": np.array([1, 0, 1], np.int32),
    "max_pixel": 255,
    "order": "made up",
    "train_sources": np.array(["t0", "t1", "t2", "t3", "t4"]),
    "test_sources": np.array(["e0", "e1", "e2"]),
  }
  return image_source.ImageDataset(**{**fields, **changes})


def pixels(values) -> np.ndarray:
  return np.array(values, np.uint8).reshape(-1, 1, 1, 1) * np.ones(
    (1, 2, 2, 1), np.uint8
  )


def listed(data: image_source.ImageSource) -> list[tuple[str, int, int]]:
  """Split, id and grey value of every image."""
  return [(split, n, int(image[0, 0, 0])) for split, n, image in data.images()]


class SelectedTest(parameterized.TestCase):
  @parameterized.parameters(lambda data: data, image_stream.stream_of)
  def test_training_examples_are_renumbered(self, source):
    data = source(dataset(clean_labels=np.array([1, 1, 0, 0, 1])))

    found = data.selected(np.array([1, 3, 4]))

    self.assertIs(type(found), type(data))
    self.assertCountEqual(
      listed(found),
      [
        ("train", 0, 11),
        ("train", 1, 13),
        ("train", 2, 14),
        ("test", 0, 20),
        ("test", 1, 21),
        ("test", 2, 22),
      ],
    )
    self.assertEqual(found.train_labels.tolist(), [1, 1, 1])
    self.assertEqual(found.clean_labels.tolist(), [1, 0, 1])
    self.assertEqual(found.train_sources.tolist(), ["t1", "t3", "t4"])
    self.assertEqual(found.test_sources.tolist(), ["e0", "e1", "e2"])

  @parameterized.parameters(lambda data: data, image_stream.stream_of)
  def test_training_examples_replace_the_test_set(self, source):
    data = source(dataset())

    found = data.selected(np.array([0, 2]), np.array([1, 4]))

    self.assertCountEqual(
      listed(found),
      [("train", 0, 10), ("train", 1, 12), ("test", 0, 11), ("test", 1, 14)],
    )
    self.assertEqual(found.train_labels.tolist(), [0, 0])
    self.assertEqual(found.test_labels.tolist(), [1, 1])
    self.assertEqual(found.test_sources.tolist(), ["t1", "t4"])

  @parameterized.parameters(lambda data: data, image_stream.stream_of)
  def test_a_selection_of_a_selection(self, source):
    data = source(dataset()).selected(np.array([0, 2, 3, 4]), np.array([1]))

    found = data.selected(np.array([1, 3]))

    self.assertCountEqual(
      listed(found), [("train", 0, 12), ("train", 1, 14), ("test", 0, 11)]
    )
    self.assertEqual(found.train_sources.tolist(), ["t2", "t4"])


class FirstTest(absltest.TestCase):
  def test_the_first_that_are_in_use(self):
    data = image_stream.stream_of(dataset()).selected(np.array([1, 3, 4]))

    found = data.first(2)

    self.assertCountEqual(
      listed(found),
      [("train", 0, 11), ("train", 1, 13), ("test", 0, 20), ("test", 1, 21)],
    )
    self.assertEqual(found.train_labels.tolist(), [1, 1])
    self.assertEqual(found.test_labels.tolist(), [1, 0])


class CheckTest(parameterized.TestCase):
  @parameterized.parameters(
    ({"train_images": pixels([1] * 5).astype(np.float32)}, "uint8 or uint16"),
    ({"test_images": pixels([1, 2, 3])[:, :1]}, "must have one shape"),
    ({"test_images": pixels([1, 2])}, "2 images, 3 labels"),
    ({"class_names": ("a",)}, "at least 2 classes"),
    ({"test_labels": np.array([0, 2, 1])}, "2 for test example 1"),
  )
  def test_what_a_study_does_not_take(self, changes, words):
    dataset().check()
    with self.assertRaisesRegex(errors.UsageError, words):
      dataset(**changes).check()

  def test_a_users_own_classes(self):
    dataset().check_classes()
    with self.assertRaisesRegex(errors.UsageError, "none of class 2 .'c'."):
      dataset(class_names=("a", "b", "c")).check_classes()
    with self.assertRaisesRegex(errors.UsageError, "1 to 200 printable"):
      dataset(class_names=("a", "b\n")).check_classes()


if __name__ == "__main__":
  absltest.main()
