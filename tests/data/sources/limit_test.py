"""`--max_examples`: at most so many examples; a small set is used whole."""

import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
from PIL import Image

from memo_tf.data import prepare
from memo_tf.data.sources import load as load_lib
from memo_tf.data.stored import reader
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib

STREAM = settings_lib.RunningConfig(storage="stream")


class MaxExamplesTest(parameterized.TestCase):
  def write(self, data: settings_lib.DataConfig, running=None):
    """`dataset/` of a new study: its arrays and its table."""
    directory = directory_lib.StudyDirectory(
      pathlib.Path(self.create_tempdir().full_path)
    )
    running = running or settings_lib.RunningConfig()
    prepare.write_dataset(
      config_lib.StudyConfig(data=data, running=running), directory
    )
    table = pd.read_parquet(directory.dataset_dir / "examples.parquet")
    return reader.read_dataset(directory, running), table

  def npz(self, labels: list[int], test_labels: list[int]) -> str:
    """A data set whose image n has the value n, of the test set 100 + n."""
    path = pathlib.Path(self.create_tempdir().full_path) / "mine.npz"
    shape = (-1, 1, 1, 1)
    full = np.ones((1, 8, 8, 1), np.uint8)
    np.savez(
      path,
      train_images=full * np.arange(len(labels), dtype=np.uint8).reshape(shape),
      train_labels=np.array(labels, np.int32),
      test_images=full
      * np.arange(100, 100 + len(test_labels), dtype=np.uint8).reshape(shape),
      test_labels=np.array(test_labels, np.int32),
    )
    return f"npz:{path}"

  def test_both_sets_are_cut_in_proportion(self):
    name = self.npz([0] * 30 + [1] * 10, [0, 1] * 10)

    data, table = self.write(
      settings_lib.DataConfig(dataset=name, max_examples=8)
    )

    # 6 of 30 and 2 of 10; of the test set 4 of 10 each.
    self.assertEqual(np.bincount(data.train_labels).tolist(), [6, 2])
    self.assertEqual(np.bincount(data.test_labels).tolist(), [4, 4])
    former = table["source_index"].to_numpy()
    self.assertTrue((np.diff(former[:8]) > 0).all())
    self.assertTrue((np.diff(former[8:]) > 0).all())
    self.assertEqual(data.train_images[:, 0, 0, 0].tolist(), list(former[:8]))
    self.assertEqual(
      data.test_images[:, 0, 0, 0].tolist(), list(100 + former[8:])
    )

  @parameterized.parameters((7, 4, 5), (5, 4, 5), (4, 4, 4), (3, 3, 3))
  def test_at_most(self, limit, num_train, num_test):
    name = self.npz([0, 1, 2, 1], [0, 1, 2, 1, 0])

    data, _ = self.write(
      settings_lib.DataConfig(dataset=name, max_examples=limit)
    )

    self.assertLen(data.train_labels, num_train)
    self.assertLen(data.test_labels, num_test)

  def test_fewer_examples_than_classes(self):
    name = self.npz([*range(9), 0, 0], list(range(9)))

    data, _ = self.write(settings_lib.DataConfig(dataset=name, max_examples=4))

    self.assertLen(data.train_labels, 4)
    self.assertLen(data.test_labels, 4)

  def test_a_small_set_is_as_it_is(self):
    limited, table = self.write(settings_lib.DataConfig(max_examples=1500))
    whole, _ = self.write(settings_lib.DataConfig())

    self.assertEqual(limited.digest, whole.digest)
    self.assertNotIn("source_index", table.columns)

  def test_after_num_examples(self):
    whole = load_lib.load(settings_lib.DataConfig())

    data, table = self.write(
      settings_lib.DataConfig(num_examples=200, max_examples=50)
    )

    _, of_200 = self.write(settings_lib.DataConfig(num_examples=200))
    former = table["source_index"][:50].to_numpy()
    np.testing.assert_array_equal(data.train_images, whole.train_images[former])
    self.assertContainsSubset(former, of_200["source_index"][:200])

  def test_streamed_and_held_are_the_same(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    rng = np.random.default_rng(0)
    for split, count in (("train", 9), ("test", 7)):
      for name in ("cat", "dog"):
        place = folder / split / name
        place.mkdir(parents=True)
        for number in range(count):
          pixels = rng.integers(0, 256, (10, 12, 3), np.uint8)
          Image.fromarray(pixels).save(place / f"{number}.png")
    settings = settings_lib.DataConfig(
      dataset=f"folder:{folder}", max_examples=6, planted_exact_duplicates=2
    )

    held, held_table = self.write(settings)
    stored, stored_table = self.write(settings, STREAM)

    self.assertNotIsInstance(stored.train_images, np.ndarray)
    self.assertEqual(held.train_images.shape, (8, 10, 12, 3))
    self.assertEqual(held.test_images.shape, (6, 10, 12, 3))
    np.testing.assert_array_equal(stored.train_images[:], held.train_images)
    np.testing.assert_array_equal(stored.test_images[:], held.test_images)
    pd.testing.assert_frame_equal(stored_table, held_table)


if __name__ == "__main__":
  absltest.main()
