"""A folder of the user's own: studied, logged, corrected, studied again."""

import pathlib
import shutil
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd
from PIL import Image
import pytest
from sklearn import datasets

from memo_tf.store import directory as directory_lib
from tests.support import small_study

CLASSES = ("one", "two", "<b>three")
SETTINGS = {
  "test_fraction": 0.25,
  "label_noise": 0,
  "num_subsets": 4,
  "epochs": 2,
  "batch_size": 32,
  "workers": 1,
}


def make_folder(folder: pathlib.Path) -> None:
  """40 digits of each of three classes; one broken, one to be ignored."""
  digits = datasets.load_digits()
  for label, name in enumerate(CLASSES, 1):
    (folder / name).mkdir(parents=True)
    for number, row in enumerate(np.flatnonzero(digits.target == label)[:40]):
      pixels = (digits.images[row] * 15.9).astype(np.uint8)
      Image.fromarray(pixels).save(folder / name / f"{number:02} ü.png")
  (folder / CLASSES[0] / "broken.jpg").write_bytes(b"\xff\xd8\xff")
  (folder / CLASSES[0] / "notes.txt").write_text("mine")


@pytest.mark.slow
class OwnDataTest(absltest.TestCase):
  def test_a_folder_is_studied_corrected_and_studied_again(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    pets, study = root / "pets", root / "study"
    make_folder(pets)
    settings = {**SETTINGS, "dataset": f"folder:{pets}"}

    refused = small_study.launch(study, **settings)
    settings["skip_unreadable"] = "true"
    plain = small_study.launch(study, **settings)
    logged = small_study.launch(
      root / "logged", **settings, log_to="tensorboard"
    )

    self.assertEqual(refused.returncode, 2, refused.stderr)
    self.assertIn("1 of 121 images of", refused.stderr)
    self.assertIn("one/broken.jpg (damaged or truncated JPEG)", refused.stderr)
    self.assertEqual(plain.returncode, 0, plain.stderr)
    self.assertIn(
      "pets: 120 images in 3 classes, 1 file ignored (1 .txt).", plain.stderr
    )
    self.assertEqual(plain.stderr.count("120 images in 3 classes"), 1)
    self.assertEqual(logged.returncode, 0, logged.stderr)
    before = small_study.arrays(study)
    self.assertEmpty(
      small_study.differences(before, small_study.arrays(root / "logged"))
    )
    self.assertFalse((study / "logs").exists())
    self.assertLen(list((root / "logged/logs").rglob("events.*")), 5)

    directory = directory_lib.StudyDirectory(study)
    table = pd.read_parquet(directory.dataset_dir / "examples.parquet")
    [path] = study.rglob("memorization.parquet")
    names = pd.read_parquet(path)["file_name"]
    self.assertEqual(list(names), list(table.file_name[table.split == "train"]))

    moved = names[5]
    target = "two" if moved.startswith("one/") else "one"
    shutil.move(pets / moved, pets / target / "corrected.png")
    stopped = small_study.launch(study, **settings)
    update = {**settings, "update_labels": study}
    again = small_study.launch(None, **update)
    resumed = small_study.launch(None, **update)

    self.assertEqual(stopped.returncode, 2)
    self.assertIn(f"--update_labels={study}", stopped.stderr)
    self.assertEqual(again.returncode, 0, again.stderr)
    self.assertRegex(
      again.stderr, r"1 of 90 training labels .*corrected.png: .* → "
    )
    self.assertIn("4 done, 0 to run", resumed.stderr)
    self.assertEmpty(small_study.differences(before, small_study.arrays(study)))
    masks = [
      np.load(folder / "subsets/r0.70.npy")
      for folder in (study, root / "study-labels2")
    ]
    np.testing.assert_array_equal(*masks)


if __name__ == "__main__":
  absltest.main()
