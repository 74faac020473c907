r"""Prints the tables of docs/results.md on distillation and compression.

    PYTHONPATH=. python benchmarks/recipe_tables.py --experiment_dir=DIR

Markdown, from `findings/distillation/` and `findings/compression/` of a scored
study. Recipes beside `one_hot`: means by size, the same at matched training
accuracy, sets of images, exposure, all recipes together, held-out labels.
Compressed models: changes, what is forgotten, and counts. Then the sentences.
"""

import argparse
import pathlib

import pandas as pd

from memo_tf.experiment import errors

_MEANS = ("memorization", "in_accuracy", "out_accuracy", "test_accuracy")
_TITLES = ("memorization", "in the subset", "held out", "test")


def change(row: pd.Series, name: str, low: str, high: str, digits=4) -> str:
  """A signed change with its interval; 0 where every run has the same."""
  middle, ends = row[name], (row[low], row[high])
  if pd.isna(middle):
    return "–"
  if middle == ends[0] == ends[1] == 0:
    return "0"
  text = f"{middle:+.{digits}f}"
  if pd.isna(ends[0]):
    return text
  return f"{text} [{ends[0]:+.{digits}f}, {ends[1]:+.{digits}f}]"


def _of(row: pd.Series, name: str) -> str:
  return change(row, name, f"{name}_low", f"{name}_high")


def _level(row: pd.Series, name: str) -> str:
  return (
    f"{row[name]:.4f} [{row[f'{name}_low']:.4f}, {row[f'{name}_high']:.4f}]"
  )


def _known(value: float) -> str:
  return "–" if pd.isna(value) else f"{value:.4f}"


def table(columns, rows) -> list[str]:
  """Lines of a Markdown table."""
  lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
  return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]


def _records(frame: pd.DataFrame) -> list[pd.Series]:
  return [row for _, row in frame.iterrows()]


def one_recipe(tables: dict[str, pd.DataFrame]) -> list[str]:
  """Tables of one recipe beside its baseline."""
  changes = tables["changes"]
  rows = [
    [row["model"]]
    + [
      f"{row[f'{n}_baseline']:.4f} → {row[n]:.4f}: {_of(row, f'{n}_change')}"
      for n in _MEANS
    ]
    for row in _records(changes)
  ]
  lines = table(("size", *_TITLES), rows)
  if "matched" in tables:
    columns = ("size", "in the subset", "one-hot models", "one-hot → recipe")
    rows = [
      (
        row["model"],
        _known(row["in_accuracy"]),
        _beside(row),
        " → ".join(
          _known(row[side]) for side in ("matched_memorization", "memorization")
        ),
        _of(row, "change"),
      )
      for row in _records(tables["matched"])
    ]
    lines += table((*columns, "change of memorization"), rows)
  if "sets" in tables:
    last = tables["sets"].groupby("set", sort=False).last().reset_index()
    rows = [
      (
        row["set"],
        row["num_examples"],
        *(_of(row, f"{n}_change") for n in _MEANS[:3]),
        _of(row, "separation_change") if "separation_change" in row else "–",
      )
      for row in _records(last[last["memorization_change"].notna()])
    ]
    lines += table(("set", "images", *_TITLES[:3], "median d′"), rows)
  for name, column in (("exposure", "figure"), ("held_out", "labels")):
    if name in tables:
      rows = [
        (
          row["model"],
          row[column],
          _level(row, "baseline_value"),
          _level(row, "value"),
          _of(row, "change"),
        )
        for row in _records(tables[name])
      ]
      lines += table(("size", column, "baseline", "recipe", "change"), rows)
  return lines


def _beside(row: pd.Series) -> str:
  sides = [
    f"{row[side]} ({row[f'{side}_in_accuracy']:.4f})"
    for side in ("lower", "upper")
    if row[side]
  ]
  return " to ".join(dict.fromkeys(sides)) or "–"


