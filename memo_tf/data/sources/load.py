"""Loads the data set that a study's settings name.

An example's id is its index in the order given here. `--dataset` is the name of
a data set that a package ships (`bundled`), `npz:FILE` (`npz`), `folder:DIR`
(`folder`), or any image-classification data set of TensorFlow Datasets (`tfds`,
which also covers our own builder, `tiny_imagenet`).
"""

import dataclasses
import pathlib
import typing

import numpy as np

from memo_tf.data.sources import bundled
from memo_tf.data.sources import folder as folder_lib
from memo_tf.data.sources import image_source
from memo_tf.data.sources import image_stream
from memo_tf.data.sources import labels as labels_lib
from memo_tf.data.sources import npz
from memo_tf.data.sources import part
from memo_tf.data.sources import tfds
from memo_tf.data.sources import tfds_stream
from memo_tf.experiment import errors
from memo_tf.experiment import random_streams
from memo_tf.experiment import settings as settings_lib

_Source = typing.TypeVar("_Source", bound=image_source.ImageSource)


def load(
  config: settings_lib.DataConfig, seed: int = 0, *, whole: bool = False
) -> image_source.ImageDataset:
  """Loads a data set into memory.

  Args:
    config: of the data.
    seed: of the study, for the test set and the part of the training set that
      are drawn (`--test_fraction`, `--num_examples`).
    whole: nothing is drawn, and there need be no test set.

  Raises:
    UsageError: if it is unknown, is not available, or is not what a study
      takes; one line that says what to do.
  """
  if config.dataset in bundled.LOADERS:
    return _finished(bundled.LOADERS[config.dataset](), config, seed, whole)
  kind, _, name = config.dataset.partition(":")
  if kind == "npz":
    path = pathlib.Path(config.data_dir, name)
    data = npz.load(path, channels_first=config.channels_first)
    return _finished(data, config, seed, whole)
  if kind == "folder":
    opened = folder_lib.open_folder(config, seed, whole=whole)
    return of_folder(opened, as_stream=False, whole=whole)
  builder = tfds.prepared_builder(config)
  data = tfds.read(builder, config.dataset, config)
  return _finished(data, config, seed, whole)


def stream(
  config: settings_lib.DataConfig, seed: int = 0, *, whole: bool = False
) -> image_stream.ImageStream:
  """A data set whose images are read from its files, when they are written.

  Args:
    config: of the data: not of a set that a package or an .npz file holds.
    seed: of the study.
    whole: as `load`.

  Raises:
    UsageError: as `load`.
  """
  if config.dataset.startswith("folder:"):
    opened = folder_lib.open_folder(config, seed, whole=whole)
    return of_folder(opened, as_stream=True, whole=whole)
  builder = tfds.prepared_builder(config)
  data = tfds_stream.read(builder, config.dataset, config)
  return _finished(data, config, seed, whole)


@typing.overload
def of_folder(
  folder: folder_lib.Folder,
  *,
  as_stream: typing.Literal[False],
  whole: bool = ...,
) -> image_source.ImageDataset: ...
@typing.overload
def of_folder(
  folder: folder_lib.Folder,
  *,
  as_stream: typing.Literal[True],
  whole: bool = ...,
) -> image_stream.ImageStream: ...
def of_folder(
  folder: folder_lib.Folder, *, as_stream: bool, whole: bool = False
) -> image_source.ImageDataset | image_stream.ImageStream:
  """The data set of a folder that was opened, in memory or as a stream.

  Raises:
    UsageError: as `load`.
  """
  config = folder.config
  data = folder.stream() if as_stream else folder.load()
  data.check_classes()
  if folder.has_drawn_test:
    config = dataclasses.replace(config, test_fraction=0.0)
  return _finished(data, config, folder.seed, whole)


def is_array(config: settings_lib.DataConfig) -> bool:
  """Whether a package or file holds the data as arrays, read all at once."""
  return config.dataset in bundled.LOADERS or config.dataset.startswith("npz:")


def _finished(
  data: _Source, config: settings_lib.DataConfig, seed: int, whole: bool
) -> _Source:
  """The data set with the test set, size, labels and part asked for; checked.

  Raises:
    UsageError: as `load`.
  """
  if whole:
    data = data.resized(config.image_size)
    data.check_labels()
    return data
  if config.test_fraction:
    data = _with_drawn_test(data, config.test_fraction, seed)
  if not len(data.test_labels):
    raise errors.UsageError(
      f"{data.name} has no test examples; --test_fraction=0.2 sets a fifth of "
      "the training examples aside. Received: --test_fraction=0"
    )
  data = data.resized(config.image_size)
  data.check()
  if config.labels_file:
    labels = labels_lib.read(config.labels_file, len(data.train_labels))
    data = dataclasses.replace(
      data, train_labels=labels, clean_labels=data.train_labels
    )
    data.check_labels(f"--labels_file={config.labels_file}: ")
  if config.num_examples:
    data = _part(data, config.num_examples, seed)
  if config.max_examples:
    data = _at_most(data, config.max_examples, seed)
  return data


def _with_drawn_test(data: _Source, fraction: float, seed: int) -> _Source:
  """Takes a random part of the training examples as the test set.

  Raises:
    UsageError: if no training or no test examples would be left.
  """
  count = len(data.train_labels)
  size = round(fraction * count)
  if not 0 < size < count:
    raise errors.UsageError(
      f"--test_fraction must leave training and test examples of the {count}. "
      f"Received: --test_fraction={fraction}"
    )
  if data.train_sources is None:
    names = np.arange(count).astype(str)
    data = dataclasses.replace(data, train_sources=names)
  chosen = random_streams.generator(seed, "test_split").permutation(count)
  return dataclasses.replace(
    data.selected(np.sort(chosen[size:]), np.sort(chosen[:size])),
    order=(
      f"{data.order}; {size} drawn at random (seed {seed}) are the test set"
    ),
  )


def _part(data: _Source, size: int, seed: int) -> _Source:
  """A stratified part of the training examples.

  Raises:
    UsageError: as `part.draw`.
  """
  own = data.train_labels if data.clean_labels is None else data.clean_labels
  kept = part.draw(own, len(data.class_names), size, seed)
  return dataclasses.replace(
    data.selected(kept),
    source_indices=kept,
    order=part.order_after_draw(data.order, size, len(own), seed),
  )


def _at_most(data: _Source, limit: int, seed: int) -> _Source:
  """At most `limit` training and `limit` test examples, stratified."""
  num_classes = len(data.class_names)
  own = data.train_labels if data.clean_labels is None else data.clean_labels
  if len(own) > limit:
    rng = random_streams.generator(seed, "max_examples", "train")
    kept = part.stratified(own, num_classes, limit, rng)
    before = data.source_indices
    data = dataclasses.replace(
      data.selected(kept),
      source_indices=kept if before is None else before[kept],
      order=part.order_after_draw(data.order, limit, len(own), seed),
    )
  if len(data.test_labels) > limit:
    rng = random_streams.generator(seed, "max_examples", "test")
    labels = data.test_labels
    data = data.with_test(part.stratified(labels, num_classes, limit, rng))
  return data
