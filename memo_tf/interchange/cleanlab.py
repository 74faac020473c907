"""Labels and out-of-sample probabilities for cleanlab.

cleanlab.filter.find_label_issues(labels, pred_probs)
"""

from collections.abc import Iterable

import numpy as np


def cleanlab_arrays(
  logits: Iterable[np.ndarray], in_mask: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Mean softmax of the runs that held each example out.

  Args:
    logits: M arrays `[N, C]`, one per run; read one at a time.
    in_mask: `[M, N]` bool.
    labels: `[N]` int, the given labels, from 0 to C - 1.

  Returns:
    (labels int64 `[N]`, pred_probs float64 `[N, C]`), rows that sum to 1.

  Raises:
    ValueError: if shapes or labels are wrong, or an example was never held out.
  """
  in_mask, labels = np.asarray(in_mask), np.asarray(labels)
  if in_mask.ndim != 2 or in_mask.dtype != bool:
    raise ValueError(
      f"`in_mask` must be [M, N] bool. Received: {in_mask.shape} of "
      f"{in_mask.dtype}"
    )
  if labels.shape != in_mask.shape[1:]:
    raise ValueError(
      f"`labels` must be [{in_mask.shape[1]}]. Received: {labels.shape}"
    )
  never = np.flatnonzero(in_mask.all(axis=0))
  if len(never):
    raise ValueError(
      "Every example must be held out of at least one run. Received: "
      f"{len(never)} examples that never are, the first {never[0]}"
    )
  total, runs = np.zeros((len(labels), 0)), 0
  for run in logits:
    run = np.asarray(run, np.float64)
    if runs == len(in_mask) or run.shape[:1] != labels.shape or run.ndim != 2:
      raise ValueError(
        f"`logits` must be {len(in_mask)} arrays [{len(labels)}, C]. Received: "
        f"{run.shape} as number {runs + 1}"
      )
    odds = np.exp(run - run.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    odds[in_mask[runs]] = 0.0
    total = total + odds if runs else odds
    runs += 1
  if runs != len(in_mask):
    raise ValueError(
      f"`logits` must be {len(in_mask)} arrays. Received: {runs}"
    )
  if labels.min() < 0 or labels.max() >= total.shape[1]:
    raise ValueError(
      f"`labels` must be in [0, {total.shape[1]}). Received: from "
      f"{labels.min()} to {labels.max()}"
    )
  return labels.astype(np.int64), total / total.sum(axis=1, keepdims=True)
