"""The images of an earlier study with other labels."""

import os
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
from PIL import Image

from memo_tf.data import prepare
from memo_tf.data.stored import reader
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib

COUNT = 12


class RelabellingTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.folder = self.root / "pets"
    rng = np.random.default_rng(0)
    for name in ("cat", "dog", "fox"):
      (self.folder / name).mkdir(parents=True)
      for number in range(COUNT):
        pixels = rng.integers(0, 256, (9, 9, 3), np.uint8)
        Image.fromarray(pixels).save(self.folder / name / f"{number:02}.png")

  def prepared(self, name, storage="memory", seed=2, **settings):
    """Writes the data set of a study; its info, images and examples."""
    settings = {
      "dataset": f"folder:{self.folder}",
      "test_fraction": 0.25,
      **settings,
    }
    config = config_lib.StudyConfig(
      data=settings_lib.DataConfig(**settings),
      running=settings_lib.RunningConfig(seed=seed, storage=storage),
    )
    directory = directory_lib.StudyDirectory(self.root / name)
    info = prepare.write_dataset(config, directory)
    data = reader.read_dataset(directory)
    table = pd.read_parquet(directory.dataset_dir / "examples.parquet")
    return info, data, table

  def relabel(self) -> dict[str, str]:
    """Moves three files to other classes; their new labels by old name."""
    changes = {
      "cat/03.png": "dog",
      "cat/04.png": "fox",
      "fox/11.png": "dog",
    }
    for name, label in changes.items():
      # Names of files begin anew in each class.
      target = self.folder / label / f"was-{name.replace('/', '-')}"
      os.rename(self.folder / name, target)
    return changes

  @parameterized.parameters(
    ("memory", "memory", 0), ("memory", "stream", 8), ("stream", "memory", 8),
    ("stream", "stream", 0),
  )  # fmt: skip
  def test_an_image_keeps_its_id_and_split(self, old, new, size):
    _, before, table = self.prepared("old", old, image_size=size)
    changes = self.relabel()

    info, after, found = self.prepared(
      "new", new, image_size=size, update_labels=str(self.root / "old")
    )

    for name in ("train_images", "test_images"):
      one, other = getattr(before, name), getattr(after, name)
      np.testing.assert_array_equal(one[:], other[:])
    names = info["class_names"]
    for name, label, was in zip(table.file_name, found.label, table.label):
      expected = changes.get(name, names[was])
      self.assertEqual(names[label], expected, name)
    np.testing.assert_array_equal(found.split, table.split)
    test_names = set(table.file_name[table.split == "test"])
    num_test = len(test_names & set(changes))
    text = " ".join(info["notes"])
    self.assertIn(f"{3 - num_test} of 27 training labels", text)
    self.assertIn(f"{num_test} of 9 test labels differ from old", text)
    self.assertIn("was-cat-03.png: cat → dog", text)
    self.assertIn("Every run is trained again", text)
    self.assertNotIn(str(self.root), text)

  def test_a_class_may_appear_and_another_go(self):
    _, before, table = self.prepared("old")
    os.rename(self.folder / "dog", self.folder / "wolf")

    info, after, found = self.prepared(
      "new", update_labels=str(self.root / "old")
    )

    self.assertEqual(info["class_names"], ["cat", "fox", "wolf"])
    np.testing.assert_array_equal(after.train_images, before.train_images)
    # dog (1) is wolf (2) now, and fox (2) is 1.
    expected = np.array([0, 2, 1])[table.label]
    np.testing.assert_array_equal(found.label, expected)

  def test_a_drawn_part_stays_the_same_part(self):
    _, before, table = self.prepared("old", num_examples=15)
    self.relabel()
    # Enough for a label of the part to differ, whatever was drawn.
    for name in os.listdir(self.folder / "fox")[:8]:
      os.rename(self.folder / "fox" / name, self.folder / "cat" / f"f{name}")

    _, after, found = self.prepared(
      "new", num_examples=15, update_labels=str(self.root / "old")
    )

    np.testing.assert_array_equal(after.train_images, before.train_images)
    np.testing.assert_array_equal(found.source_index, table.source_index)

  def test_copies_are_told_apart_by_name(self):
    for name in ("cat/a.png", "dog/b.png", "fox/c.png"):
      Image.new("RGB", (9, 9), (1, 2, 3)).save(self.folder / name)
    _, _, table = self.prepared("old", test_fraction=0.2)
    os.rename(self.folder / "dog/b.png", self.folder / "cat/b.png")

    info, _, found = self.prepared(
      "new", test_fraction=0.2, update_labels=str(self.root / "old")
    )

    labels = dict(zip(table.file_name, found.label))
    self.assertEqual(
      [labels[n] for n in ("cat/a.png", "dog/b.png", "fox/c.png")], [0, 0, 2]
    )
    self.assertIn("cat/b.png: dog → cat.", info["notes"][1])

  def arrays(self, **changes) -> dict:
    """Writes an .npz file; the settings that name it."""
    rng = np.random.default_rng(1)
    content = {
      "x_train": rng.integers(0, 256, (20, 9, 9), np.uint8),
      "y_train": np.arange(20) % 2,
      "x_test": rng.integers(0, 256, (6, 9, 9), np.uint8),
      "y_test": np.arange(6) % 2,
    }
    path = self.root / "data.npz"
    np.savez(path, **(content | changes))
    return {"dataset": f"npz:{path}", "test_fraction": 0.0}

  def test_arrays_with_corrected_labels(self):
    _, before, _ = self.prepared("old", **self.arrays())
    labels = np.arange(20) % 2
    labels[[4, 7]] ^= 1

    info, after, _ = self.prepared(
      "new",
      update_labels=str(self.root / "old"),
      **self.arrays(y_train=labels),
    )

    np.testing.assert_array_equal(after.train_labels, labels)
    np.testing.assert_array_equal(after.train_images, before.train_images)
    self.assertIn("2 of 20 training labels", info["notes"][0])
    self.assertIn("4: 0 → 1; 7: 1 → 0", info["notes"][0])

  def test_a_file_of_corrected_labels(self):
    _, before, _ = self.prepared("old")
    labels = before.train_labels.copy()
    labels[5] = (labels[5] + 1) % 3
    np.save(self.root / "labels.npy", labels)

    info, after, found = self.prepared(
      "new",
      labels_file=str(self.root / "labels.npy"),
      update_labels=str(self.root / "old"),
    )

    np.testing.assert_array_equal(after.train_labels, labels)
    np.testing.assert_array_equal(after.train_images, before.train_images)
    self.assertEqual(found.is_noisy.sum(), 1)
    self.assertIn("1 of 27 training labels", info["notes"][1])

  def refused(self, words, **settings):
    settings = {"update_labels": str(self.root / "old"), **settings}
    with self.assertRaisesRegex(errors.UsageError, words) as caught:
      self.prepared("new", **settings)
    self.assertNotIn("\n", str(caught.exception))
    self.assertFalse((self.root / "new/dataset").exists())

  def test_what_is_not_the_same_data_is_one_clear_line(self):
    self.prepared("old")
    self.refused("no label differs")
    self.refused("--image_size: 0 there, 8 here", image_size=8)
    self.refused("--seed: 2 there, 3 here", seed=3)
    self.refused("planted.*--label_noise=0.1", label_noise=0.1)
    self.refused("earlier study.*no dataset", update_labels="nowhere")
    self.relabel()
    Image.new("RGB", (9, 9)).save(self.folder / "cat/more.png")
    self.refused(r"0 are missing and 1 are new \(cat/more.png\)")
    os.remove(self.folder / "cat/more.png")
    os.remove(self.folder / "dog/05.png")
    self.refused(r"1 are missing \(dog/05.png\) and 0 are new")

  def test_the_old_study_is_not_changed(self):
    self.prepared("old")
    old = self.root / "old"
    before = {p: p.stat().st_mtime_ns for p in old.rglob("*")}
    self.relabel()

    self.prepared("new", update_labels=str(old))

    self.assertEqual(before, {p: p.stat().st_mtime_ns for p in old.rglob("*")})
    directory = directory_lib.StudyDirectory(self.root / "new")
    made = dataset_info.read_info(directory)["made_from"]
    self.assertEqual(made["update_labels"], "old")


if __name__ == "__main__":
  absltest.main()
