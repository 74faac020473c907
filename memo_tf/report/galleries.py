"""Tiles of example images: the most memorized ones and influential pairs."""

import collections

import numpy as np

from memo_tf.report import figures
from memo_tf.scoring import groups

GALLERY_SIZE = 40
MAX_Q_VALUE = 0.05


def picture(
  images: np.ndarray | None,
  row: int,
  info: dict,
  *,
  label: int,
  split: str = "training",
) -> dict[str, str]:
  """One image of a tile, as the template `tile.html` takes it.

  Args:
    images: `[N + T, H, W, channels]`, training images first; None leaves the
      image out.
    row: index into `images`.
    info: the data set's `info.json`.
    label: the given label, an index of a class.
    split: "training" or "test".

  Returns:
    `name` ("training image 3"), `label` (the class name) and `uri` (a PNG data
    URI; "" without images).
  """
  first = info["num_train"] if split == "test" else 0
  uri = ""
  if images is not None:
    uri = figures.image_uri(images[row], info["max_pixel"])
  return {
    "name": f"{split} image {row - first}",
    "label": info["class_names"][label],
    "uri": uri,
  }


def most_memorized(
  result: groups.GroupScores,
  info: dict,
  images: np.ndarray | None,
  eligible: np.ndarray,
) -> list[dict]:
  """The most memorized of the eligible examples, at most `GALLERY_SIZE`.

  Args:
    result: the scores of a group.
    info: the data set's `info.json`.
    images: as in `picture`.
    eligible: `[N]` bool, the examples to choose from.

  Returns:
    One entry per example, highest score first: image, labels, score, interval.
  """
  scores = result.scores
  eligible = eligible & ~np.isnan(scores.memorization)
  values = np.where(eligible, scores.memorization, -np.inf)
  # Many scores are tied: order ties by the mean margin of held-out runs.
  margin = np.where(result.stack.in_mask, np.nan, result.stack.margin)
  counts = np.maximum((~np.isnan(margin)).sum(axis=0), 1)
  hardness = np.nansum(margin, axis=0) / counts
  order = np.lexsort((hardness, -values))[:GALLERY_SIZE]
  names, tiles, plant = info["class_names"], [], result.plant()
  for n in order[np.isfinite(values[order])]:
    row = result.examples.iloc[n]
    outside = result.stack.predicted[~result.stack.in_mask[:, n], n]
    usual = collections.Counter(outside.tolist()).most_common(1)[0][0]
    tiles.append(
      {
        "id": int(n),
        "image": picture(images, int(n), info, label=row["label"]),
        "clean_label": names[row["clean_label"]],
        "is_noisy": bool(row["is_noisy"]),
        "plant": plant[n].replace("_", " "),
        "held_out_label": names[usual],
        "memorization": scores.memorization[n],
        "ci_low": scores.ci_low[n],
        "ci_high": scores.ci_high[n],
      }
    )
  return tiles


def influential_pairs(
  result: groups.GroupScores, info: dict, images: np.ndarray | None
) -> list[dict]:
  """The most influential pairs of a group, at most `GALLERY_SIZE`.

  Args:
    result: the scores of a group.
    info: the data set's `info.json`.
    images: as in `picture`.

  Returns:
    One entry per pair: both images, influence, standard error, q-value.
  """
  pairs = result.influence
  if pairs is None:
    return []
  stack = result.stack
  num_train = len(stack.labels)
  tiles = []
  for p in range(min(len(pairs), GALLERY_SIZE)):
    n, t = int(pairs.train_ids[p]), int(pairs.test_ids[p])
    tiles.append(
      {
        "train_id": n,
        "test_id": t,
        "train_image": picture(images, n, info, label=stack.labels[n]),
        "test_image": picture(
          images,
          num_train + t,
          info,
          label=stack.test_labels[t],
          split="test",
        ),
        "influence": pairs.influence[p],
        "standard_error": pairs.standard_error[p],
        "q_value": pairs.q_value[p],
        "may_be_chance": bool(pairs.q_value[p] > MAX_Q_VALUE),
      }
    )
  return tiles
