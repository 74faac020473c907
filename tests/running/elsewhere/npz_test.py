"""Predictions from .npz files, one per size."""

import pathlib
import zipfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.experiment import errors
from memo_tf.running.elsewhere import npz
from tests.support import predictions_elsewhere


class NpzTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.values = predictions_elsewhere.values()

  def write(self, name: str = "small", how=np.savez, **changes) -> str:
    values = {**self.values, **changes}
    path = self.folder / f"{name}.npz"
    how(path, **{k: v for k, v in values.items() if v is not None})
    return str(path)

  @parameterized.parameters(np.savez, np.savez_compressed)
  def test_rows_are_those_of_the_array(self, how):
    found = npz.read([self.write(how=how)])

    rows = found["logits"]["small"]
    self.assertLen(rows, 20)
    self.assertEqual(rows.shape, (20, 30, 3))
    for _ in range(2):  # each time from the first
      np.testing.assert_array_equal(np.stack(list(rows)), self.values["logits"])
    np.testing.assert_array_equal(found["labels"], self.values["labels"])

  def test_an_array_in_fortran_order_is_read_right(self):
    logits = np.asfortranarray(self.values["logits"])

    found = npz.read([self.write(logits=logits)])["logits"]["small"]

    np.testing.assert_array_equal(np.stack(list(found)), logits)

  def test_files_are_sizes_in_order(self):
    large = self.write("2 large!", in_mask=None, labels=None, parameters=5)
    small = self.write("small", parameters=3)

    found = npz.read([small, large])

    self.assertEqual(list(found["logits"]), ["small", "m2_large_"])
    self.assertEqual([int(n) for n in found["parameters"].values()], [3, 5])

  @parameterized.named_parameters(
    ("unknown", {"preds": np.zeros(3)}, "'preds'"),
    ("objects", {"labels": np.array([{}, 1], object)}, "plain arrays"),
  )
  def test_refuses(self, changes, message):
    path = self.write(**changes)

    with self.assertRaisesRegex(errors.UsageError, message):
      npz.read([path])

  @parameterized.product(how=(np.savez, np.savez_compressed), place=(0.3, 0.6))
  def test_a_damaged_row_is_one_line(self, how, place):
    path = pathlib.Path(self.write(how=how))
    with zipfile.ZipFile(path) as archive:
      member = archive.getinfo("logits.npy")
    content = bytearray(path.read_bytes())
    content[member.header_offset + int(place * member.compress_size)] ^= 0xFF
    path.write_bytes(content)

    rows = npz.read([str(path)])["logits"]["small"]
    with self.assertRaisesRegex(errors.UsageError, "readable .npz.*small.npz"):
      list(rows)

  def test_refuses_files_that_contradict_each_other(self):
    first = self.write("a")

    for changes, message in (
      ({"labels": self.values["labels"][::-1]}, "labels must be the same"),
      ({"logits": None, "correct": np.ones((20, 30), bool)}, "in every file"),
    ):
      with self.assertRaisesRegex(errors.UsageError, message):
        npz.read([first, self.write("b", **changes)])
    with self.assertRaisesRegex(errors.UsageError, "different names"):
      npz.read([first, first])

  def test_refuses_what_is_no_archive_and_what_is_cut_off(self):
    path = pathlib.Path(self.write())
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:1000], whole[:-100]):
      path.write_bytes(content)
      with self.assertRaises(errors.UsageError) as caught:
        npz.read([str(path)])
      self.assertNotIn("\n", str(caught.exception))
    with self.assertRaisesRegex(errors.UsageError, "nowhere"):
      npz.read(["nowhere.npz"])


if __name__ == "__main__":
  absltest.main()
