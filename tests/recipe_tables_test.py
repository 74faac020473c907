"""The Markdown tables of docs/results.md hold the numbers of the files."""

from absl.testing import absltest
import numpy as np
import pandas as pd

from benchmarks import recipe_tables


def changes():
  """One size, with a change that is 0 in every run, and one of one run."""
  row = {"size": 0, "model": "m"}
  for name, change in (
    ("memorization", (-0.05, -0.06, -0.04)),
    ("in_accuracy", (0.0, 0.0, 0.0)),
    ("out_accuracy", (0.05, 0.04, 0.06)),
    ("test_accuracy", (0.01, np.nan, np.nan)),
  ):
    row |= {f"{name}_baseline": 0.5, name: 0.25}
    for suffix, value in zip(("", "_low", "_high"), change):
      row[f"{name}_change{suffix}"] = value
  return pd.DataFrame([row])


def matched():
  columns = (
    "model in_accuracy memorization lower upper lower_in_accuracy "
    "upper_in_accuracy matched_memorization change change_low change_high"
  )
  nan = np.nan
  rows = [
    ("m", 0.96, 0.1, "one_hot-e8", "one_hot-e9", 0.95, 0.97, 0.11)
    + (-0.01, -0.02, 0.003),
    ("n", 0.9, 0.1, "", "one_hot", nan, 1.0, nan, nan, nan, nan),
    ("mean", nan, nan, "", "", nan, nan, nan, -0.01, -0.02, 0.003),
  ]
  return pd.DataFrame(rows, columns=columns.split())


class RecipeTablesTest(absltest.TestCase):
  def test_changes_with_their_intervals(self):
    (row,) = recipe_tables.one_recipe({"changes": changes()})[2:3]

    self.assertEqual(
      row,
      "| m | 0.5000 → 0.2500: -0.0500 [-0.0600, -0.0400] "
      "| 0.5000 → 0.2500: 0 | 0.5000 → 0.2500: +0.0500 [+0.0400, +0.0600] "
      "| 0.5000 → 0.2500: +0.0100 |",
    )

  def test_matched_accuracy_and_what_cannot_be_told(self):
    tables = {"changes": changes(), "matched": matched()}

    lines = recipe_tables.one_recipe(tables)[6:9]

    self.assertEqual(
      lines,
      [
        "| m | 0.9600 | one_hot-e8 (0.9500) to one_hot-e9 (0.9700) "
        "| 0.1100 → 0.1000 | -0.0100 [-0.0200, +0.0030] |",
        "| n | 0.9000 | one_hot (1.0000) | – → 0.1000 | – |",
        "| mean | – | – | – → – | -0.0100 [-0.0200, +0.0030] |",
      ],
    )


if __name__ == "__main__":
  absltest.main()
