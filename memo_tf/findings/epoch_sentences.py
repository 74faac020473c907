"""What scores over training say, in sentences with intervals."""

from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import pandas as pd

from memo_tf.analysis import epochs as analysis
from memo_tf.analysis import evidence

# Sets of examples; the last two only where wrong labels were planted.
ALL, NATURAL, WRONG = "all", "natural", "wrong label"
_IMAGES = {
  ALL: "images",
  NATURAL: "natural images",
  WRONG: "planted wrong labels",
}
_MEANS = {
  evidence.RISES: "it rises",
  evidence.FALLS: "it falls",
  evidence.UNSURE: "these runs cannot tell whether it rises or falls",
}


def of(
  tables: Mapping[str, pd.DataFrame],
  order: pd.DataFrame,
  told: Mapping[str, analysis.ExampleEpochs],
  epochs: Sequence[int],
) -> list[str]:
  """All sentences of a study.

  Args:
    tables: `means`, `changes` and `mean_epochs` of `epochs.EpochStudy`.
    order: of the same.
    told: single examples by model.
    epochs: E of them.
  """
  return [
    *_about_means(tables["means"], tables["changes"]),
    *_about_images(told, epochs),
    *_about_mean_epochs(tables["mean_epochs"]),
    *_about_order(order),
  ]


def _about_means(means: pd.DataFrame, changes: pd.DataFrame) -> list[str]:
  """Mean memorization over epochs, one sentence per model."""
  lines = []
  means, changes = (t[t["examples"] == ALL] for t in (means, changes))
  for model, rows in means.groupby("model", sort=False):
    values = [
      f"{_interval(row, 'memorization')} after epoch {row['epoch']}"
      for row in rows.to_dict("records")
    ]
    # From the first to the last epoch.
    row = changes[changes["model"] == model].to_dict("records")[-1]
    direction = evidence.direction(
      row["memorization_low"], row["memorization_high"]
    )
    lines.append(
      f"Mean memorization of {model}: {', '.join(values)}. From epoch "
      f"{row['from_epoch']} to {row['to_epoch']} {_MEANS[direction]} "
      f"({_interval(row, 'memorization', '+')}): accuracy in the subset "
      f"changes by {_interval(row, 'in_accuracy', '+')}, held out by "
      f"{_interval(row, 'out_accuracy', '+')}."
    )
  return lines


def _about_images(
  told: Mapping[str, analysis.ExampleEpochs], epochs: Sequence[int]
) -> list[str]:
  """How many images are memorized by which epoch, one sentence per model."""
  lines = []
  for model, found in told.items():
    counts = [f"{(found.epoch <= e).sum():,} by epoch {e}" for e in epochs]
    known = ~np.isnan(found.scores[-1].memorization)
    unsure = int((known & ~found.is_told).sum())
    lines.append(
      f"{model} memorizes {', '.join(counts)} of {known.sum():,} images (a "
      f"score of {evidence.MEMORIZED} or more from then on). For {unsure:,} "
      "images these runs cannot tell by which epoch, or whether at all."
    )
  return lines


def _about_mean_epochs(table: pd.DataFrame) -> list[str]:
  """When scores of planted and of natural images arise."""
  lines = []
  for model, rows in table.groupby("model", sort=False):
    sets = {row["examples"]: row for row in rows.to_dict("records")}
    if WRONG in sets:
      wrong, natural = (
        _interval(sets[name], "mean_epoch", digits=2)
        for name in (WRONG, NATURAL)
      )
      lines.append(
        f"Scores of {model} arise at epoch {wrong} on average for "
        f"{_IMAGES[WRONG]}, and at {natural} for {_IMAGES[NATURAL]}."
      )
  return lines


def _about_order(order: pd.DataFrame) -> list[str]:
  """Which of two sizes is first, one sentence per pair and set."""
  lines = []
  for row in order.to_dict("records"):
    smaller, larger = row["smaller"], row["larger"]
    if not row["num_examples"]:
      continue
    text = (
      f"Of {row['num_examples']:,} {_IMAGES[row['examples']]} that {smaller} "
      f"and {larger} both memorize, {larger} is first for "
      f"{100 * row['larger_first']:.1f} % and {smaller} for "
      f"{100 * row['smaller_first']:.1f} % at the chosen epochs (difference "
      f"{_interval(row, 'difference', '+')})"
    )
    if np.isnan(row["lead_low"]):
      lines.append(f"{text}.")
      continue
    lead = _interval(row, "lead", "+", digits=2)
    direction = evidence.direction(row["lead_low"], row["lead_high"])
    if direction == evidence.UNSURE:
      text += "; on average these runs cannot tell which is earlier"
    else:
      earlier = larger if direction == evidence.RISES else smaller
      text += f"; {earlier} is earlier on average"
    lines.append(f"{text}: the lead of {larger} is {lead} epochs.")
  return lines


def _interval(row: Mapping, name: str, sign: str = "", digits: int = 4) -> str:
  """A value with its interval."""
  value, low, high = (
    f"{row[f'{name}{end}']:{sign}.{digits}f}" for end in ("", "_low", "_high")
  )
  return f"{value} [{low}, {high}]"
