r"""Writes the comparison of a study's proxies as Markdown.

    PYTHONPATH=. python benchmarks/result_tables.py \
        --experiment_dir=DIR --output=FILE.md

From `comparison/<ladder>/<recipe>/` of the study: a table of verdicts, then one
table of criteria with intervals for each size.
"""

import argparse
import pathlib

import pandas as pd

from memo_tf.report.sections.proxies import CRITERIA


def cell(row: pd.Series | None, corrected: bool = False) -> str:
  """An estimate with its interval; a dash if it is missing."""
  if row is None:
    return "–"
  prefix = "corrected" if corrected else "ci"
  middle = row["corrected"] if corrected else row["estimate"]
  low, high = row[f"{prefix}_low"], row[f"{prefix}_high"]
  if pd.isna(middle):
    return "–"
  if pd.isna(low):
    return f"{middle:.2f}"
  return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def lines_of(folder: pathlib.Path) -> list[str]:
  """Markdown of one ladder and recipe."""
  criteria = pd.read_parquet(folder / "criteria.parquet")
  verdicts = pd.read_parquet(folder / "verdicts.parquet")

  def find(proxy: str, size: str | None, criterion: str) -> pd.Series | None:
    rows = criteria[
      (criteria["proxy"] == proxy) & (criteria["criterion"] == criterion)
    ]
    if size is not None:
      rows = rows[rows["size"] == size]
    return rows.iloc[0] if len(rows) else None

  lines = [
    f"## {folder.parent.name}, {folder.name}",
    "",
    "| proxy | verdict | Spearman of changes | reason |",
    "|---|---|---|---|",
  ]
  for row in verdicts.itertuples():
    changes = cell(find(row.proxy, None, "change_spearman"))
    lines.append(f"| {row.proxy} | {row.verdict} | {changes} | {row.reason} |")
  is_change = criteria["criterion"].str.startswith("change_")
  for size in criteria.loc[~is_change, "size"].unique():
    columns = [*CRITERIA.values(), "Spearman, corrected for noise"]
    lines += [
      "",
      f"### {size}",
      "",
      f"| proxy | {' | '.join(columns)} |",
      "|---" * (len(columns) + 1) + "|",
    ]
    for proxy in verdicts["proxy"]:
      cells = [cell(find(proxy, size, name)) for name in CRITERIA]
      cells.append(cell(find(proxy, size, "spearman"), corrected=True))
      lines.append(f"| {proxy} | {' | '.join(cells)} |")
  return lines


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--experiment_dir", required=True)
  parser.add_argument("--output", required=True)
  arguments = parser.parse_args()
  root = pathlib.Path(arguments.experiment_dir) / "comparison"
  lines = ["# Proxies of memorization", ""]
  for path in sorted(root.glob("*/*/verdicts.parquet")):
    lines += [*lines_of(path.parent), ""]
  output = pathlib.Path(arguments.output)
  output.parent.mkdir(parents=True, exist_ok=True)
  output.write_text("\n".join(lines))


if __name__ == "__main__":
  main()
