"""The training loop: one trace, many runs.

A worker builds model and loop once per (model, recipe) and, for every run, only
sets the variables again: tracing costs more than a short run. A whole epoch is
one call of one `tf.function` (with images that stay on disk, one call for as
many steps as memory holds): batches are gathered on the device, each step runs
under `strategy.run`, and `optimizer` updates each variable with one fused op.

With several replicas (mirrored, multi_worker) each takes its share of every
batch, gradients are summed, and every replica makes the same update.

The order of operations in `Trainer.step` determines the results of recorded
studies to the bit: do not change it.
"""

# Over 350 lines: the loop is read as one, in the order of its operations.

from collections.abc import Iterator
import functools
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from memo_tf import distillation
from memo_tf import models
from memo_tf.data import augmentation
from memo_tf.data import pipeline
from memo_tf.data.stored import images as images_lib
from memo_tf.experiment import model_names
from memo_tf.experiment import random_streams
from memo_tf.experiment import recipes
from memo_tf.models import last_layer
from memo_tf.models import own
from memo_tf.training import inference
from memo_tf.training import initialization
from memo_tf.training import optimizer as optimizer_lib


class EpochResult(NamedTuple):
  """What training through one epoch gave.

  Attributes:
    loss: mean over the epoch's batches, in nats, without weight decay.
    accuracy: in [0, 1], mean over the epoch's batches.
    logits: float32 `[steps, B, C]` of each batch, if they were asked for.
  """

  loss: float
  accuracy: float
  logits: np.ndarray | None