def all_recipes(tables: dict[str, pd.DataFrame]) -> list[str]:
  """One row per recipe and baseline: the last size, or the mean over sizes."""
  rows = []
  for key, changes in tables["changes"].groupby(
    ["recipe", "baseline"], sort=False
  ):
    last = changes.iloc[-1]
    cells = [_of(last, f"{n}_change") for n in _MEANS]
    for name, column, value in (
      ("exposure", "figure", "run_auc"),
      ("held_out", "labels", "wrong"),
    ):
      found = tables.get(name, pd.DataFrame(columns=["recipe"]))
      if len(found):
        is_same = (found["recipe"] == key[0]) & (found["baseline"] == key[1])
        found = found[is_same & (found[column] == value)]
      cells.append(_of(found.iloc[-1], "change") if len(found) else "–")
    rows.append((*key, *cells))
  columns = ("recipe", "baseline", *_TITLES, "AUC of LiRA", "held-out wrong")
  return table(columns, rows)


def distillation(folder: pathlib.Path) -> list[str]:
  """All tables of one model family and subset family."""
  tables = {p.stem: pd.read_parquet(p) for p in folder.glob("*.parquet")}
  lines = [f"## {folder.parent.name}, {folder.name}", ""]
  lines += all_recipes(tables)
  pairs = tables["changes"][["recipe", "baseline"]].drop_duplicates()
  for recipe, baseline in pairs.itertuples(index=False):
    own = {
      name: frame[(frame["recipe"] == recipe) & (frame["baseline"] == baseline)]
      for name, frame in tables.items()
    }
    own = {name: frame for name, frame in own.items() if len(frame)}
    lines += [f"### {recipe}, beside {baseline}", "", *one_recipe(own)]
    lines += [*own["findings"]["text"], ""]
  return lines


def compression(folder: pathlib.Path) -> list[str]:
  """Changes, what is forgotten in the subset, and counts, of one model."""
  levels = pd.read_parquet(folder / "levels.parquet")
  forgotten = pd.read_parquet(folder / "forgotten.parquet")
  lines = [f"## {folder.parent.name}, {folder.name}", ""]
  rows = [
    [f"`{row['recipe']}`", row["num_runs"]]
    + [
      change(row, f"{n}_change", f"{n}_low", f"{n}_high", digits=3)
      for n in _MEANS
    ]
    for row in _records(levels)
  ]
  lines += table(("recipe", "runs", *_TITLES), rows)
  known = forgotten[
    (forgotten["where"] == "in") & forgotten["excess_low"].notna()
  ]
  columns = ("recipe", "group", "cases compared, of all", "forgotten")
  rows = [
    (
      f"`{row['recipe']}`",
      row["group"],
      f"{row['num_compared']:,} of {row['num_right']:,}",
      f"{100 * row['rate']:.1f} %",
      f"{100 * row['expected']:.1f} %",
      f"{100 * row['excess']:+.1f} [{100 * row['excess_low']:.1f}, "
      f"{100 * row['excess_high']:.1f}]",
    )
    for row in _records(known)
  ]
  lines += table((*columns, "ordinary images", "excess in points"), rows)
  first = levels.iloc[0]
  rows = [_counts("one_hot", first, "_before")]
  rows += [_counts(row["recipe"], row, "") for row in _records(levels)]
  columns = ("recipe", "weights not 0", "zeros in kernels", "most values")
  lines += table((*columns, "8-bit tensors", "bytes under gzip"), rows)
  sentences = pd.read_parquet(folder / "findings.parquet")["text"]
  return [*lines, *sentences, ""]


def _counts(name: str, row: pd.Series, suffix: str) -> tuple:
  def number(fact: str, form: str = ",.0f") -> str:
    value = row[f"{fact}{suffix}"]
    return "–" if pd.isna(value) else format(value, form)

  return (
    f"`{name}`",
    number("nonzero_weights"),
    number("kernel_sparsity", ".1%"),
    number("largest_clusters"),
    number("int8_tensors"),
    number("bytes_gzip"),
  )


def main() -> None:
  """Prints every table of a study."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--experiment_dir", type=pathlib.Path, required=True)
  root = parser.parse_args().experiment_dir / "findings"
  lines = []
  for name, of in (
    ("distillation", distillation),
    ("compression", compression),
  ):
    for path in sorted((root / name).glob("*/*/findings.parquet")):
      try:
        lines += of(path.parent)
      except (OSError, ValueError) as error:
        parser.error(
          f"{path.parent} cannot be read: {errors.brief(error)}. Score the "
          "study again, which writes its tables"
        )
  if not lines:
    parser.error(f"no recipes are compared in {root}: score the study first")
  print("\n".join(lines))


if __name__ == "__main__":
  main()
