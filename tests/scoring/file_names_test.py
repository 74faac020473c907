"""Names of files follow the ids, where the data set has them."""

import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.scoring import file_names
from memo_tf.scoring import study
from memo_tf.store import directory as directory_lib
from tests.support import made_up


class FileNamesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = self.enterContext(tempfile.TemporaryDirectory())
    self.directory = directory_lib.StudyDirectory(root)
    self.path = self.directory.dataset_dir / "examples.parquet"

  def write(self, **columns) -> None:
    self.path.parent.mkdir(exist_ok=True)
    ids = np.r_[0:3, 0:2]
    labels = np.zeros(5, np.int32)
    pd.DataFrame(
      {
        "example_id": ids,
        "split": ["train"] * 3 + ["test"] * 2,
        "label": labels,
        "clean_label": labels,
        "is_noisy": labels.astype(bool),
        **columns,
      }
    ).to_parquet(self.path, index=False)

  def test_each_id_gets_the_name_of_its_split(self):
    self.write(file_name=["a.png", "b.png", "<c>.png", "x.png", "y.png"])
    names = file_names.read(self.directory)
    one = pd.DataFrame({"example_id": [2, 0], "label": [1, 1]})
    pairs = pd.DataFrame({"train_id": [1], "test_id": [1], "influence": [0.5]})

    file_names.add(one, names)
    file_names.add(pairs, names)

    self.assertEqual(list(one), ["example_id", "file_name", "label"])
    self.assertEqual(list(one["file_name"]), ["<c>.png", "a.png"])
    self.assertEqual(pairs["train_file_name"][0], "b.png")
    self.assertEqual(pairs["test_file_name"][0], "y.png")

  def test_nothing_changes_without_names(self):
    self.write(source=list("abcde"))
    frame = pd.DataFrame({"example_id": [0]})

    file_names.add(frame, file_names.read(self.directory))

    self.assertEqual(list(frame), ["example_id"])
    self.path.write_bytes(b"damaged")
    with self.assertRaisesRegex(errors.StudyError, "examples.parquet cannot"):
      file_names.read(self.directory)
    self.path.unlink()
    self.assertIsNone(file_names.read(self.directory))

  def test_score_files_have_them(self):
    config = made_up.config()
    directory = made_up.make(self.directory.root / "study", config)
    self.path = directory.dataset_dir / "examples.parquet"
    examples = pd.read_parquet(self.path)
    names = [f"{s}/{n}.png" for s, n in zip(examples.split, examples.index)]
    examples.assign(file_name=names).to_parquet(self.path, index=False)

    study.score_study(directory, plan_lib.Plan.of(config))

    folder = directory.scores_dir(made_up.GROUP)
    scores = pd.read_parquet(folder / "memorization.parquet")
    self.assertEqual(list(scores)[:2], ["example_id", "file_name"])
    self.assertEqual(list(scores["file_name"]), names[: made_up.NUM_TRAIN])
    pairs = pd.read_parquet(folder / "influence.parquet")
    self.assertContainsSubset(["train_file_name", "test_file_name"], pairs)


if __name__ == "__main__":
  absltest.main()