class Trainer:
  """Trains one model by one recipe, run after run.

  Args:
    model_name: as in `models.build_model`.
    recipe: how to train.
    image_shape: `(H, W, channels)` of the images.
    num_classes: C.
    mean, std: float32 `[channels]`, the normalization.
    strategy: that the model is trained under.
    jit_compile: whether XLA compiles epochs and predictions. Always stated:
      Keras's "auto" would turn it off silently.
    image_type: of the pixels, `uint8` or `uint16`.
    own_models: the user's own models, of which the model may be one.

  Attributes:
    recipe: as given.
    model: the `keras.Model`, as trained so far.
    optimizer: with the momenta, as trained so far.
    teacher: the model that a distilled recipe learns from, or None. Its weights
      are set from outside, in each run to those of the run's own teacher.
    parameters: the number of the model's trainable parameters, also of those
      that a frozen recipe keeps.

  Raises:
    ValueError: if the batch size is not a multiple of the replicas, or an own
      model cannot be built, draws at random on several replicas, or has no
      last layer that a frozen recipe could train.
  """

  def __init__(
    self,
    model_name: str,
    recipe: recipes.Recipe,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    mean: np.ndarray,
    std: np.ndarray,
    strategy: tf.distribute.Strategy,
    jit_compile: bool = False,
    image_type: str = "uint8",
    own_models: own.OwnModels | None = None,
  ):
    self.recipe, self._strategy = recipe, strategy
    self._replicas = strategy.num_replicas_in_sync
    if recipe.batch_size % self._replicas:
      raise ValueError(
        f"--batch_size must be a multiple of the {self._replicas} replicas. "
        f"Received: --batch_size={recipe.batch_size}"
      )
    self._mean, self._std = tf.constant(mean), tf.constant(std)
    shape: dict[str, Any] = {
      "image_shape": image_shape,
      "num_classes": num_classes,
      "precision": recipe.precision,
    }

    def build_own(name: str, seed: int) -> keras.Model:
      known = own_models or own.OwnModels()
      return known.build(name, seed, mean=mean, std=std, **shape)

    def build(name: str, **options) -> keras.Model:
      if model_names.is_own(name):
        return build_own(name, 0)
      momentum = recipe.batch_norm_momentum
      return models.build_model(
        name, batch_norm_momentum=momentum, **shape, **options
      )

    # Builds an own model anew for each run; None for a built-in model.
    self._build_again = None
    if model_names.is_own(model_name):
      self._build_again = functools.partial(build_own, model_name)
    with strategy.scope():
      self.model = build(
        model_name, synchronized=recipe.synchronized_batch_norm
      )
      self.parameters = models.count_parameters(self.model)
      # What is trained, and initialized in each run: all, or the last layer of
      # a model whose other weights are set from outside.
      self._trained: keras.Layer = self.model
      self._is_frozen = isinstance(recipe, recipes.FrozenRecipe)
      if self._is_frozen:
        self._trained = last_layer.freeze_others(self.model, num_classes)
      self.optimizer = optimizer_lib.MomentumOptimizer(self.model, recipe)
      self.teacher = None
      if isinstance(recipe, recipes.DistilledRecipe):
        self.teacher = build(recipe.teacher)
    self._soft_targets = None
    if isinstance(recipe, recipes.SmoothedRecipe):
      self._soft_targets = tf.constant(
        smoothed_targets(num_classes, recipe.smoothing),
        tf.float64 if recipe.precision == "float64" else tf.float32,
      )
    self._random_states = own.random_states(self.model)
    self._check_draws(model_name)
    self._predictor = inference.Predictor(
      self.model, mean, std, jit_compile, image_type
    )
    self._trace_later(image_shape, image_type, jit_compile)

  def _check_draws(self, model_name: str) -> None:
    """Refuses a model that draws at random if there are several replicas."""
    if self._random_states and self._replicas > 1:
      raise ValueError(
        f"{model_name} draws at random while it trains (Dropout or the like), "
        "which is not supported on several replicas: give "
        f"--strategy=one_device. Received: {self._replicas} replicas"
      )

  def _trace_later(self, image_shape, image_type, jit_compile) -> None:
    """Makes the functions of an epoch, each traced when it is first called."""
    signature = [
      tf.TensorSpec([None, *image_shape], image_type),
      tf.TensorSpec([None], tf.int32),
      tf.TensorSpec([None, self.recipe.batch_size], tf.int32),
      tf.TensorSpec([None], tf.float32),
      tf.TensorSpec([2], tf.float32),
    ]
    if self.recipe.augmentation != "none":
      signature.append(
        tf.TensorSpec([None, self.recipe.batch_size, 3], tf.int32)
      )
    # The second is traced only where a proxy asks for the batches' logits.
    self._epoch, self._epoch_with_logits = (
      tf.function(
        functools.partial(self._run_epoch, with_logits=with_logits),
        input_signature=signature,
        jit_compile=jit_compile,
      )
      for with_logits in (False, True)
    )
    self._average = tf.function(
      lambda: self._strategy.run(self._average_statistics),
      jit_compile=jit_compile,
    )

  def initialize(self, seed: int, unit_name: str) -> None:
    """Sets weights, statistics and momenta to those of a unit's start.

    Of a frozen recipe those of the last layer; the others stay as they are.

    Raises:
      ValueError: if an own model has other variables when it is built again.
    """
    if self._build_again:
      stream = random_streams.stream_seed(seed, "initialization", unit_name)
      own.copy_values(self._build_again(stream), self.model, self._trained)
    else:
      initialization.initialize(self._trained, seed, unit_name)
    self.optimizer.reset()

  def train_epoch(
    self,
    images: tf.Tensor | images_lib.StoredImages,
    labels: tf.Tensor,
    order: np.ndarray,
    rates: np.ndarray,
    views: np.ndarray | None = None,
    *,
    with_logits: bool = False,
  ) -> EpochResult:
    """Trains through the batches of one epoch.

    Args:
      images: `[n, H, W, channels]` on the device, or on disk: then they are
        decoded while the batches before them are trained on.
      labels: int32 `[n]`.
      order: int32 `[steps, B]`, indices in `images`.
      rates: float32 `[steps]`, learning rates.
      views: int32 `[steps, B, 3]`, as `augmentation.views` gives them; if the
        recipe augments.
      with_logits: whether to return the logits of every batch. The weights
        are the same to the bit either way.

    Returns:
      Loss, accuracy and logits of the epoch's batches, in training mode, each
      before its own step.
    """
    epoch = self._epoch_with_logits if with_logits else self._epoch
    sums, logits = tf.zeros([2]), []
    for steps, some, some_labels, indices in parts(images, labels, order):
      arguments = [some, some_labels, tf.constant(indices)]
      arguments += [tf.constant(rates[steps]), sums]
      if views is not None and self.recipe.augmentation != "none":
        arguments.append(tf.constant(views[steps]))
      sums, *some_logits = epoch(*arguments)
      logits += [tensor.numpy() for tensor in some_logits]
    if self._replicas > 1 and not self._is_frozen:
      self._average()
    loss, correct = sums.numpy()
    return EpochResult(
      loss=float(loss) / len(order),
      accuracy=float(correct) / order.size,
      logits=np.concatenate(logits) if with_logits else None,
    )

  def step(
    self, images: tf.Tensor, labels: tf.Tensor, rate: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Makes one step of SGD on a batch, inside a `tf.function`.

    Args:
      images: `[B, H, W, channels]`, raw pixels.
      labels: int32 `[B]`.
      rate: float32 scalar, the learning rate.

    Returns:
      Mean loss and number of correct predictions, float32 scalars, and the
      logits, float32 `[B, C]`, all before the step. On several replicas:
      B is this replica's share, and the losses of all replicas add up.
    """
    inputs = pipeline.normalize(images, self._mean, self._std)
    if self.teacher is not None:
      teacher_logits = self.teacher(inputs, training=False)
    is_whole = not self._is_frozen
    with tf.GradientTape(watch_accessed_variables=is_whole) as tape:
      if not is_whole:
        tape.watch(self.optimizer.weights)
      # Frozen layers have the statistics, and no noise, of the finished model.
      logits = self.model(inputs, training=is_whole)
      if logits.dtype != tf.float64:
        logits = tf.cast(logits, tf.float32)
      if self._soft_targets is not None:
        targets = tf.gather(self._soft_targets, labels)
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
      else:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
      if self.teacher is not None:
        losses = self._distilled(losses, logits, teacher_logits)
      loss = tf.reduce_mean(losses)
      if self._replicas > 1:
        loss /= self._replicas
    gradients = tape.gradient(loss, self.optimizer.weights)
    if self._replicas > 1:
      context = tf.distribute.get_replica_context()
      total = tf.distribute.ReduceOp.SUM
      gradients = context.all_reduce(total, gradients)
    self.optimizer.update(gradients, rate)
    hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
    correct = tf.reduce_sum(tf.cast(hits, tf.float32))
    return tf.cast(loss, tf.float32), correct, tf.cast(logits, tf.float32)

  def predict(self, images: tf.Tensor) -> np.ndarray:
    """float32 logits `[n, C]` of images, each once, in evaluation mode."""
    return self._predictor.logits(images)

  def state(self) -> dict[str, np.ndarray]:
    """Everything that the next step depends on, by name."""
    weights = self._trained.get_weights()
    state = {f"weight_{i}": w for i, w in enumerate(weights)}
    for i, velocity in enumerate(self.optimizer.velocities):
      state[f"velocity_{i}"] = velocity.numpy()
    for i, variable in enumerate(self._random_states):
      state[f"random_{i}"] = variable.numpy()
    return state

  def is_finite(self) -> bool:
    """Whether every weight and moving statistic is a number."""
    return all(np.isfinite(w).all() for w in self.model.get_weights())

  def set_state(self, state: dict[str, np.ndarray]) -> None:
    """Restores a `state()`."""
    count = len(self._trained.get_weights())
    self._trained.set_weights([state[f"weight_{i}"] for i in range(count)])
    for i, velocity in enumerate(self.optimizer.velocities):
      velocity.assign(state[f"velocity_{i}"])
    for i, variable in enumerate(self._random_states):
      variable.assign(state[f"random_{i}"])

  def _run_epoch(
    self, images, labels, order, rates, sums, views=None, *, with_logits
  ):
    """The steps of one call: `[2]` sums of loss and hits; `[steps, B, C]`."""
    steps, kept = tf.shape(order)[0], []
    if with_logits:
      shape = [self.recipe.batch_size, self.model.output_shape[-1]]
      kept = [tf.TensorArray(tf.float32, steps, element_shape=shape)]

    def body(step, loss, correct, *kept):
      batch = (order[step], rates[step])
      if views is not None:
        batch += (views[step],)
      found = self._strategy.run(
        self._share_of_step,
        args=(images, labels, *batch),
        kwargs={"with_logits": with_logits},
      )
      if self._replicas > 1:
        total = tf.distribute.ReduceOp.SUM
        found = [self._strategy.reduce(total, x, axis=None) for x in found]
      step_loss, step_correct, *logits = found
      kept = [array.write(step, x) for array, x in zip(kept, logits)]
      return step + 1, loss + step_loss, correct + step_correct, *kept

    _, loss, correct, *kept = tf.while_loop(
      lambda step, *_: step < steps,
      body,
      [tf.constant(0), sums[0], sums[1], *kept],
      parallel_iterations=1,
    )
    return tf.stack([loss, correct]), *(array.stack() for array in kept)

  def _share_of_step(
    self, images, labels, indices, rate, views=None, with_logits=False
  ):
    """One step on this replica's share of a batch.

    With logits: those of the whole batch, 0 where they are another replica's.
    """
    if self._replicas > 1:
      share = self.recipe.batch_size // self._replicas
      replica = tf.distribute.get_replica_context().replica_id_in_sync_group
      start = share * tf.cast(replica, tf.int32)
      indices = indices[start : start + share]
      views = None if views is None else views[start : start + share]
    pixels = tf.gather(images, indices)
    if views is not None:
      pixels = augmentation.pad_crop_flip(pixels, views)
    loss, correct, logits = self.step(pixels, tf.gather(labels, indices), rate)
    if not with_logits:
      return loss, correct
    if self._replicas > 1:
      rest = self.recipe.batch_size - share - start
      logits = tf.pad(logits, [[start, rest], [0, 0]])
    return loss, correct, logits

  def _average_statistics(self):
    """Sets the moving statistics of all replicas to their mean.

    Each replica normalizes its own share, unless statistics are synchronized;
    what is evaluated is one model.
    """
    context = tf.distribute.get_replica_context()
    for variable in self.model.non_trainable_variables:
      own = tf.identity(variable.value)
      variable.assign(context.all_reduce(tf.distribute.ReduceOp.MEAN, own))

  def _distilled(self, label_losses, logits, teacher_logits):
    """`[B]` losses of a student: the label's and the teacher's, weighed."""
    recipe = self.recipe
    losses = distillation.distillation_loss(
      logits,
      teacher_logits,
      temperature=recipe.temperature,
      scale_by_temperature_squared=recipe.scale_by_temperature_squared,
    )
    return recipe.alpha * losses + (1 - recipe.alpha) * label_losses


def smoothed_targets(num_classes: int, smoothing: float) -> np.ndarray:
  """float64 `[C, C]`: row y is the target of an image with label y."""
  return (
    np.eye(num_classes) * (1 - smoothing) + np.float64(smoothing) / num_classes
  )


def parts(
  images: tf.Tensor | images_lib.StoredImages,
  labels: tf.Tensor,
  order: np.ndarray,
) -> Iterator[tuple[slice, tf.Tensor, tf.Tensor, np.ndarray]]:
  """Splits an epoch, if its images are on disk, into parts that memory holds.

  Args:
    images: `[n, H, W, channels]`, on the device or on disk.
    labels: int32 `[n]`.
    order: int32 `[steps, B]`, indices in `images`.

  Yields:
    Which steps, images, their labels, and the indices `[steps, B]` in them.
  """
  if not isinstance(images, images_lib.StoredImages):
    yield slice(None), images, labels, order
    return
  first, size = 0, order.shape[1]
  for some in images.batches(order):
    steps = slice(first, first + len(some) // size)
    indices = np.arange(len(some), dtype=np.int32).reshape(-1, size)
    some_labels = tf.gather(labels, order[steps].ravel())
    yield steps, pipeline.moved_to_device(some), some_labels, indices
    first = steps.stop
