"""Streamed input at ImageNet's shape, against plain tf.data on the same subset.

    python benchmarks/streaming.py [--num_images=6000] [--rounds=15]
                                   [--seconds=3] [--threads=1]

Writes JPEG files of 224x224 pixels (random crops of scikit-learn's two sample
photographs, mirrored, with varying brightness and quality), prepares them as
the launcher does (`--dataset=folder:… --storage=stream`), and takes the first
subset of 70 %.

*Ours* is the input of a run as the trainer uses it: the order of an epoch over
the subset, read by id from all shards, decoded, gathered into batches, and
given to a model that does nothing. *Plain tf.data* has TFRecords of that subset
only, in order: TFRecordDataset, parse, decode, batch, prefetch, to the same
model, in each of its ways of using the same threads. Slices of whole epochs are
paired as in `pairing.py`.

Then, for ours alone: resident memory at ten points of an epoch, after one epoch
of warm-up; and seconds per example over subsets of 10, 30 and 70 %, relative to
70 %.
"""

import argparse
from collections.abc import Callable
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pairing

from memo_tf.experiment import settings as settings_lib
from memo_tf.processes import environment as environment_lib

ROOT = pathlib.Path(__file__).resolve().parents[1]
SIDE, BATCH = 224, 128
RATIOS = (0.1, 0.3, 0.7)
BARE = ("fixed", "autotuned", "own threads")


def make_files(folder: pathlib.Path, count: int) -> None:
  """Writes `train/CLASS/n.jpg`, and a few of `test`."""
  from sklearn import datasets
  import tensorflow as tf

  photographs = datasets.load_sample_images().images
  rng = np.random.default_rng(0)
  for n in range(count + 20):
    target = folder / ("train" if n < count else "test") / f"class{n % 10}"
    target.mkdir(parents=True, exist_ok=True)
    image = photographs[n % 2]
    top = rng.integers(image.shape[0] - SIDE + 1)
    left = rng.integers(image.shape[1] - SIDE + 1)
    crop = image[top : top + SIDE, left : left + SIDE]
    crop = crop[:, :: rng.choice([-1, 1])] * rng.uniform(0.7, 1.0)
    content = tf.io.encode_jpeg(
      crop.astype(np.uint8), quality=int(rng.integers(85, 97))
    )
    (target / f"{n:06d}.jpg").write_bytes(content.numpy())


def prepare(folder: pathlib.Path, count: int) -> None:
  """Writes a study's `dataset/` and, for plain tf.data, the subset alone."""
  import tensorflow as tf

  from memo_tf.data import prepare as prepare_lib
  from memo_tf.data.stored import reader
  from memo_tf.data.stored import shards
  from memo_tf.experiment import config as config_lib
  from memo_tf.store import directory as directory_lib

  make_files(folder / "files", count)
  running = settings_lib.RunningConfig(storage="stream")
  config = config_lib.StudyConfig(
    data=settings_lib.DataConfig(
      dataset=f"folder:{folder / 'files'}", find_duplicates="off"
    ),
    running=running,
  )
  directory = directory_lib.StudyDirectory(folder)
  info = prepare_lib.write_dataset(config, directory)
  if info["encoding"]["images_as_published"] != count + 20:
    raise RuntimeError(f"files were re-encoded: {info['encoding']}")
  data = reader.read_dataset(directory, running)
  ids = members(count, 0.7)
  with tf.io.TFRecordWriter(str(folder / "subset.tfrecord")) as writer:
    records = data.train_images.records.read(ids)
    for n, content in zip(ids, records):
      writer.write(shards.encode_example(n, data.train_labels[n], content))


def members(count: int, ratio: float) -> np.ndarray:
  """The ids of the first subset of a ratio."""
  from memo_tf.experiment import subsets

  family = subsets.parse_family(f"r{ratio:.2f}")
  return np.flatnonzero(family.in_mask(count, 1, 0)[0])


