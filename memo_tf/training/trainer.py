"""The training loop: one trace, many runs.

A worker builds model and loop once for a (model, recipe), and for every subset
only sets the variables anew: tracing costs more than a short run. A whole
epoch is one call of one `tf.function`: batches are gathered on the device from
the images there, each step runs under `strategy.run`, and the update is the
fused kernel of SGD with (Nesterov) momentum, one op a variable:

    v <- momentum * v - rate * g
    w <- w + momentum * v - rate * g        (Nesterov; else w <- w + v)

What may not be changed without changing the results of recorded studies: the
order of operations in `_step`, and how initial weights derive from the seed.
"""

import keras
import numpy as np
import tensorflow as tf

from memo_tf import distillation
from memo_tf import models
from memo_tf.data import pipeline
from memo_tf.experiment import recipes
from memo_tf.experiment import streams
from memo_tf.training import inference


class Trainer:
  """Trains one model by one recipe, run after run.

  Args:
    model_name: as in `models.build_model`.
    recipe: how to train.
    image_shape: `(H, W, channels)` of uint8 images.
    num_classes: C.
    mean, std: float32 `[channels]`, the normalization.
    strategy: where; one replica.
    jit_compile: whether XLA compiles epochs and predictions. Always stated: Keras's "auto"
      would turn it off silently.

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
  ):
    self.recipe = recipe
    self._strategy = strategy
    self._mean, self._std = tf.constant(mean), tf.constant(std)
    with strategy.scope():
      self.model = models.build_model(
        model_name,
        image_shape=image_shape,
        num_classes=num_classes,
        batch_norm_momentum=recipe.batch_norm_momentum,
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
    self._predictor = inference.Predictor(self.model, mean, std, jit_compile)
    self._epoch = tf.function(
      self._run_epoch,
      input_signature=[
        tf.TensorSpec([None, *image_shape], tf.uint8),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, recipe.batch_size], tf.int32),
        tf.TensorSpec([None], tf.float32),
      ],
      jit_compile=jit_compile,
    )

  def initialize(self, seed: int, unit_name: str) -> None:
    """Sets weights, statistics and momenta to those of a unit's start.

    Every variable has a stream of its own, keyed by the unit and the
    variable's path, and the initializer that its layer declares.
    """
    for layer in self.model.layers:
      for variable in layer.variables:
        initializer = getattr(layer, f"{variable.name}_initializer")
        stream = streams.stream_seed(
          seed, "initialization", unit_name, variable.path
        )
        variable.assign(
          _seeded(initializer, stream)(variable.shape, variable.dtype)
        )
    for velocity in self._velocities:
      velocity.assign(tf.zeros_like(velocity))

  def train_epoch(
    self,
    images: tf.Tensor,
    labels: tf.Tensor,
    order: np.ndarray,
    rates: np.ndarray,
  ) -> tuple[float, float]:
    """Trains through the batches of one epoch.

    Args:
      images: uint8 `[n, H, W, channels]` on the device.
      labels: int32 `[n]`.
      order: int32 `[steps, B]`, places in `images`.
      rates: float32 `[steps]`, learning rates.

    Returns:
      Mean loss (without weight decay) and accuracy over the epoch's batches, in
      training mode, each before its own step.
    """
    loss, correct = self._epoch(
      images, labels, tf.constant(order), tf.constant(rates)
    )
    return float(loss) / len(order), float(correct) / order.size

  def compiled_step(self):
    """One step on a batch as a function that XLA compiles, for its HLO.

    Takes uint8 images `[B, H, W, channels]`, int32 labels `[B]` and the rate;
    returns the mean loss and the number correct, and updates the variables.
    """
    size, shape = self.recipe.batch_size, self.model.input_shape[1:]
    return tf.function(
      self._step,
      input_signature=[
        tf.TensorSpec([size, *shape], tf.uint8),
        tf.TensorSpec([size], tf.int32),
        tf.TensorSpec([], tf.float32),
      ],
      jit_compile=True,
    )

  def predict(self, images: tf.Tensor) -> np.ndarray:
    """float32 logits `[n, C]` of uint8 images, each once, as evaluation."""
    return self._predictor.logits(images)

  def state(self) -> dict[str, np.ndarray]:
    """Everything that the next step depends on, by name."""
    weights = self.model.get_weights()
    state = {f"weight_{i}": w for i, w in enumerate(weights)}
    velocities = {
      f"velocity_{i}": v.numpy() for i, v in enumerate(self._velocities)
    }
    return state | velocities

  def set_state(self, state: dict[str, np.ndarray]) -> None:
    """Goes back to a `state()`."""
    count = len(self.model.get_weights())
    self.model.set_weights([state[f"weight_{i}"] for i in range(count)])
    for i, velocity in enumerate(self._velocities):
      velocity.assign(state[f"velocity_{i}"])

  def _run_epoch(self, images, labels, order, rates):
    def body(step, loss, correct):
      places = order[step]
      batch = tf.gather(images, places), tf.gather(labels, places)
      step_loss, step_correct = self._strategy.run(
        self._step, args=(*batch, rates[step])
      )
      return step + 1, loss + step_loss, correct + step_correct

    zero = tf.constant(0.0)
    _, loss, correct = tf.while_loop(
      lambda step, *_: step < tf.shape(order)[0],
      body,
      [tf.constant(0), zero, zero],
      parallel_iterations=1,
    )
    return loss, correct

  def _step(self, images, labels, rate):
    """One step of SGD on a batch; its mean loss and number correct."""
    inputs = pipeline.normalize(images, self._mean, self._std)
    if self.teacher is not None:
      teacher_logits = self.teacher(inputs, training=False)
    with tf.GradientTape() as tape:
      logits = tf.cast(self.model(inputs, training=True), tf.float32)
      losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
      if self.teacher is not None:
        losses = self._distilled(losses, logits, teacher_logits)
      loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, self._weights)
    self._update(gradients, rate)
    hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
    return loss, tf.reduce_sum(tf.cast(hits, tf.float32))

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
      if decayed and strength:
        if recipe.weight_decay_convention == "decoupled":
          weight.assign_sub(rate * strength * weight)
        else:
          gradient += strength * weight
      tf.raw_ops.ResourceApplyKerasMomentum(
        var=weight.handle,
        accum=velocity.handle,
        lr=rate,
        grad=gradient,
        momentum=recipe.momentum,
        use_nesterov=recipe.nesterov,
      )


def _seeded(initializer, stream: int):
  """The same initializer with a seed of its own, if it draws at all."""
  settings = initializer.get_config()
  if "seed" not in settings:
    return initializer
  return type(initializer).from_config({**settings, "seed": stream % 2**31})


def count_parameters(model: keras.Model) -> int:
  """Trainable parameters, as papers count them."""
  return sum(int(np.prod(v.shape)) for v in model.trainable_variables)
