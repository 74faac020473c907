"""What a worker keeps between units: the data set and the traced trainers."""

import collections
import functools

import tensorflow as tf

from memo_tf.compression import compressor as compressor_lib
from memo_tf.data import pipeline
from memo_tf.data.stored import reader
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.models import own
from memo_tf.running import peers
from memo_tf.running.unit import machine
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import environments
from memo_tf.store import own_sources
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

# Traced trainers that a worker keeps; units come model by model.
MAX_TRAINERS = 2


class Session:
  """What a worker keeps from unit to unit.

  Args:
    config: of the study.
    directory: of the study.
    data: the data set; default: read from the directory.

  Attributes:
    config: as given.
    directory: as given.
    data: the data set.
    images: `[N, H, W, channels]`, the training images: on the device once, for
      all runs; or on disk, if they are streamed.
    labels: int32 `[N]`, on the device.
    test_images: `[T, H, W, channels]`, as `images`.
    own_models: the user's own models.
    own_checked: what was found of each when it was checked, by name.
    environment: what trains the runs, as `environments.kind` takes it.
    strategy: that runs train under.
    jit_compile: whether XLA compiles training and prediction.
    writes: whether this process writes runs. Of several processes that train
      a run together, only the first does.
  """

  def __init__(
    self,
    config: config_lib.StudyConfig,
    directory: directory_lib.StudyDirectory,
    data: reader.ArrayDataset | None = None,
  ):
    self.config = config
    self.directory = directory
    if data is None:
      info = dataset_info.read_info(directory)
      dataset_info.check_made_from(directory, info, config)
      data = reader.read_dataset(directory, config.running)
    self.data = data
    self.own_models = own.OwnModels(
      own_sources.read(directory, config), config.models.own_inputs
    )
    self.own_checked = own_sources.checked(directory)
    self.environment = {
      "versions": environments.versions(),
      "machine": machine.machine(),
    }
    self.strategy = distribution.make_strategy(config.running.strategy)
    self.jit_compile = distribution.jit_compile(
      config.running.jit_compile, self.strategy
    )
    self.writes = config.running.strategy != "multi_worker" or peers.is_first()
    self.images = pipeline.on_device(self.data.train_images)
    self.test_images = pipeline.on_device(self.data.test_images)
    self.labels = tf.constant(self.data.train_labels)
    self._trainers: collections.OrderedDict[
      tuple[str, recipes.Recipe], trainer_lib.Trainer
    ] = collections.OrderedDict()

  @functools.cached_property
  def compressor(self) -> compressor_lib.Compressor:
    """What compresses models: one child process, as long as this one."""
    return compressor_lib.Compressor(
      self.config.running.threads_per_unit,
      self.directory.root / "work" / "compression.log",
    )

  def trainer(self, model: str, recipe: recipes.Recipe) -> trainer_lib.Trainer:
    """The trainer of a model and recipe, traced once."""
    key = (model, recipe)
    if key not in self._trainers:
      while len(self._trainers) >= MAX_TRAINERS:
        self._trainers.popitem(last=False)
      self._trainers[key] = trainer_lib.Trainer(
        model,
        recipe,
        image_shape=self.data.image_shape,
        num_classes=self.data.num_classes,
        mean=self.data.mean,
        std=self.data.std,
        strategy=self.strategy,
        jit_compile=self.jit_compile,
        image_type=self.data.image_type,
        own_models=self.own_models,
      )
    self._trainers.move_to_end(key)
    return self._trainers[key]