def nothing() -> Callable:
  """A model that gathers batches and does nothing with them."""
  import tensorflow as tf

  @tf.function(
    input_signature=[
      tf.TensorSpec([None, SIDE, SIDE, 3], tf.uint8),
      tf.TensorSpec([None, BATCH], tf.int32),
    ]
  )
  def run(images: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    total = tf.constant(0)
    for step in tf.range(tf.shape(positions)[0]):
      batch = tf.gather(images, positions[step])
      total += tf.cast(batch[0, 0, 0, 0], tf.int32)
    return total

  return run


class Ours:
  """The streamed input of a run, as the trainer uses it."""

  def __init__(self, folder: pathlib.Path, threads: int):
    import tensorflow as tf

    from memo_tf.data.stored import reader
    from memo_tf.store import directory as directory_lib

    running = settings_lib.RunningConfig(
      storage="stream", threads_per_unit=threads
    )
    directory = directory_lib.StudyDirectory(folder)
    self._data = reader.read_dataset(directory, running)
    self._labels = tf.constant(self._data.train_labels)
    self._count = len(self._data.train_labels)
    self._model = nothing()
    self._epoch = 0

  def epoch(
    self,
    ratio: float = 0.7,
    on_part: Callable[[float], None] = lambda done: None,
  ) -> int:
    """Runs one epoch and returns its number of images."""
    from memo_tf.data import pipeline
    from memo_tf.training import trainer

    ids = members(self._count, ratio)
    order = pipeline.epoch_order(
      len(ids), BATCH, seed=0, family="r", index=0, epoch=self._epoch
    )
    self._epoch += 1
    example_ids = ids[order].astype(np.int32)
    parts = trainer.parts(self._data.train_images, self._labels, example_ids)
    for steps, images, _, rows in parts:
      self._model(images, rows)
      on_part(steps.stop / len(example_ids))
    return example_ids.size


class Bare:
  """Plain tf.data over TFRecords that contain only the subset."""

  def __init__(self, folder: pathlib.Path, threads: int, way: str):
    import tensorflow as tf

    spec = {
      "id": tf.io.FixedLenFeature([], tf.int64),
      "label": tf.io.FixedLenFeature([], tf.int64),
      "image": tf.io.FixedLenFeature([], tf.string),
    }

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      parsed = tf.io.parse_single_example(record, spec)
      image = tf.io.decode_jpeg(parsed["image"], 3)
      return tf.ensure_shape(image, (SIDE, SIDE, 3)), parsed["label"]

    automatic = way == "autotuned"
    dataset = tf.data.TFRecordDataset(str(folder / "subset.tfrecord"))
    dataset = dataset.map(parse, tf.data.AUTOTUNE if automatic else threads)
    dataset = dataset.batch(BATCH, drop_remainder=True)
    dataset = dataset.prefetch(tf.data.AUTOTUNE if automatic else 1)
    if way == "own threads":
      options = tf.data.Options()
      options.threading.private_threadpool_size = threads
      options.threading.max_intra_op_parallelism = 1
      dataset = dataset.with_options(options)
    self._dataset, self._model = dataset, nothing()
    self._rows = np.arange(BATCH, dtype=np.int32)[None]

  def epoch(self) -> int:
    """Runs one epoch and returns its number of images."""
    count = 0
    for images, _ in self._dataset:
      self._model(images, self._rows)
      count += len(images)
    return count


def contender(folder: pathlib.Path, threads: int, way: str) -> "Ours | Bare":
  """The source of a child process, with its threads set."""
  import tensorflow as tf

  tf.config.threading.set_intra_op_parallelism_threads(threads)
  tf.config.threading.set_inter_op_parallelism_threads(threads)
  if way == "ours":
    return Ours(folder, threads)
  return Bare(folder, threads, way)


def work(source: "Ours | Bare") -> Callable[[float], tuple[int, float]]:
  """Work for `pairing.serve`: whole epochs."""

  def run(seconds: float) -> tuple[int, float]:
    started, count = time.perf_counter(), 0
    while True:
      count += source.epoch()
      taken = time.perf_counter() - started
      if taken >= seconds:
        return count, taken

  return run


def resident_mb() -> float:
  """Resident memory of this process in megabytes."""
  pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
  return pages * 4096 / 1e6


def memory(source: Ours) -> list[float]:
  """Resident megabytes at ten points of an epoch, after a warm-up epoch."""
  source.epoch()
  found = []

  def on_part(done: float) -> None:
    if done * 10 >= len(found) + 1 - 1e-9:
      found.append(round(resident_mb(), 1))

  source.epoch(on_part=on_part)
  return found


def proportionality(source: Ours, rounds: int) -> dict[str, list[float]]:
  """Seconds per example at each ratio, relative to the largest ratio."""
  seconds = {ratio: [] for ratio in RATIOS}
  for ratio in RATIOS:
    source.epoch(ratio)
  for _ in range(rounds):
    for ratio in RATIOS:
      started, count = time.perf_counter(), 0
      while time.perf_counter() - started < 1:
        count += source.epoch(ratio)
      seconds[ratio].append((time.perf_counter() - started) / count)
  return {
    f"{ratio}": pairing.interval(np.divide(seconds[ratio], seconds[RATIOS[-1]]))
    for ratio in RATIOS
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--num_images", type=int, default=6000)
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--seconds", type=float, default=3.0)
  parser.add_argument("--threads", type=int, default=1)
  parser.add_argument("--child", default="")
  parser.add_argument("--folder", type=pathlib.Path)
  parser.add_argument("--alone", action="store_true")
  arguments = parser.parse_args()
  threads = arguments.threads
  if arguments.child:
    source = contender(arguments.folder, threads, arguments.child)
    if arguments.alone:
      found = memory(source), proportionality(source, arguments.rounds)
      print(json.dumps(found))
    else:
      pairing.serve(work(source))
    return

  environment = environment_lib.environment(threads)
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    print("preparing", file=sys.stderr, flush=True)
    prepare(folder, arguments.num_images)

    def command(way: str) -> list[str]:
      own = [f"--child={way}", f"--folder={folder}", f"--threads={threads}"]
      return [sys.executable, __file__, *own]

    ours, *peers = (
      pairing.Contender(
        f"plain tf.data, {way}, threads: {threads}",
        command(way),
        1,
        environment,
      )
      for way in ("ours", *BARE)
    )
    found = pairing.compare(
      ours, peers, rounds=arguments.rounds, seconds=arguments.seconds
    )
    alone = subprocess.run(
      [*command("ours"), "--alone", f"--rounds={arguments.rounds}"],
      env=environment,
      stdout=subprocess.PIPE,
      text=True,
      check=True,
    )
  megabytes, shares = json.loads(alone.stdout.strip().splitlines()[-1])
  print("resident MB during an epoch:", *megabytes)
  for ratio, interval in shares.items():
    print(f"seconds per example at ratio {ratio}, relative to 0.7:", interval)
  pairing.report(
    "streaming/224x224-jpeg",
    found,
    "images/s",
    extra={
      "resident_mb": megabytes,
      "seconds_an_example_relative_to_0.7": shares,
      "threads": threads,
    },
  )


if __name__ == "__main__":
  main()
