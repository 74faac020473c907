"""Equal images with different labels are named."""

import dataclasses

from absl.testing import absltest
import numpy as np

from memo_tf.data.sources import image_source
from memo_tf.data.stored import conflicts

TRAIN = np.array([0, 1, 1, 0, 1, 0])
TEST = np.array([1, 0])


def data(**changes) -> image_source.ImageDataset:
  fields = {
    "name": "pets",
    "version": "",
    "licence": "",
    "citation": "",
    "class_names": ("cat", "dog"),
    "train_labels": TRAIN,
    "test_labels": TEST,
    "max_pixel": 255,
    "order": "",
    "train_images": np.zeros((6, 1, 1, 1), np.uint8),
    "test_images": np.zeros((2, 1, 1, 1), np.uint8),
  }
  return image_source.ImageDataset(**fields | changes)


def digests(train: list[int], test: list[int]) -> dict[str, np.ndarray]:
  """Digests that are equal where the numbers are."""
  parts = {"train": train, "test": test}
  rows = {s: np.zeros((len(p), 16), np.uint8) for s, p in parts.items()}
  for split, part in parts.items():
    rows[split][:, 7] = part
  return rows


class ConflictsTest(absltest.TestCase):
  def test_copies_with_one_label_are_no_conflict(self):
    # Ids 1 and 2 are both dogs; planted copies, beyond the labels, are left
    # out.
    self.assertIsNone(
      conflicts.note(data(), digests([1, 2, 2, 3, 4, 5, 1, 2], [6, 7]))
    )

  def test_names_and_labels_are_given(self):
    # Training ids 0, 1 and 3: cat, dog, cat. Id 4, a dog, is test id 1, a cat.
    found = digests([1, 1, 2, 1, 3, 4], [5, 3])

    text = conflicts.note(data(), found)
    named = conflicts.note(
      data(
        train_sources=np.array([f"a/{n}.png" for n in range(6)]),
        test_sources=np.array(["b/0.png", "b\n1.png"]),
      ),
      found,
    )

    self.assertEqual(
      text,
      "Conflicting labels: 5 images are copies of one another under different "
      "labels: training example 0 (cat) = training example 1 (dog) = training "
      "example 3 (cat); training example 4 (dog) = test example 1 (cat).",
    )
    self.assertIn("a/4.png (dog) = b\\n1.png (cat)", named)

  def test_a_long_list_is_cut(self):
    count = 40
    labels = np.arange(count) % 2
    many = dataclasses.replace(data(), train_labels=labels)
    found = digests(list(np.arange(count) // 2), [90, 91])

    self.assertRegex(
      conflicts.note(many, found), "^Conflicting labels: 40 .*; and 15 more.$"
    )


if __name__ == "__main__":
  absltest.main()
