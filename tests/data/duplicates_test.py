"""Duplicates: by hand, by a slow loop over all pairs, and planted ones."""

from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.data import duplicates
from memo_tf.data import planted
from memo_tf.data.sources import load
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib


def slow_distance(a, b, max_pixel) -> float:
  """The definition, for one pair of images `[H, W, channels]`."""

  def one_way(moving, other):
    fixed = duplicates.descriptors(other[None], max_pixel)[0]
    best = np.inf
    for rows in (-1, 0, 1):
      for columns in (-1, 0, 1):
        moved = duplicates.shifted(moving[None], rows, columns)
        u = duplicates.descriptors(moved, max_pixel)[0]
        if u.any() and fixed.any():
          best = min(best, np.linalg.norm(u - fixed))
    return best

  return min(one_way(a, b), one_way(b, a))


class FindTest(parameterized.TestCase):
  def test_equal_images_by_hand(self):
    rng = np.random.default_rng(0)
    a, b, c, d = rng.integers(0, 256, (4, 6, 6, 3), np.uint8)
    train = np.stack([a, b, a, c, a])
    test = np.stack([d, b, a, b, d])

    found = duplicates.find(train, test, 255, kind="exact")

    self.assertEqual(
      {name: ids.tolist() for name, ids in found.items()},
      {
        # Training ids 0 … 4, then test ids 0 … 4. d is twice in the test set
        # only, which is not looked at.
        "duplicate_of_train": [2, -1, 0, -1, 0] + [-1, 1, 0, 1, -1],
        "duplicate_of_test": [2, 1, 2, -1, 2] + [-1] * 5,
      },
    )

  def test_nearest_is_that_of_a_slow_loop(self):
    rng = np.random.default_rng(1)
    base = rng.integers(0, 256, (12, 20, 18, 3))
    images = base[rng.integers(0, 12, 60)]
    images = images + rng.normal(
      0, rng.uniform(0, 40, (60, 1, 1, 1)), images.shape
    )
    images = np.clip(np.round(images), 0, 255).astype(np.uint8)
    images = np.stack(
      [
        duplicates.shifted(image[None], *rng.integers(-1, 2, 2))[0]
        for image in images
      ]
    )
    train, test = images[:45], images[45:]
    distances = np.full((60, 60), np.inf)
    for i in range(60):
      for j in range(60):
        if i != j and not (i >= 45 and j >= 45):
          distances[i, j] = slow_distance(images[i], images[j], 255)

    # Tiles that do not divide, so that their edges are met.
    with (
      mock.patch.object(duplicates, "_KEYS", 13),
      mock.patch.object(duplicates, "_QUERIES", 7),
    ):
      found = duplicates.find(train, test, 255, distance=0.5)

    for name, part in (("train", slice(0, 45)), ("test", slice(45, 60))):
      nearest = distances[:, part].argmin(axis=1)
      expected = np.where(distances[:, part].min(axis=1) <= 0.5, nearest, -1)
      np.testing.assert_array_equal(
        found[f"near_duplicate_of_{name}"], expected, name
      )
    # The case has both kinds of answer.
    self.assertBetween(
      (found["near_duplicate_of_train"] >= 0).mean(), 0.2, 0.95
    )

  def test_brightness_and_contrast_do_not_count_but_content_does(self):
    rng = np.random.default_rng(2)
    image = rng.integers(0, 100, (8, 8, 1))
    others = np.stack([image, 2 * image + 20, rng.integers(0, 100, (8, 8, 1))])

    found = duplicates.find(
      others.astype(np.uint8), np.zeros((1, 8, 8, 1), np.uint8), 255
    )

    self.assertEqual(found["duplicate_of_train"].tolist(), [-1] * 4)
    self.assertEqual(found["near_duplicate_of_train"].tolist(), [1, 0, -1, -1])

  def test_images_without_contrast_are_duplicates_only_if_equal(self):
    train = np.stack([np.full((4, 4, 1), v, np.uint8) for v in (3, 9, 3)])

    found = duplicates.find(train, train[:1], 255)

    # 3, 9, 3 and the test image 3.
    self.assertEqual(found["near_duplicate_of_train"].tolist(), [2, -1, 0, 0])
    self.assertEqual(found["near_duplicate_of_test"].tolist(), [0, -1, 0, -1])

  def test_off_finds_nothing_and_says_nothing(self):
    images = np.zeros((3, 4, 4, 1), np.uint8)

    self.assertEqual(duplicates.find(images, images, 255, kind="off"), {})

  @parameterized.parameters(
    ({"kind": "some"}, "some"),
    ({"distance": 0.0}, "0.0"),
    ({"distance": 1.5}, "1.5"),
  )
  def test_rejects(self, options, value):
    images = np.zeros((3, 4, 4, 1), np.uint8)

    with self.assertRaisesRegex(ValueError, f"Received: .*{value}"):
      duplicates.find(images, images, 255, **options)


