"""Duplicates in a data set: train-train, and train-test (leakage).

An example whose twin is in the subset is not really held out, so its
memorization is estimated too low (Feldman & Zhang, 2020, section 3). A twin in
the test set makes influence and test accuracy too high (Barz & Denzler, 2020,
arXiv:1902.00423, found such twins for 3 % and 10 % of the test images of
CIFAR-10 and CIFAR-100). So duplicates are looked for once and flagged.

*Equal* images have the same pixels. *Near* ones have a small distance:

    d(a, b) = the least |u(shift(a)) - u(b)| over the nine shifts by up to a
              pixel, and the same with a and b exchanged

where u shrinks an image to at most 16x16 by averaging, subtracts its mean and
divides by its length, so that neither brightness nor contrast counts; d is in
[0, 2], and d^2 = 2 - 2 * correlation. An image without contrast has no u, and
so only equal twins.

All pairs are compared in 32 dimensions first: projecting on the images'
principal components can only bring two images nearer, so a pair too far apart
there is too far apart. Only the other pairs are compared in full, and no pair
within the distance is lost. Memory is that of a tile of pairs, not of all.
"""

import dataclasses

import numpy as np

from memo_tf.store import files

KINDS = ("near", "exact", "off")
SIDE = 16
COMPONENTS = 32
# No u below this standard deviation, in units of a white pixel.
FLAT = 0.01
# How many images, evenly spaced, give the principal components.
_SAMPLE = 4096
_KEYS, _QUERIES = 2048, 1024
_SHIFTS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1))


def find(
  train_images: np.ndarray,
  test_images: np.ndarray,
  max_pixel: int,
  *,
  kind: str = "near",
  distance: float = 0.1,
  digests: list[bytes] | None = None,
) -> dict[str, np.ndarray]:
  """Finds each example's duplicate among the training and the test examples.

  Takes (N + T)^2 comparisons for `near` (docs/method.md has the time), and one
  pass over the images for `exact`.

  Args:
    train_images: `[N, H, W, channels]` of an integer type.
    test_images: `[T, H, W, channels]`.
    max_pixel: the value of a white pixel.
    kind: one of `KINDS`.
    distance: the largest one of near duplicates, in (0, 1].
    digests: `[N + T]`, of the pixels that equal images share, if the images
      given are only small pictures of them; None: of the images given.

  Returns:
    Columns of `examples.parquet`, int64 `[N + T]`, the training examples first:
    the id of a duplicate, or -1 if there is none. `duplicate_of_train` and
    `duplicate_of_test`: the lowest id of another example with the same pixels.
    `near_duplicate_of_train` and `near_duplicate_of_test`: the nearest within
    the distance, equal ones included; not for `exact`. Test examples are not
    compared with each other. Nothing for `off`.

  Raises:
    ValueError: for an unknown kind, or a distance outside (0, 1].
  """
  if kind not in KINDS:
    raise ValueError(
      f"`kind` must be one of {', '.join(KINDS)}. Received: kind={kind!r}"
    )
  if not 0 < distance <= 1:
    raise ValueError(
      f"`distance` must be in (0, 1]. Received: distance={distance}"
    )
  if kind == "off":
    return {}
  images = _Images(train_images, test_images)
  if digests is None:
    digests = _digests(images)
  of_train, of_test = _equal(digests, len(images.train))
  columns = {"duplicate_of_train": of_train, "duplicate_of_test": of_test}
  if kind == "near":
    nearest = _Nearest(images, of_train, of_test)
    _compare_all(images, max_pixel, distance, nearest)
    columns["near_duplicate_of_train"] = nearest.of_train
    columns["near_duplicate_of_test"] = nearest.of_test
  return columns


def descriptors(images: np.ndarray, max_pixel: int) -> np.ndarray:
  """The u of some images: float32 `[n, D]`, rows of length 1, or 0 if flat."""
  small = images.astype(np.float32) / max_pixel
  for axis in (1, 2):
    size = small.shape[axis]
    side = min(SIDE, size)
    edges = np.arange(side + 1) * size // side
    sums = np.add.reduceat(small, edges[:-1], axis=axis)
    shape = [1] * small.ndim
    shape[axis] = side
    small = sums / np.diff(edges).astype(np.float32).reshape(shape)
  flat = small.reshape(len(small), -1)
  flat = flat - flat.mean(axis=1, keepdims=True)
  length = np.linalg.norm(flat, axis=1, keepdims=True)
  has_contrast = length > FLAT * np.sqrt(flat.shape[1])
  return np.where(has_contrast, flat / np.maximum(length, 1e-9), 0.0)


def shifted(images: np.ndarray, rows: int, columns: int) -> np.ndarray:
  """Images `[n, H, W, channels]` moved by some pixels, the edge repeated."""
  height, width = images.shape[1:3]
  down = np.clip(np.arange(height) - rows, 0, height - 1)
  right = np.clip(np.arange(width) - columns, 0, width - 1)
  return images[:, down][:, :, right]


@dataclasses.dataclass(frozen=True)
class _Images:
  """Training and test images as one row of N + T, without a copy."""

  train: np.ndarray
  test: np.ndarray

  def __len__(self) -> int:
    return len(self.train) + len(self.test)

  def __getitem__(self, rows: slice) -> np.ndarray:
    split = len(self.train)
    if rows.stop <= split:
      return self.train[rows]
    if rows.start >= split:
      return self.test[rows.start - split : rows.stop - split]
    return np.concatenate(
      [self.train[rows.start :], self.test[: rows.stop - split]]
    )

  def blocks(self, size: int) -> list[slice]:
    starts = range(0, len(self), size)
    return [slice(start, min(start + size, len(self))) for start in starts]


