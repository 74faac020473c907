"""What a user gives of runs that were trained elsewhere, run by run.

Of M runs per model on N training and T test examples, one of

    logits    float [M, N, C]   all outcomes are known, and what was predicted
    margin    float [M, N]      logit of the label minus the largest other one
    correct   bool  [M, N]      whether the label was predicted

and of all models together `in_mask` bool `[M, N]` and `labels` `[N]`. Runs are
gone through one at a time, so that an array may be a memory map, a tensor or a
member of an .npz file: the logits of many runs need never be in memory at once.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from memo_tf.experiment import errors

# The names of predictions, and what a study calls those who have them.
KINDS = {"logits": "logits", "margin": "margin", "correct": "correctness"}
# The class that a wrong prediction is given where only its wrongness is known.
ANOTHER = "(another class)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
  """Predictions of runs that were made elsewhere; `checks.checked` makes it.

  Attributes:
    kind: one of `KINDS`.
    runs: by model, smallest first, predictions of the training and of the test
      examples (None without any), each iterable by run.
    in_mask: bool `[M, N]`.
    labels, test_labels: int32 `[N]`, `[T]`.
    class_names: C names, or one more (`ANOTHER`).
    images: uint8 or uint16 `[N + T, H, W, channels]`; None: not given.
    file_names: `[N + T]` text; None: not given.
    parameters: number of parameters by model; 0: not given.
  """

  kind: str
  runs: Mapping[str, tuple[Any, Any]]
  in_mask: np.ndarray
  labels: np.ndarray
  test_labels: np.ndarray
  class_names: tuple[str, ...]
  images: np.ndarray | None
  file_names: np.ndarray | None
  parameters: Mapping[str, int]

  def outcomes(self, model: str) -> Iterator[dict[str, np.ndarray]]:
    """Yields of each run what `store.predictions.table_of` takes.

    Raises:
      UsageError: that names the run and what is wrong with it.
    """
    train, test = self.runs[model]
    num_runs, num_train = self.in_mask.shape
    labels = np.concatenate([self.labels, self.test_labels])
    shape: tuple[int, ...] = (num_train,)
    if self.kind == "logits":
      shape += (len(self.class_names),)
    tests = (len(self.test_labels), *shape[1:])
    if test is None:
      kind = bool if self.kind == "correct" else np.float32
      test = np.empty((num_runs, *tests), kind)
    for index, (own, others) in enumerate(zip(train, test, strict=True)):
      name = f"{self.kind} of run {index} of {model}"
      parts = [_run(own, shape), _run(others, tests)]
      if self.kind == "logits":
        for part in parts:
          _check_no_probabilities(part, name)
      yield self._outcome(np.concatenate(parts), labels, name)

  def _outcome(
    self, values: np.ndarray, labels: np.ndarray, name: str
  ) -> dict[str, np.ndarray]:
    """The outcome of one run, from its `[N + T]` or `[N + T, C]`."""
    if self.kind == "correct":
      if values.dtype != bool:
        raise errors.UsageError(
          "`correct` must be bool: predicted == labels. Received: "
          f"{values.dtype} in {name}"
        )
      return {"predicted": self._predicted(values, labels)}
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
      wrong = np.argwhere(~np.isfinite(values))[0][0]
      raise errors.UsageError(
        f"`{self.kind}` must be finite. Received: NaN or infinity for example "
        f"{wrong} in the {name}"
      )
    if self.kind == "margin":
      return {
        "predicted": self._predicted(values > 0, labels),
        "margin": values,
      }
    return {"logits": values}

  def _predicted(self, correct: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What was predicted: of a wrong prediction only that it is another."""
    num_classes = len(self.class_names)
    other = np.full(len(labels), num_classes - 1)
    return np.where(correct, labels, 1 - labels if num_classes == 2 else other)


def _run(values: Any, shape: tuple[int, ...]) -> np.ndarray:
  """The predictions of one run, of the shape that they must have."""
  found = np.asarray(values)
  if found.shape != shape:
    raise errors.UsageError(
      "predictions must be [M, N], or [M, N, C] if they are logits, with the N "
      f"and C of `in_mask`, `labels` and `class_names`: {list(shape)} for each "
      f"run. Received: {list(found.shape)}"
    )
  return found


def _check_no_probabilities(logits: np.ndarray, name: str) -> None:
  """Refuses outputs of a softmax, whose margins would not be those of logits.

  Raises:
    UsageError: if all outputs are in [0, 1] and sum to 1.
  """
  sums = logits.sum(axis=1, dtype=np.float64)
  if logits.size and logits.min() >= 0 and np.allclose(sums, 1, atol=1e-3):
    raise errors.UsageError(
      "`logits` must be outputs before the softmax, or logarithms of "
      f"probabilities. Received: probabilities, which sum to 1, in the {name}"
    )
