"""What the models that held an example out say of it, class by class."""

import dataclasses

import numpy as np

# Pairs of run and example that are counted at a time.
_CHUNK = 8_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Votes:
  """Predictions of N examples, each with its classes, most frequent first.

  Attributes:
    offsets: `[N + 1]` int, where each example's entries start.
    classes: `[K]` int, predicted classes; ties in order of class.
    counts: `[K]` int, by how many runs each was predicted.
  """

  offsets: np.ndarray
  classes: np.ndarray
  counts: np.ndarray

  def of(self, n: int) -> list[tuple[int, int]]:
    """(class, count) of one example."""
    part = slice(self.offsets[n], self.offsets[n + 1])
    return list(zip(self.classes[part].tolist(), self.counts[part].tolist()))

  def most_other(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent class that is not the label, and its count, `[N]`.

    -1 and 0 where every prediction is the label.
    """
    found = np.full(len(labels), -1)
    count = np.zeros(len(labels), np.int64)
    lengths = np.diff(self.offsets)
    # An example's first or second entry: one of them is not its label.
    for place in (1, 0):
      known = lengths > place
      entry = self.offsets[:-1][known] + place
      other = self.classes[entry] != labels[known]
      rows = np.flatnonzero(known)[other]
      found[rows] = self.classes[entry[other]]
      count[rows] = self.counts[entry[other]]
    return found, count


def count(predicted: np.ndarray, mask: np.ndarray | None = None) -> Votes:
  """Counts the predictions of each example.

  Args:
    predicted: `[M, N]` int, classes.
    mask: `[M, N]` bool, the runs that count; None: all.
  """
  num_runs, num_examples = predicted.shape
  lengths, classes, counts = [], [], []
  num_classes = int(predicted.max(initial=0)) + 1
  chunk = max(1, _CHUNK // max(1, num_runs))
  for start in range(0, num_examples, chunk):
    part = predicted[:, start : start + chunk].astype(np.int64)
    keys = part + num_classes * np.arange(part.shape[1])
    if mask is not None:
      keys = keys[mask[:, start : start + chunk]]
    found, number = np.unique(keys, return_counts=True)
    example, label = np.divmod(found, num_classes)
    order = np.lexsort((label, -number, example))
    lengths.append(np.bincount(example, minlength=part.shape[1]))
    classes.append(label[order])
    counts.append(number[order])
  empty = np.zeros(0, np.int64)
  return Votes(
    offsets=np.concatenate(
      [[0], np.cumsum(np.concatenate(lengths or [empty]))]
    ),
    classes=np.concatenate(classes or [empty]),
    counts=np.concatenate(counts or [empty]),
  )