class DescriptorsTest(absltest.TestCase):
  def test_by_hand(self):
    # Shrunk to 16 columns of two each: the means 0.5, 2.5, ... in steps of 2.
    image = np.arange(32, dtype=np.uint8).reshape(1, 1, 32, 1)

    (u,) = duplicates.descriptors(image, 255)

    means = np.arange(16) * 2 + 0.5
    centred = means - means.mean()
    np.testing.assert_allclose(u, centred / np.linalg.norm(centred), atol=1e-6)

  def test_sides_that_do_not_divide(self):
    image = np.arange(18, dtype=np.uint8).reshape(1, 18, 1, 1)

    (u,) = duplicates.descriptors(image, 255)

    # Edges at floor(18 k / 16): the eighth and the last take two pixels.
    parts = np.split(np.arange(18.0), np.arange(1, 16) * 18 // 16)
    means = np.array([part.mean() for part in parts])
    self.assertEqual([len(part) for part in parts].count(2), 2)
    centred = means - means.mean()
    np.testing.assert_allclose(u, centred / np.linalg.norm(centred), atol=1e-6)


class DigitsTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    config = config_lib.StudyConfig(
      data=settings_lib.DataConfig(
        label_noise=0.1,
        planted_exact_duplicates=50,
        planted_near_duplicates=200,
        planted_copied_labels=20,
        planted_conflicts=30,
        planted_noise_images=50,
      )
    )
    data = load.load(config.data)
    cls.train = planted.training_set(data, config)
    # Ten training images leak into the test set.
    cls.leaked = np.arange(100, 110)
    test = np.concatenate([data.test_images, data.train_images[cls.leaked]])
    cls.found = duplicates.find(cls.train.images, test, data.max_pixel)
    cls.num_train, cls.num_test = len(cls.train.labels), len(data.test_labels)

  def test_every_planted_near_duplicate_is_found(self):
    near = np.flatnonzero(self.train.plant == "near_duplicate")
    origins = self.train.origin_ids[near]

    found = self.found["near_duplicate_of_train"]

    self.assertGreaterEqual((found[near] == origins).mean(), 0.99)
    self.assertGreaterEqual((found[origins] == near).mean(), 0.99)

  def test_every_exact_copy_is_found(self):
    for kind in (
      "exact_duplicate",
      "wrong_label_duplicate",
      "conflicting_duplicate",
    ):
      ids = np.flatnonzero(self.train.plant == kind)
      np.testing.assert_array_equal(
        self.found["duplicate_of_train"][ids], self.train.origin_ids[ids]
      )

  def test_what_was_not_planted_is_not_flagged(self):
    touched = np.zeros(self.num_train, bool)
    touched[self.train.origin_ids[1500:]] = True
    touched[1500:] = self.train.plant[1500:] != "noise_image"

    flagged = self.found["near_duplicate_of_train"][: self.num_train] >= 0

    self.assertLess((flagged & ~touched).mean(), 0.01)

  def test_leaked_test_images_are_found(self):
    rows = self.num_train + self.num_test + np.arange(10)

    np.testing.assert_array_equal(
      self.found["duplicate_of_train"][rows], self.leaked
    )
    np.testing.assert_array_equal(
      self.found["duplicate_of_test"][self.leaked],
      self.num_test + np.arange(10),
    )
    self.assertLess((self.found["near_duplicate_of_test"] >= 0).sum(), 30)


if __name__ == "__main__":
  absltest.main()