def _digests(images: _Images) -> list[bytes]:
  """`[N + T]`, of each image's pixels."""
  return [
    files.digest_bytes(np.ascontiguousarray(image)).encode()
    for block in images.blocks(_QUERIES)
    for image in images[block]
  ]


def _equal(digests: list[bytes], split: int) -> tuple[np.ndarray, np.ndarray]:
  """int64 `[N + T]` each: the lowest other training, test id of equal pixels.

  Indices count the training examples first, of which there are `split`.
  """
  groups: dict[bytes, list[int]] = {}
  for index, digest in enumerate(digests):
    groups.setdefault(digest, []).append(index)
  of_train = np.full(len(digests), -1)
  of_test = np.full(len(digests), -1)
  for equal in groups.values():
    for index in equal if len(equal) > 1 else ():
      # They are in ascending order, so the first other one is the lowest.
      lowest = next(other for other in equal[:2] if other != index)
      of_train[index] = lowest if lowest < split else -1
      if index < split and equal[-1] >= split:
        of_test[index] = next(i for i in equal if i >= split) - split
  return of_train, of_test


class _Nearest:
  """The nearest training and test example so far, for each of N + T."""

  def __init__(
    self, images: _Images, equal_train: np.ndarray, equal_test: np.ndarray
  ):
    self._split = len(images.train)
    self.of_train, self.of_test = equal_train.copy(), equal_test.copy()
    self._to_train = np.where(equal_train >= 0, 0.0, np.inf)
    self._to_test = np.where(equal_test >= 0, 0.0, np.inf)

  def update(
    self, indices: np.ndarray, others: np.ndarray, found: np.ndarray
  ) -> None:
    """Takes in pairs, `[p]` each: an index, another one, their distance."""
    # The nearest of each index first; equal distances go to the lowest id.
    order = np.lexsort((others, found, indices))
    for is_train in (True, False):
      of = self.of_train if is_train else self.of_test
      to = self._to_train if is_train else self._to_test
      # Test examples are not compared with each other.
      allowed = (others < self._split) == is_train
      allowed &= is_train | (indices < self._split)
      pairs = order[allowed[order]]
      first = np.unique(indices[pairs], return_index=True)[1]
      best = pairs[first]
      index = indices[best]
      other = others[best] - (0 if is_train else self._split)
      closer = found[best] < to[index]
      closer |= (found[best] == to[index]) & (other < of[index])
      to[index[closer]] = found[best][closer]
      of[index[closer]] = other[closer]


def _compare_all(
  images: _Images, max_pixel: int, distance: float, nearest: _Nearest
) -> None:
  """Compares every image with every shifted image, tile by tile."""
  basis = _principal_components(images, max_pixel)
  queries = [
    (block, _projected(descriptors(images[block], max_pixel), basis))
    for block in images.blocks(_QUERIES)
  ]
  # Rounding must lose no pair: a little more than the distance.
  bound = -((distance + 1e-3) ** 2) / 2
  for keys in images.blocks(_KEYS):
    for rows, columns in _SHIFTS:
      full = descriptors(shifted(images[keys], rows, columns), max_pixel)
      small = _projected(full, basis)
      small = np.concatenate(
        [small[:, :-2], small[:, -1:], small[:, -2:-1]], axis=1
      ).T.copy()
      for block, projected in queries:
        # p.q - |p|^2 / 2 - |q|^2 / 2, that is minus half the distance squared.
        scores = projected @ small
        if scores.max() >= bound:
          candidates = scores >= bound
          _compare_fully(
            images, max_pixel, distance, nearest, block, keys, full, candidates
          )


def _compare_fully(
  images: _Images,
  max_pixel: int,
  distance: float,
  nearest: _Nearest,
  block: slice,
  keys: slice,
  full: np.ndarray,
  candidates: np.ndarray,
) -> None:
  """Takes in the pairs of a tile that really are within the distance."""
  some_rows = np.flatnonzero(candidates.any(axis=1))
  some_keys = np.flatnonzero(candidates.any(axis=0))
  # Computed again: those of all images would not fit in memory.
  own = descriptors(images[block][some_rows], max_pixel)
  other = full[some_keys]
  squared = 2.0 - 2.0 * (own @ other.T)
  has_contrast = np.outer(own.any(axis=1), other.any(axis=1))
  near = has_contrast & (squared <= distance**2)
  rows, columns = np.nonzero(near)
  indices = block.start + some_rows[rows]
  others = keys.start + some_keys[columns]
  found = np.sqrt(np.maximum(squared[rows, columns], 0.0))
  differ = indices != others
  indices, others, found = indices[differ], others[differ], found[differ]
  if len(indices):
    nearest.update(indices, others, found)
    nearest.update(others, indices, found)


def _principal_components(images: _Images, max_pixel: int) -> np.ndarray:
  """float32 `[D, k]`: orthonormal directions of most variance."""
  step = max(1, len(images) // _SAMPLE)
  parts = [
    descriptors(images[block][:: min(step, _QUERIES)], max_pixel)
    for block in images.blocks(_QUERIES)
  ]
  sample = np.concatenate(parts).astype(np.float64)
  _, vectors = np.linalg.eigh(sample.T @ sample)
  return vectors[:, ::-1][:, :COMPONENTS].astype(np.float32)


def _projected(full: np.ndarray, basis: np.ndarray) -> np.ndarray:
  """float32 `[n, k + 2]`: p, then minus half of |p|^2, then 1.

  An image without contrast is far away from all others.
  """
  small = full @ basis
  half = -0.5 * (small**2).sum(axis=1, keepdims=True)
  half[~full.any(axis=1)] = -1e6
  return np.concatenate([small, half, np.ones_like(half)], axis=1)
