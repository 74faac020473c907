"""Custom proxies: what is read, and what is refused."""

import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd

from memo_tf.findings import proxy_files

MODELS = ("small", "large")


class ProxyFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def write(self, columns, name="mine.parquet", **attributes) -> str:
    frame = pd.DataFrame(columns)
    frame.attrs.update(attributes)
    path = self.folder / name
    frame.to_parquet(path, index=False)
    return str(path)

  def read(self, *paths):
    return proxy_files.read(paths, 4, MODELS)

  def test_columns_in_any_order_of_ids(self):
    path = self.write(
      {"example_id": [2, 0, 3, 1], "mine": [20, 0, 30, 10], "his": [1.0] * 4},
      sign={"mine": -1},
    )

    mine, his = self.read(path)

    self.assertEqual((mine.name, mine.sign), ("mine", -1))
    self.assertEqual((his.name, his.sign), ("his", None))
    for model in MODELS:
      np.testing.assert_array_equal(mine.of_model(model), [0, 10, 20, 30])

  def test_values_by_model(self):
    path = self.write(
      {
        "example_id": [0, 1, 2, 3] * 2,
        "model": ["small"] * 4 + ["large"] * 4,
        "mine": np.arange(8.0),
      }
    )

    (mine,) = self.read(path)

    np.testing.assert_array_equal(mine.of_model("large"), [4, 5, 6, 7])
    np.testing.assert_array_equal(mine.of_model("small"), [0, 1, 2, 3])

  def test_no_value_where_the_file_says_so(self):
    path = self.write(
      {
        "example_id": range(4),
        "mine": [0.5, np.nan, 7.0, 1.0],
        "mine_known": [True, False, False, True],
      }
    )

    (mine,) = self.read(path)

    np.testing.assert_array_equal(
      mine.of_model("small"), [0.5, np.nan, np.nan, 1.0]
    )

  @parameterized.named_parameters(
    ("no_id", {"mine": [1.0] * 4}, "no column example_id"),
    ("no_proxy", {"example_id": range(4)}, "no column besides example_id"),
    (
      "too_few",
      {"example_id": range(3), "mine": [1.0] * 3},
      "each example_id from 0 to 3 once.*3 rows",
    ),
    (
      "twice",
      {"example_id": [0, 1, 2, 2], "mine": [1.0] * 4},
      "each example_id from 0 to 3 once.*3 different ids",
    ),
    (
      "float_ids",
      {"example_id": [0.0, 1.0, 2.0, 3.0], "mine": [1.0] * 4},
      "as integers",
    ),
    (
      "nan",
      {"example_id": range(4), "mine": [1.0, np.nan, np.inf, 2.0]},
      "2 values of 'mine' that are NaN or infinite.*'mine_known'",
    ),
    (
      "words",
      {"example_id": range(4), "mine": list("abcd")},
      "must be numeric",
    ),
    (
      "ours",
      {"example_id": range(4), "el2n": [1.0] * 4},
      "'el2n'.*not that of a built-in proxy",
    ),
    (
      "name",
      {"example_id": range(4), "my proxy": [1.0] * 4},
      "letters, digits and _",
    ),
    (
      "mask",
      {"example_id": range(4), "mine": [1.0] * 4, "mine_known": [1] * 4},
      "'mine_known' that is not bool",
    ),
    (
      "model",
      {"example_id": range(4), "model": ["huge"] * 4, "mine": [1.0] * 4},
      "not in this study: 'huge'.*small, large",
    ),
    (
      "part_of_a_model",
      {
        "example_id": [0, 1, 2, 3, 0],
        "model": ["small"] * 4 + ["large"],
        "mine": [1.0] * 5,
      },
      "once for model large.*1 rows",
    ),
  )
  def test_refuses(self, columns, message):
    path = self.write(columns)

    with self.assertRaisesRegex(ValueError, message) as caught:
      self.read(path)
    self.assertIn(path, str(caught.exception))

  def test_refuses_a_sign_that_is_none(self):
    path = self.write(
      {"example_id": range(4), "mine": [1.0] * 4}, sign={"mine": 2}
    )

    with self.assertRaisesRegex(ValueError, "gives 'mine' the sign 2"):
      self.read(path)

  def test_refuses_what_is_no_file_or_no_parquet(self):
    text = self.folder / "text.parquet"
    text.write_text("a,b\n")
    for path, message in (
      (self.folder / "none.parquet", "is not a file"),
      (text, "cannot be read as Parquet"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        self.read(str(path))

  def test_refuses_one_name_in_two_files(self):
    columns = {"example_id": range(4), "mine": [1.0] * 4}
    paths = self.write(columns), self.write(columns, "other.parquet")

    with self.assertRaisesRegex(ValueError, "'mine'.*another file has too"):
      self.read(*paths)


if __name__ == "__main__":
  absltest.main()
