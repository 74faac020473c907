"""Made-up images, written to shards and opened again."""

import pathlib

import numpy as np

from memo_tf.data import encoding
from memo_tf.data.stored import images as images_lib
from memo_tf.data.stored import records as records_lib
from memo_tf.data.stored import shards

RNG = np.random.default_rng(0)
COUNT, SHAPE = 90, (12, 10, 3)
IMAGES = RNG.integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)
LABELS = RNG.integers(0, 4, COUNT).astype(np.int32)


def store(test, kind: str = "png", images=IMAGES) -> images_lib.StoredImages:
  """Images written to shards, in a random order, and opened again."""
  folder = pathlib.Path(test.create_tempdir().full_path, "shards")
  folder.mkdir()
  with shards.Writer(folder, "train", len(images)) as writer:
    for n in RNG.permutation(len(images)):
      content = encoding.encode(images[n], kind)
      writer.add(int(n), int(LABELS[n % COUNT]), content)
    writer.finish()
  return open_stored(folder, kind, images.shape[1:])


def open_stored(folder, kind, shape) -> images_lib.StoredImages:
  index = np.load(folder / "train-index.npy")
  paths = sorted(folder.glob("*.tfrecord"))
  found = records_lib.Records(index, paths)
  return images_lib.StoredImages(found, kind, shape)


def shard_of(stored: images_lib.StoredImages) -> pathlib.Path:
  return stored.records._paths[0]
