"""The training loop: one trace, many runs.

A worker builds model and loop once for a (model, recipe), and for every subset
only sets the variables anew: tracing costs more than a short run. A whole
epoch is one call of one `tf.function` (of images that stay on disk a call for as
many steps as memory holds): batches are gathered on the device from the images
there, each step runs under `strategy.run`, and the update is the
fused kernel of SGD with (Nesterov) momentum, one op a variable:

    v <- momentum * v - rate * g
    w <- w + momentum * v - rate * g        (Nesterov; else w <- w + v)

Over several replicas (mirrored, multi_worker) each takes its share of every
batch, gradients are summed, and every replica makes the same update.

What may not be changed without changing the results of recorded studies: the
order of operations in `_step`, and how initial weights derive from the seed.
"""

import keras
import numpy as np
import tensorflow as tf

from memo_tf import distillation
from memo_tf import models
from memo_tf.data import augmentation
from memo_tf.data import pipeline
from memo_tf.data.stored import images as images_lib
from memo_tf.experiment import random_streams
from memo_tf.experiment import recipes
from memo_tf.training import inference


class Trainer:
  """Trains one model by one recipe, run after run.

  Args:
    model_name: as in `models.build_model`.
    recipe: how to train.
    image_shape: `(H, W, channels)` of the images.
    num_classes: C.
    mean, std: float32 `[channels]`, the normalization.
    strategy: where; the batch size is a multiple of its replicas.
    jit_compile: whether XLA compiles epochs and predictions. Always stated:
      Keras's "auto" would turn it off silently.
    image_type: of the pixels, `uint8` or `uint16`.

  Attributes:
    model: the `keras.Model`, as trained so far.
    teacher: the model that a distilled recipe learns from, or None. Its weights
      are set from outside, for each run those of the run's own teacher.
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
  ):
    self.recipe = recipe
    self._strategy = strategy
    self._replicas = strategy.num_replicas_in_sync
    if recipe.batch_size % self._replicas:
      raise ValueError(
        f"--batch_size must be a multiple of the {self._replicas} replicas. "
        f"Received: --batch_size={recipe.batch_size}"
      )
    self._mean, self._std = tf.constant(mean), tf.constant(std)
    with strategy.scope():
      self.model = models.build_model(
        model_name,
        image_shape=image_shape,
        num_classes=num_classes,
        batch_norm_momentum=recipe.batch_norm_momentum,
        synchronized=recipe.synchronized_batch_norm,
        precision=recipe.precision,
      )
      self._weights = [v.value for v in self.model.trainable_variables]
      self._velocities = [
        tf.Variable(tf.zeros(w.shape, w.dtype), trainable=False)
        for w in self._weights
      ]
      self.teacher = None
      if isinstance(recipe, recipes.DistilledRecipe):
        self.teacher = models.build_model(
          recipe.teacher,
          image_shape=image_shape,
          num_classes=num_classes,
          batch_norm_momentum=recipe.batch_norm_momentum,
          precision=recipe.precision,
        )
    self._decayed = [
      recipe.weight_decay_coverage == "all" or v.name.endswith("kernel")
      for v in self.model.trainable_variables
    ]
    self._predictor = inference.Predictor(
      self.model, mean, std, jit_compile, image_type
    )
    self._image_type = image_type
    signature = [
      tf.TensorSpec([None, *image_shape], image_type),
      tf.TensorSpec([None], tf.int32),
      tf.TensorSpec([None, recipe.batch_size], tf.int32),
      tf.TensorSpec([None], tf.float32),
      tf.TensorSpec([2], tf.float32),
    ]
    if recipe.augmentation != "none":
      signature.append(tf.TensorSpec([None, recipe.batch_size, 3], tf.int32))
    self._epoch = tf.function(
      self._run_epoch,
      input_signature=signature,
      jit_compile=jit_compile,
    )
    # Traced only where a proxy asks for what batches were predicted.
    self._recorded_epoch = tf.function(
      self._run_recorded_epoch,
      input_signature=signature,
      jit_compile=jit_compile,
    )

    self._average = tf.function(
      lambda: strategy.run(self._average_statistics), jit_compile=jit_compile
    )

  def initialize(self, seed: int, unit_name: str) -> None:
    """Sets weights, statistics and momenta to those of a unit's start.

    Every variable has a stream of its own, keyed by the unit and the
    variable's path, and the initializer that its layer declares.
    """
    for layer in self.model.layers:
      for variable in layer.variables:
        name = f"{variable.name}_initializer"
        if not hasattr(layer, name):  # a depthwise convolution's kernel
          name = "depthwise_initializer"
        initializer = getattr(layer, name)
        stream = random_streams.stream_seed(
          seed, "initialization", unit_name, variable.path
        )
        variable.assign(
          _seeded(initializer, stream)(variable.shape, variable.dtype)
        )
    self.reset_momenta()

  def reset_momenta(self) -> None:
    """Sets them to 0, as at the start of a training."""
    for velocity in self._velocities:
      velocity.assign(tf.zeros_like(velocity))

  def train_epoch(
    self,
    images: tf.Tensor | images_lib.StoredImages,
    labels: tf.Tensor,
    order: np.ndarray,
    rates: np.ndarray,
    views: np.ndarray | None = None,
  ) -> tuple[float, float]:
    """Trains through the batches of one epoch.

    Args:
      images: `[n, H, W, channels]` on the device, or on disk: then they are
        decoded while the batches before them are trained on.
      labels: int32 `[n]`.
      order: int32 `[steps, B]`, places in `images`.
      rates: float32 `[steps]`, learning rates.
      views: int32 `[steps, B, 3]`, as `augmentation.views` gives them; if the
        recipe augments.

    Returns:
      Mean loss (without weight decay) and accuracy over the epoch's batches, in
      training mode, each before its own step.
    """
    sums = tf.zeros([2])
    for batches, seen in self._calls(images, labels, order, rates, views):
      sums = self._epoch(*batches, sums, *seen)
    return self._end_of_epoch(sums, order)

  def train_recorded_epoch(
    self,
    images: tf.Tensor,
    labels: tf.Tensor,
    order: np.ndarray,
    rates: np.ndarray,
    views: np.ndarray | None = None,
  ) -> tuple[float, float, np.ndarray]:
    """`train_epoch`, to the bit, that also tells what it predicted.

    Returns:
      Mean loss, accuracy, and float32 `[steps, B, C]`: the logits of each
      batch in training mode, before its own step.
    """
    sums, logits = tf.zeros([2]), []
    for batches, seen in self._calls(images, labels, order, rates, views):
      sums, some = self._recorded_epoch(*batches, sums, *seen)
      logits.append(some.numpy())
    return *self._end_of_epoch(sums, order), np.concatenate(logits)

  def _calls(self, images, labels, order, rates, views):
    """The arguments of each call of an epoch before and behind the sums."""
    for steps, some, some_labels, places in parts(images, labels, order):
      seen = []
      if self.recipe.augmentation != "none":
        seen = [tf.constant(views[steps])]
      batches = (
        some,
        some_labels,
        tf.constant(places),
        tf.constant(rates[steps]),
      )
      yield batches, seen

  def _end_of_epoch(self, sums, order) -> tuple[float, float]:
    """Mean loss and accuracy, of an epoch that is over on every replica."""
    if self._replicas > 1:
      self._average()
    loss, correct = sums.numpy()
    return float(loss) / len(order), float(correct) / order.size

  def compiled_step(self):
    """One step on a batch as a function that XLA compiles, for its HLO.

    Takes images `[B, H, W, channels]`, int32 labels `[B]` and the rate;
    returns the mean loss and the number correct, and updates the variables.
    """
    size, shape = self.recipe.batch_size, self.model.input_shape[1:]
    return tf.function(
      lambda images, labels, rate: self._step(images, labels, rate),
      input_signature=[
        tf.TensorSpec([size, *shape], self._image_type),
        tf.TensorSpec([size], tf.int32),
        tf.TensorSpec([], tf.float32),
      ],
      jit_compile=True,
    )

  def predict(self, images: tf.Tensor) -> np.ndarray:
    """float32 logits `[n, C]` of images, each once, as evaluation."""
    return self._predictor.logits(images)

  def state(self) -> dict[str, np.ndarray]:
    """Everything that the next step depends on, by name."""
    weights = self.model.get_weights()
    state = {f"weight_{i}": w for i, w in enumerate(weights)}
    velocities = {
      f"velocity_{i}": v.numpy() for i, v in enumerate(self._velocities)
    }
    return state | velocities

  def is_finite(self) -> bool:
    """Whether every weight and moving statistic is a number."""
    return all(np.isfinite(w).all() for w in self.model.get_weights())

  def set_state(self, state: dict[str, np.ndarray]) -> None:
    """Goes back to a `state()`."""
    count = len(self.model.get_weights())
    self.model.set_weights([state[f"weight_{i}"] for i in range(count)])
    for i, velocity in enumerate(self._velocities):
      velocity.assign(state[f"velocity_{i}"])

  def _run_epoch(self, images, labels, order, rates, sums, views=None):
    def body(step, loss, correct):
      batch = (order[step], rates[step])
      if views is not None:
        batch += (views[step],)
      step_loss, step_correct = self._strategy.run(
        self._share_of_step, args=(images, labels, *batch)
      )
      if self._replicas > 1:
        total = tf.distribute.ReduceOp.SUM
        step_loss = self._strategy.reduce(total, step_loss, axis=None)
        step_correct = self._strategy.reduce(total, step_correct, axis=None)
      return step + 1, loss + step_loss, correct + step_correct

    _, loss, correct = tf.while_loop(
      lambda step, *_: step < tf.shape(order)[0],
      body,
      [tf.constant(0), sums[0], sums[1]],
      parallel_iterations=1,
    )
    return tf.stack([loss, correct])

  def _run_recorded_epoch(self, images, labels, order, rates, sums, views=None):
    """`_run_epoch` that keeps every batch's logits."""
    steps = tf.shape(order)[0]
    size, classes = self.recipe.batch_size, self.model.output_shape[-1]

    def body(step, loss, correct, logits):
      batch = (order[step], rates[step])
      if views is not None:
        batch += (views[step],)
      found = self._strategy.run(
        self._share_of_step,
        args=(images, labels, *batch),
        kwargs={"with_logits": True},
      )
      if self._replicas > 1:
        total = tf.distribute.ReduceOp.SUM
        found = [self._strategy.reduce(total, x, axis=None) for x in found]
      step_loss, step_correct, step_logits = found
      return (
        step + 1,
        loss + step_loss,
        correct + step_correct,
        logits.write(step, step_logits),
      )

    logits = tf.TensorArray(tf.float32, steps, element_shape=[size, classes])
    _, loss, correct, logits = tf.while_loop(
      lambda step, *_: step < steps,
      body,
      [tf.constant(0), sums[0], sums[1], logits],
      parallel_iterations=1,
    )
    return tf.stack([loss, correct]), logits.stack()

  def _share_of_step(
    self, images, labels, places, rate, views=None, with_logits=False
  ):
    """One step on this replica's share of a batch.

    With logits: those of the whole batch, 0 where they are another replica's.
    """
    if self._replicas > 1:
      share = self.recipe.batch_size // self._replicas
      replica = tf.distribute.get_replica_context().replica_id_in_sync_group
      start = share * tf.cast(replica, tf.int32)
      places = places[start : start + share]
      views = None if views is None else views[start : start + share]
    pixels = tf.gather(images, places)
    if views is not None:
      pixels = augmentation.pad_crop_flip(pixels, views)
    found = self._step(pixels, tf.gather(labels, places), rate, with_logits)
    if with_logits and self._replicas > 1:
      rest = self.recipe.batch_size - share - start
      logits = tf.pad(found[2], [[start, rest], [0, 0]])
      found = (*found[:2], logits)
    return found

  def _average_statistics(self):
    """Makes the moving statistics of all replicas their mean.

    Each normalizes its own share, unless they are synchronized; what is
    evaluated is one model.
    """
    context = tf.distribute.get_replica_context()
    for variable in self.model.non_trainable_variables:
      own = tf.identity(variable.value)
      mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, own)
      variable.assign(mean)

  def _step(self, images, labels, rate, with_logits=False):
    """One step of SGD on a batch; its mean loss and number correct.

    On several replicas: this one's part of both. With logits: float32, before
    the step, as well.
    """
    inputs = pipeline.normalize(images, self._mean, self._std)
    if self.teacher is not None:
      teacher_logits = self.teacher(inputs, training=False)
    with tf.GradientTape() as tape:
      logits = self.model(inputs, training=True)
      if logits.dtype != tf.float64:
        logits = tf.cast(logits, tf.float32)
      losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
      if self.teacher is not None:
        losses = self._distilled(losses, logits, teacher_logits)
      loss = tf.reduce_mean(losses)
      if self._replicas > 1:
        loss /= self._replicas
    gradients = tape.gradient(loss, self._weights)
    if self._replicas > 1:
      context = tf.distribute.get_replica_context()
      total = tf.distribute.ReduceOp.SUM
      gradients = context.all_reduce(total, gradients)
    self._update(gradients, rate)
    hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
    found = tf.cast(loss, tf.float32), tf.reduce_sum(tf.cast(hits, tf.float32))
    return (*found, tf.cast(logits, tf.float32)) if with_logits else found

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

  def _update(self, gradients, rate):
    """Weight decay, then momentum, on every variable."""
    recipe = self.recipe
    strength = recipe.weight_decay
    if recipe.weight_decay_convention == "loss":
      strength *= 2.0
    for weight, velocity, decayed, gradient in zip(
      self._weights, self._velocities, self._decayed, gradients
    ):
      # By their handles: of a mirrored variable that is this replica's copy.
      speed = tf.cast(rate, weight.dtype)
      if decayed and strength:
        if recipe.weight_decay_convention == "decoupled":
          tf.raw_ops.AssignSubVariableOp(
            resource=weight.handle, value=speed * strength * weight
          )
        else:
          gradient += strength * weight
      tf.raw_ops.ResourceApplyKerasMomentum(
        var=weight.handle,
        accum=velocity.handle,
        lr=speed,
        grad=gradient,
        momentum=tf.constant(recipe.momentum, weight.dtype),
        use_nesterov=recipe.nesterov,
      )


def parts(images, labels, order: np.ndarray):
  """An epoch in one part, or of images on disk in parts that memory holds.

  Yields which steps, images, their labels, and the places `[steps, B]` in them.
  """
  if not isinstance(images, images_lib.StoredImages):
    yield slice(None), images, labels, order
    return
  first, size = 0, order.shape[1]
  for some in images.batches(order):
    steps = slice(first, first + len(some) // size)
    places = np.arange(len(some), dtype=np.int32).reshape(-1, size)
    some_labels = tf.gather(labels, order[steps].ravel())
    yield steps, pipeline.moved_to_device(some), some_labels, places
    first = steps.stop


def _seeded(initializer, stream: int):
  """The same initializer with a seed of its own, if it draws at all."""
  settings = initializer.get_config()
  if "seed" not in settings:
    return initializer
  return type(initializer).from_config({**settings, "seed": stream % 2**31})


def count_parameters(model: keras.Model) -> int:
  """Trainable parameters, as papers count them."""
  return sum(int(np.prod(v.shape)) for v in model.trainable_variables)
