"""Images that a data set has several times, with different labels.

One of the labels is wrong, or the image belongs to no class: worth knowing
before anything is trained.
"""

import numpy as np

from memo_tf.data.sources import image_source

LISTED = 5


def note(
  data: image_source.ImageSource, digests: dict[str, np.ndarray]
) -> str | None:
  """A line about equal images with different labels; None if there are none.

  Args:
    data: the data set.
    digests: of each split, uint8 `[n, 16]`, the digests of its pixels; only
      the first of them are of the data set's own examples.
  """
  own = {"train": data.train_labels, "test": data.test_labels}
  labels = np.concatenate(list(own.values()))
  rows = np.concatenate([digests[s][: len(own[s])] for s in own])
  keys = np.ascontiguousarray(rows).view("V16").ravel()
  order = np.argsort(keys, kind="stable")
  starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
  lowest = np.minimum.reduceat(labels[order], starts)
  highest = np.maximum.reduceat(labels[order], starts)
  ends = np.r_[starts[1:], len(order)]
  groups = [
    order[starts[i] : ends[i]] for i in np.flatnonzero(lowest < highest)
  ]
  if not groups:
    return None
  count = sum(map(len, groups))
  shown = "; ".join(
    " = ".join(_named(data, int(index)) for index in group[:LISTED])
    for group in sorted(groups, key=lambda group: group[0])[:LISTED]
  )
  more = f"; and {len(groups) - LISTED} more" if len(groups) > LISTED else ""
  return (
    f"Conflicting labels: {count} images are copies of one another under "
    f"different labels: {shown}{more}."
  )


def _named(data: image_source.ImageSource, index: int) -> str:
  """An example's name or id, with its label; training examples come first."""
  split, example_id, sources = "training", index, data.train_sources
  labels = data.train_labels
  if index >= len(labels):
    split, example_id, sources = "test", index - len(labels), data.test_sources
    labels = data.test_labels
  name = f"{split} example {example_id}"
  if sources is not None:
    name = image_source.shown(str(sources[example_id])) or name
  label = data.class_names[labels[example_id]]
  return f"{name} ({image_source.shown(label)})"
