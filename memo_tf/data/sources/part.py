"""A seeded, stratified part of a training set (`--num_examples`).

Each class gets its share of the examples by the method of largest remainders:
the whole part of its exact share, and one more for the classes with the largest
fractions, until the shares add up. A class that would get none then gets one
example from the class that has the most.

The examples kept are renumbered in their original order, so that an id is again
an index of the training arrays. The former indices go to `source_index` in
`examples.parquet`.
"""

import numpy as np

from memo_tf.experiment import errors
from memo_tf.experiment import random_streams


def shares(counts: np.ndarray, size: int) -> np.ndarray:
  """How many examples each class gets in a part of `size` examples.

  Args:
    counts: `[C]` int, examples of each class; their sum is N.
    size: n in [1, N].

  Returns:
    int64 `[C]`, at most `counts`, with the sum n. Equal remainders are decided
    for the class with the lower label. Every class that has examples gets at
    least one if n is at least the number of such classes.
  """
  counts = np.asarray(counts, np.int64)
  exact = counts * size  # in units of 1 / N: no rounding
  result, remainders = np.divmod(exact, counts.sum())
  order = np.argsort(-remainders, kind="stable")
  result[order[: size - result.sum()]] += 1
  for label in np.flatnonzero((result == 0) & (counts > 0)):
    largest = np.argmax(result)
    if result[largest] > 1:
      result[largest] -= 1
      result[label] = 1
  return result


def draw(
  labels: np.ndarray, num_classes: int, size: int, seed: int
) -> np.ndarray:
  """The indices of the examples kept, in ascending order.

  Args:
    labels: `[N]` int in [0, num_classes), the data set's own labels: another
      `--labels_file` keeps the same examples.
    num_classes: C.
    size: n, how many examples to keep.
    seed: of the study; the stream is `num_examples`.

  Returns:
    int64 `[n]` in [0, N).

  Raises:
    UsageError: if n is below C or above N.
  """
  if not num_classes <= size <= len(labels):
    raise errors.UsageError(
      f"--num_examples must be between {num_classes}, the number of classes, "
      f"and {len(labels)}, the number of training examples, or 0 for all of "
      f"them. Received: --num_examples={size}"
    )
  return stratified(
    labels,
    num_classes,
    size,
    random_streams.generator(seed, "num_examples"),
  )


def stratified(
  labels: np.ndarray, num_classes: int, size: int, rng: np.random.Generator
) -> np.ndarray:
  """The indices of `size` examples drawn at random, in ascending order.

  Args:
    labels: `[N]` int in [0, num_classes).
    num_classes: C.
    size: n in [1, N]; below C, some classes get no example.
    rng: to draw with.

  Returns:
    int64 `[n]` in [0, N).
  """
  wanted = shares(np.bincount(labels, minlength=num_classes), size)
  order = rng.permutation(len(labels))
  chosen = [
    order[labels[order] == label][:count] for label, count in enumerate(wanted)
  ]
  return np.sort(np.concatenate(chosen))


def order_after_draw(order: str, size: int, count: int, seed: int) -> str:
  """In words, what an id means once `size` of `count` examples were drawn."""
  return (
    f"{order}; of the {count} training examples {size} were drawn at random "
    f"(seed {seed}, each class in proportion) and renumbered in their order: "
    "source_index has the former index"
  )
