"""Kinds of outcome that a run can have on an example, and their checks.

Correctness is 0 or 1; the label probability is in [0, 1]; the margin, the
label's logit minus the largest other, is any number.
"""

import numpy as np

OUTCOMES = ("correctness", "label_probability", "margin")


def kind_of(outcome: np.ndarray) -> str:
  """Default kind of an array: correctness for booleans and integers."""
  if outcome.dtype == bool or np.issubdtype(outcome.dtype, np.integer):
    return "correctness"
  return "label_probability"


def checked_outcome(outcome: np.ndarray, kind: str) -> np.ndarray:
  """Outcome checked against its kind; correctness as uint8, 0 and 1.

  Raises:
    ValueError: if a value is not finite or not of the kind.
  """
  if outcome.dtype == bool:
    values = outcome.view(np.uint8) if outcome.size else outcome.astype("u1")
    if kind == "correctness":
      return values
    return values.astype(np.float64)
  if not np.issubdtype(outcome.dtype, np.number) or np.iscomplexobj(outcome):
    raise ValueError(
      f"`outcome` must be numeric. Received: dtype {outcome.dtype}"
    )
  if not np.isfinite(outcome).all():
    raise ValueError("`outcome` must be finite. Received: NaN or infinity")
  if not outcome.size:
    return outcome.astype(np.uint8 if kind == "correctness" else np.float64)
  low, high = outcome.min(), outcome.max()
  if kind == "correctness":
    if not ((outcome == 0) | (outcome == 1)).all():
      raise ValueError(
        "`outcome` of kind correctness must be 0 or 1. Received values from "
        f"{low} to {high}"
      )
    return outcome.astype(np.uint8)
  if kind == "label_probability" and (low < 0 or high > 1):
    raise ValueError(
      "`outcome` must be in [0, 1] (or give outcome_kind='margin'). Received "
      f"values from {low} to {high}"
    )
  return outcome
