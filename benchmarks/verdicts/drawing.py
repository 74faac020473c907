"""What the figures of findings share: axes, intervals, names of widths."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.verdicts import study as study_lib

Studies = Mapping[str, study_lib.Study]


def axes(rows: int, columns: int, size: tuple[float, float]):
  """A figure and its axes `[rows, columns]`, of `size` inches each."""
  return plt.subplots(
    rows,
    columns,
    figsize=(size[0] * columns, size[1] * rows),
    squeeze=False,
    layout="constrained",
  )


def width(model: str) -> str:
  """The width of a model by its name: "0.5" of cifar_resnet-8-w0.5."""
  return model.partition("-w")[2] or "1"


def reach(table: pd.DataFrame, column: str) -> np.ndarray:
  """`[2, n]`: the interval's ends, as distances from the middle."""
  middle = table[column]
  return np.array(
    [middle - table[f"{column}_low"], table[f"{column}_high"] - middle]
  )


def with_interval(axis, x, table, column, label, fmt="o-", **more) -> None:
  """Draws a column with its interval, COLUMN_low to COLUMN_high."""
  axis.errorbar(
    x,
    table[column],
    reach(table, column),
    fmt=fmt,
    markersize=3,
    capsize=2,
    label=label,
    **more,
  )
