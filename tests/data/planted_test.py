"""Planted truth: wrong labels, duplicates, noise images."""

import dataclasses

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.data import planted
from memo_tf.data import planted_images
from memo_tf.data.sources import load
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import settings as settings_lib

EVERY_KIND = {
  "label_noise": 0.1,
  "planted_exact_duplicates": 50,
  "planted_near_duplicates": 40,
  "planted_copied_labels": 10,
  "planted_copies": (2, 4),
  "planted_conflicts": 30,
  "planted_noise_images": 25,
}


def config_of(seed=0, **fields) -> config_lib.StudyConfig:
  return config_rules.validated(
    config_lib.StudyConfig(
      data=settings_lib.DataConfig(**fields),
      running=settings_lib.RunningConfig(seed=seed),
    )
  )


def digits(seed=0, **fields) -> planted.TrainingSet:
  data = load.load(settings_lib.DataConfig())
  return planted.training_set(data, config_of(seed, **fields))


class WrongLabelsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.labels = np.random.default_rng(0).integers(0, 4, 2000)
    self.labels = self.labels.astype(np.int32)

  def test_exactly_the_fraction_is_wrong_and_the_rest_untouched(self):
    noisy, is_noisy = planted.plant_wrong_labels(self.labels, 4, 0.1, seed=0)

    self.assertEqual(is_noisy.sum(), 200)
    np.testing.assert_array_equal(noisy != self.labels, is_noisy)
    self.assertEqual(noisy.dtype, np.int32)
    self.assertTrue(((noisy >= 0) & (noisy < 4)).all())

  def test_wrong_labels_are_uniform_over_the_other_classes(self):
    noisy, is_noisy = planted.plant_wrong_labels(self.labels, 4, 0.9, seed=0)

    shift = (noisy - self.labels)[is_noisy] % 4
    counts = np.bincount(shift, minlength=4)
    self.assertEqual(counts[0], 0)
    # 1,800 draws over three shifts: 600 each, four standard errors are 80.
    np.testing.assert_allclose(counts[1:], 600, atol=80)

  def test_seed_decides(self):
    one = planted.plant_wrong_labels(self.labels, 4, 0.1, seed=0)
    same = planted.plant_wrong_labels(self.labels, 4, 0.1, seed=0)
    other = planted.plant_wrong_labels(self.labels, 4, 0.1, seed=1)

    np.testing.assert_array_equal(one[0], same[0])
    self.assertFalse(np.array_equal(one[1], other[1]))

  def test_no_noise_changes_nothing(self):
    noisy, is_noisy = planted.plant_wrong_labels(self.labels, 4, 0.0, seed=0)

    np.testing.assert_array_equal(noisy, self.labels)
    self.assertFalse(is_noisy.any())


class AppendedTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data = load.load(settings_lib.DataConfig())
    cls.train = digits(**EVERY_KIND)

  def of(self, kind):
    return np.flatnonzero(self.train.plant == kind)

  def test_counts_and_places(self):
    kinds, counts = np.unique(self.train.plant, return_counts=True)

    self.assertEqual(
      dict(zip(kinds, counts)),
      {
        "": 1350,
        "wrong_label": 150,
        "exact_duplicate": 50,
        "near_duplicate": 40,
        # 10 images stand there twice, 10 four times.
        "wrong_label_duplicate": 10 * 1 + 10 * 3,
        "conflicting_duplicate": 30,
        "noise_image": 25,
      },
    )
    self.assertLen(self.train.labels, 1500 + 50 + 40 + 40 + 30 + 25)
    np.testing.assert_array_equal(
      self.train.images[:1500], self.data.train_images
    )
    np.testing.assert_array_equal(
      self.train.clean_labels[:1500], self.data.train_labels
    )
    np.testing.assert_array_equal(self.train.origin_ids[:1500], np.arange(1500))
    self.assertEqual(self.train.images.dtype, np.uint8)
    self.assertEqual(self.train.labels.dtype, np.int32)

  @parameterized.parameters(
    "exact_duplicate", "wrong_label_duplicate", "conflicting_duplicate"
  )
  def test_copies_have_their_originals_pixels(self, kind):
    ids = self.of(kind)
    origins = self.train.origin_ids[ids]

    np.testing.assert_array_equal(
      self.train.images[ids], self.train.images[origins]
    )
    np.testing.assert_array_equal(
      self.train.clean_labels[ids], self.data.train_labels[origins]
    )

  def test_labels_of_copies(self):
    for kind, is_wrong in (
      ("exact_duplicate", False),
      ("near_duplicate", False),
      ("wrong_label_duplicate", True),
    ):
      ids = self.of(kind)
      origins = self.train.origin_ids[ids]
      np.testing.assert_array_equal(
        self.train.labels[ids], self.train.labels[origins]
      )
      self.assertTrue((self.train.is_noisy[ids] == is_wrong).all(), kind)
      self.assertTrue((self.train.is_noisy[origins] == is_wrong).all(), kind)
    conflicts = self.of("conflicting_duplicate")
    origins = self.train.origin_ids[conflicts]
    self.assertTrue(self.train.is_noisy[conflicts].all())
    self.assertFalse(self.train.is_noisy[origins].any())

  def test_a_wrong_labelled_image_is_copied_as_often_as_asked(self):
    copied = self.train.origin_ids[self.of("wrong_label_duplicate")]

    _, further = np.unique(copied, return_counts=True)
    self.assertEqual(sorted(further), [1] * 10 + [3] * 10)

  def test_no_image_is_the_origin_of_two_kinds(self):
    added = np.arange(len(self.train.labels)) >= 1500
    has_origin = added & (self.train.origin_ids >= 0)
    pairs = {
      (origin, kind)
      for origin, kind in zip(
        self.train.origin_ids[has_origin], self.train.plant[has_origin]
      )
    }

    self.assertLen(pairs, 50 + 40 + 20 + 30)
    self.assertLen({origin for origin, _ in pairs}, len(pairs))

  def test_noise_images_have_every_label_as_often(self):
    train = digits(planted_noise_images=2000)
    ids = np.flatnonzero(train.plant == "noise_image")

    self.assertEqual(set(train.origin_ids[ids]), {-1})
    self.assertFalse(train.is_noisy[ids].any())
    np.testing.assert_array_equal(
      np.bincount(train.labels[ids]), np.full(10, 200)
    )
    # Uniform over 0 … 16: mean 8, deviation sqrt((17^2 - 1) / 12) = 4.90.
    pixels = train.images[ids].astype(np.float64)
    self.assertEqual((pixels.min(), pixels.max()), (0, 16))
    self.assertAlmostEqual(pixels.mean(), 8.0, delta=4 * 4.9 / 128_000**0.5)
    self.assertAlmostEqual(pixels.std(), 4.899, delta=0.05)

  def test_nothing_asked_for_is_the_data_set_itself(self):
    train = planted.training_set(self.data, config_of())

    self.assertIs(train.images, self.data.train_images)
    np.testing.assert_array_equal(train.labels, self.data.train_labels)
    self.assertEqual(set(train.plant), {""})

  def test_wrong_labels_do_not_depend_on_what_else_is_planted(self):
    alone = digits(label_noise=0.1)

    np.testing.assert_array_equal(self.train.labels[:1500], alone.labels)
    np.testing.assert_array_equal(self.train.plant[:1500], alone.plant)

  def test_seed_decides(self):
    same, other = digits(**EVERY_KIND), digits(seed=1, **EVERY_KIND)

    for field in dataclasses.fields(planted.TrainingSet):
      np.testing.assert_array_equal(
        getattr(self.train, field.name), getattr(same, field.name)
      )
    self.assertFalse(np.array_equal(other.origin_ids, same.origin_ids))

  @parameterized.parameters(
    ({"planted_exact_duplicates": 1501}, "--planted_exact_duplicates", "1500"),
    (
      {"planted_copied_labels": 10},
      "--planted_copied_labels",
      "--label_noise makes them.* 0 such",
    ),
    (
      {"planted_exact_duplicates": 1490, "planted_conflicts": 11},
      "--planted_conflicts",
      "10 such",
    ),
  )
  def test_too_few_images(self, fields, flag, rest):
    with self.assertRaisesRegex(ValueError, f"{flag} .*{rest}"):
      digits(**fields)


class NearCopiesTest(parameterized.TestCase):
  def near(self, images, **options):
    settings = {"shift": 1, "noise": 0.0, "max_pixel": 16} | options
    return planted_images.near_copies(
      images, rng=np.random.default_rng(0), **settings
    )

  def test_each_is_moved_by_a_pixel_and_the_edge_repeated(self):
    image = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1)
    moved = {
      tuple(copy.ravel()) for copy in self.near(np.repeat(image, 200, axis=0))
    }

    # 0 1 2 / 3 4 5 / 6 7 8, moved down and to the right among others.
    self.assertLen(moved, 8)
    self.assertIn((0, 0, 1, 0, 0, 1, 3, 3, 4), moved)
    self.assertIn((3, 4, 5, 6, 7, 8, 6, 7, 8), moved)
    self.assertNotIn(tuple(range(9)), moved)

  def test_without_a_shift_there_is_noise_of_the_stated_size(self):
    images = np.full((50, 20, 20, 3), 128, np.uint8)

    copies = self.near(images, shift=0, noise=0.05, max_pixel=255)

    deviation = (copies.astype(np.float64) - 128).std()
    self.assertAlmostEqual(deviation, 0.05 * 255, delta=0.2)

  def test_pixels_stay_in_range(self):
    images = np.repeat(np.array([0, 16], np.uint8), 500).reshape(10, 10, 10, 1)

    copies = self.near(images, noise=0.5)

    self.assertEqual((copies.min(), copies.max()), (0, 16))
    self.assertEqual(copies.dtype, np.uint8)


if __name__ == "__main__":
  absltest.main()
