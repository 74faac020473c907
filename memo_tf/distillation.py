"""Distillation: a student learns a teacher's softened predictions.

With t and s the logits of teacher and student and T the temperature,

    distillation loss = T^2 * KL(softmax(t / T) || softmax(s / T))
    loss              = alpha * distillation loss + (1 - alpha) * label loss

(Hinton, Vinyals & Dean, 2015, arXiv:1503.02531, section 2). T^2 keeps the size
of the gradient when T changes; without it (a switch) the gradient is that of
plain cross-entropy to the softened teacher. alpha = 1 is pure distillation, as
in Lukasik et al. (2024, arXiv:2310.05337).

This file imports nothing of memo_tf, so that it can be copied into another
project as it is. That is why it is long: what it needs is all here.

    distiller = Distiller(
      student=student, teacher=teacher, temperature=3.0, alpha=1.0
    )
    distiller.compile(optimizer="sgd", metrics=["accuracy"])
    distiller.fit(images, labels, epochs=20)
    distiller.export("student")
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

# How many inputs have their outputs checked before training.
_PROBED = 8
# The keys of a `y` that holds labels and cached logits.
TARGETS = ("labels", "teacher_logits")


def distillation_loss(
  student_logits: tf.Tensor,
  teacher_logits: tf.Tensor,
  *,
  temperature: float,
  scale_by_temperature_squared: bool = True,
) -> tf.Tensor:
  """KL divergence from the teacher's softened prediction to the student's.

  Computes `temperature**2 * KL(softmax(teacher / temperature) ||
  softmax(student / temperature))`, internally in float64: between similar
  predictions float32 would leave nothing but rounding errors.

  Args:
    student_logits: `[B, C]` float, before softmax.
    teacher_logits: `[B, C]` float, before softmax. No gradient flows to it.
    temperature: above 0. 1 compares the predictions as they are.
    scale_by_temperature_squared: whether to multiply by `temperature**2`.

  Returns:
    `[B]` losses in nats, 0 or more; of the student's dtype, float32 if that is
    half precision. Not averaged: under `tf.distribute` the caller divides by
    the global batch size.

  Raises:
    ValueError: if `temperature` is not above 0, or the logits are not floats
      of one shape `[B, C]`.

  Example:
    >>> from memo_tf import distillation
    >>> loss = distillation.distillation_loss(
    ...   [[0.0, 1.0]], [[0.0, 1.0]], temperature=3.0
    ... )
    >>> loss.numpy().tolist()
    [0.0]
  """
  _check_temperature(temperature)
  student, teacher = (
    tf.convert_to_tensor(logits) for logits in (student_logits, teacher_logits)
  )
  shapes_fit = (
    student.shape.rank == 2
    and teacher.shape.rank == 2
    and student.shape.is_compatible_with(teacher.shape)
  )
  if not (
    shapes_fit and student.dtype.is_floating and teacher.dtype.is_floating
  ):
    raise ValueError(
      "`student_logits` and `teacher_logits` must be floats of one shape "
      f"[B, C]. Received: student_logits of {_describe(student)}, "
      f"teacher_logits of {_describe(teacher)}"
    )
  target = tf.stop_gradient(tf.cast(teacher, tf.float64)) / temperature
  log_p = tf.nn.log_softmax(target)
  log_q = tf.nn.log_softmax(tf.cast(student, tf.float64) / temperature)
  p, q, delta = tf.exp(log_p), tf.exp(log_q), log_q - log_p
  # sum p (log p - log q) = sum (q - p - p delta), whose terms are all 0 or
  # more, so that none cancels another; within a term expm1 does the same.
  small = tf.abs(delta) < 0.5
  within = tf.where(small, delta, tf.zeros_like(delta))
  terms = tf.where(
    small, p * (tf.math.expm1(within) - within), q - p - p * delta
  )
  losses = tf.reduce_sum(terms, axis=1)
  if scale_by_temperature_squared:
    losses *= temperature**2
  dtype = student.dtype if student.dtype.size >= 4 else tf.float32
  return tf.cast(losses, dtype)


def ensemble_logits(
  teacher_logits: tf.Tensor, *, temperature: float
) -> tf.Tensor:
  """Logits whose softened prediction is the mean of several teachers'.

  `softmax(result / T)` is the mean over k of `softmax(teacher_logits[:, k] /
  T)`, so a student that learns it learns from the ensemble (Hinton et al.,
  2015, section 2). The logits are valid at this temperature only.

  Args:
    teacher_logits: `[B, K, C]` float, of K teachers.
    temperature: above 0.

  Returns:
    `[B, C]` float64.
  """
  _check_temperature(temperature)
  wide = tf.cast(tf.convert_to_tensor(teacher_logits), tf.float64) / temperature
  summed = tf.reduce_logsumexp(tf.nn.log_softmax(wide), axis=1)
  count = tf.cast(tf.shape(wide)[1], tf.float64)
  return temperature * (summed - tf.math.log(count))


@keras.saving.register_keras_serializable(package="memo_tf")
class Distiller(keras.Model):
  """Trains a student to predict as its teacher does.

  A `keras.Model` whose predictions, weights and metrics are the student's:
  `compile`, `fit`, `evaluate`, `predict`, `save`, and `fit` again after
  loading. The teacher is called in inference mode only; neither its weights
  nor its `trainable` change. Models may be functional, Sequential or
  subclassed, each in any precision, under one replica or several of a
  `tf.distribute.MirroredStrategy` (created in its scope).

  `fit` and `evaluate` accept as `y`:

  * the labels, or nothing if alpha is 1 and no metric needs them;
  * `{"labels": …, "teacher_logits": …}`, as `cached_targets` returns it: then
    the teacher is not called. `"labels"` may be missing as above.

  Models must return logits: one that ends in a softmax, or whose outputs sum to
  1, is refused. Callbacks such as `BackupAndRestore` and `TensorBoard` work as
  with any Keras model.

  `sample_weight` weights an example's whole loss, as in Keras: the mean over
  the batch is `sum(weight * loss) / B`.

  Args:
    student: images to logits `[B, C]`.
    teacher: images to logits `[B, C]`; a list of teachers, whose softened
      predictions are averaged; or None if `y` always holds their logits.
    temperature: T, above 0.
    alpha: weight of the teacher's term, in [0, 1]; 1 - alpha is that of the
      label loss, the `loss` of `compile`.
    scale_by_temperature_squared: whether the distillation loss is multiplied
      by T^2.

  Raises:
    ValueError: if temperature, alpha or the models break a rule above; names
      the rule and what was received.
  """

  def __init__(
    self,
    *,
    student: keras.Model,
    teacher: keras.Model | Sequence[keras.Model] | None,
    temperature: float,
    alpha: float,
    scale_by_temperature_squared: bool = True,
    **kwargs,
  ):
    _check_temperature(temperature)
    if not _is_number(alpha) or not 0 <= alpha <= 1:
      raise ValueError(
        "`alpha` must be in [0, 1]: the weight of the teacher's term. "
        f"Received: alpha={alpha!r}"
      )
    several = isinstance(teacher, (list, tuple))
    teachers: list[keras.Model]
    if isinstance(teacher, (list, tuple)):
      teachers = list(teacher)
    else:
      teachers = [] if teacher is None else [teacher]
    _check_models(student, teachers, several)
    # The student's policy, so that `compile` scales a float16 loss; the student
    # casts its inputs itself.
    kwargs = {"dtype": student.dtype_policy, "autocast": False, **kwargs}
    super().__init__(**kwargs)
    self.student = student
    self.temperature = float(temperature)
    self.alpha = float(alpha)
    self.scale_by_temperature_squared = bool(scale_by_temperature_squared)
    # Bypasses Keras's tracking: a tracked layer's weights would be trained, its
    # regularization added, and its `trainable` set with the Distiller's.
    # Saving still finds it, because saving walks attributes.
    object.__setattr__(self, "teachers", teachers)
    object.__setattr__(self, "_several", several)
    if 0 < self.alpha < 1:
      self._distillation_tracker = keras.metrics.Mean(name="distillation_loss")
      self._label_tracker = keras.metrics.Mean(name="label_loss")
    self._has_probed = False
    # There is nothing else to build; callbacks such as BackupAndRestore look at
    # it before the first batch.
    self.built = student.built

  @property
  def teacher(self):
    """As given: a model, a list of models, or None."""
    if self._several:
      return list(self.teachers)
    return self.teachers[0] if self.teachers else None

  def call(self, inputs, training=None):
    # In the signature so that Keras passes it; it reaches the student, which
    # may not accept it, through Keras's call context.
    del training
    return self.student(inputs)

  def compile(self, optimizer="rmsprop", loss=None, **kwargs):
    """As `keras.Model.compile`; `loss` is the label loss, on logits.

    Args:
      optimizer: of the student.
      loss: a function or object of (labels, logits), required if alpha is
        below 1. `"sparse_categorical_crossentropy"` and
        `"categorical_crossentropy"`, by name or as Keras's function, are
        computed from logits, which is what students return.
      **kwargs: metrics, and all other arguments of Keras.

    Raises:
      ValueError: if alpha is below 1 and there is no loss, or the loss is an
        object that expects probabilities.
    """
    if loss is None and self.alpha < 1:
      raise ValueError(
        "`loss` must be the label loss if `alpha` is below 1. Received: "
        f"loss=None with alpha={self.alpha}"
      )
    super().compile(optimizer=optimizer, loss=_on_logits(loss), **kwargs)

  def compile_from_config(self, config):
    self.compile(**keras.saving.deserialize_keras_object(config))
    if self.built:  # loading needs variables for the optimizer's state
      self.optimizer.build(self.trainable_variables)

  def fit(self, x=None, y=None, *args, **kwargs):
    """As `keras.Model.fit`.

    Raises:
      ValueError: if a model returns probabilities, and as Keras.
    """
    self._check_logits(x, y)
    return super().fit(x, y, *args, **kwargs)

  def evaluate(self, x=None, y=None, *args, **kwargs):
    """As `keras.Model.evaluate`.

    Raises:
      ValueError: as `fit`.
    """
    self._check_logits(x, y)
    return super().evaluate(x, y, *args, **kwargs)

  def compute_loss(
    self, x=None, y=None, y_pred=None, sample_weight=None, training=True
  ):
    """The loss of a batch, scaled as `tf.distribute` sums it over replicas."""
    labels, cached = _split_targets(y)
    count = tf.cast(tf.shape(y_pred)[0], tf.float32)
    terms = []
    if self.alpha > 0:
      losses = distillation_loss(
        y_pred,
        self._softened(x, cached),
        temperature=self.temperature,
        scale_by_temperature_squared=self.scale_by_temperature_squared,
      )
      mean = tf.cast(_weighted_mean(losses, sample_weight), tf.float32)
      terms.append(self.alpha * _share_of_batch(mean, count, training))
      if self.alpha < 1:
        self._distillation_tracker.update_state(mean, sample_weight=count)
    if self.alpha < 1:
      if labels is None:
        raise ValueError(
          "`y` must hold the labels if `alpha` is below 1. Received: none, "
          f"with alpha={self.alpha}"
        )
      # Keras has divided a mean by the replicas, a sum by nothing.
      scaled = self._compile_loss(labels, y_pred, sample_weight)
      whole = scaled * tf.distribute.get_strategy().num_replicas_in_sync
      if self.alpha > 0:
        self._label_tracker.update_state(whole, sample_weight=count)
      if getattr(self.loss, "reduction", "mean") not in ("sum", "none", None):
        scaled = _share_of_batch(whole, count, training)
      terms.append((1 - self.alpha) * scaled)
    terms += [self._aggregate_additional_loss(loss) for loss in self.losses]
    return tf.add_n([tf.cast(term, tf.float32) for term in terms])

  def compute_metrics(self, x, y, y_pred, sample_weight=None):
    labels, _ = _split_targets(y)
    if labels is not None:
      return super().compute_metrics(x, labels, y_pred, sample_weight)
    if self._compile_metrics is not None:
      raise ValueError(
        "`y` must hold the labels if `compile` was given metrics. "
        "Received: none"
      )
    return self.get_metrics_result()

  def teacher_logits(self, x, batch_size: int = 128) -> np.ndarray:
    """The teacher's logits of every example, computed once.

    Args:
      x: as for `predict`: arrays, or a data set with a fixed order.
      batch_size: of arrays.

    Returns:
      float32 `[n, C]`; `[n, K, C]` of K teachers. They are the logits of the
      images as given: for a student that trains on augmented images they are
      not the teacher's predictions.

    Raises:
      ValueError: if there is no teacher.
    """
    if not self.teachers:
      raise ValueError(
        "`teacher` must be a model to compute its logits. Received: "
        "teacher=None"
      )
    size = None if isinstance(x, tf.data.Dataset) else batch_size
    logits = [
      np.asarray(model.predict(x, batch_size=size, verbose=0), np.float32)
      for model in self.teachers
    ]
    for part in logits:
      _refuse_probabilities("teacher", part)
    return np.stack(logits, axis=1) if self._several else logits[0]

  def cached_targets(self, x, labels=None, batch_size: int = 128) -> dict:
    """A `y` for `fit` with the teacher's logits in it; see `teacher_logits`."""
    logits = self.teacher_logits(x, batch_size)
    targets = {} if labels is None else {"labels": np.asarray(labels)}
    return {**targets, "teacher_logits": logits}

  def export(self, filepath, *args, **kwargs):
    """Exports the student, as `keras.Model.export` does."""
    return self.student.export(filepath, *args, **kwargs)

  def save_own_variables(self, store):
    # Keras does not save the state of dropout's random stream.
    for number, state in enumerate(self._random_states()):
      store[str(number)] = state.numpy()

  def load_own_variables(self, store):
    for number, state in enumerate(self._random_states()):
      state.assign(store[str(number)])

  def get_config(self):
    models = [keras.saving.serialize_keras_object(m) for m in self.teachers]
    single = models[0] if models else None
    return {
      **super().get_config(),
      "student": keras.saving.serialize_keras_object(self.student),
      "teacher": models if self._several else single,
      "temperature": self.temperature,
      "alpha": self.alpha,
      "scale_by_temperature_squared": self.scale_by_temperature_squared,
    }

  @classmethod
  def from_config(cls, config, custom_objects=None):
    def build(part):
      return keras.saving.deserialize_keras_object(
        part, custom_objects=custom_objects
      )

    config = dict(config)
    teacher = config["teacher"]
    several = isinstance(teacher, (list, tuple))
    config["student"] = build(config["student"])
    config["teacher"] = (
      [build(part) for part in teacher]
      if several
      else build(teacher)
      if teacher is not None
      else None
    )
    if isinstance(config.get("dtype"), dict):
      config["dtype"] = build(config["dtype"])
    return cls(**config)

  def _check_logits(self, x, y) -> None:
    """Refuses models whose outputs for a few inputs are probabilities.

    A softmax as last layer is found when the Distiller is made; this finds all
    others. A data set is not read, which could change its order: random inputs
    take the place of its first ones.
    """
    cached = y.get("teacher_logits") if isinstance(y, dict) else None
    if isinstance(cached, (np.ndarray, tf.Tensor)):
      some = np.asarray(cached[:_PROBED], np.float32)
      for part in np.swapaxes(some, 0, 1) if some.ndim == 3 else [some]:
        _refuse_probabilities("teacher_logits", part)
    inputs = None if self._has_probed else _few_inputs(x)
    if inputs is None:
      return
    self._has_probed = True
    used = self.teachers if self.alpha > 0 and cached is None else []
    for name, models in (("teacher", used), ("student", [self.student])):
      for model in models:
        if model.built:
          outputs = model(inputs, training=False)
          _refuse_probabilities(name, np.asarray(outputs, np.float32))

  def _random_states(self) -> list:
    """The student's variables that are not weights: random streams' states."""
    weights = {id(weight) for weight in self.student.weights}
    return [v for v in self.student.variables if id(v) not in weights]

  def _softened(self, x, cached):
    """The teacher's logits `[B, C]`, cached or computed now."""
    if cached is not None:
      logits = tf.convert_to_tensor(cached)
    elif self.teachers:
      parts = [model(x, training=False) for model in self.teachers]
      logits = tf.stack([tf.cast(p, tf.float32) for p in parts], axis=1)
      logits = logits if self._several else parts[0]
    else:
      raise ValueError(
        '`y` must hold "teacher_logits" if the Distiller has no teacher. '
        "Received: none, with teacher=None"
      )
    if logits.shape.rank == 3:
      return ensemble_logits(logits, temperature=self.temperature)
    return logits


def _share_of_batch(mean, count, training: bool):
  """A replica's mean loss as its share of the global batch's.

  The optimizer sums the replicas' gradients. If a batch does not split evenly,
  replicas have different numbers of examples, so in training the gradient is
  weighted by these numbers; the value is that of Keras's losses, which its
  trackers weight.
  """
  replicas = tf.distribute.get_strategy().num_replicas_in_sync
  scaled = mean / replicas
  context = tf.distribute.get_replica_context()
  if replicas == 1 or context is None or not training:
    return scaled
  total = context.all_reduce(tf.distribute.ReduceOp.SUM, count)
  exact = mean * count / total
  return exact + tf.stop_gradient(scaled - exact)


def _weighted_mean(losses, sample_weight):
  """`sum(weight * loss) / B`, and 0 for a replica without examples."""
  if sample_weight is not None:
    weight = tf.cast(tf.convert_to_tensor(sample_weight), losses.dtype)
    if weight.shape.rank == 2 and weight.shape[1] == 1:
      weight = weight[:, 0]
    if weight.shape.rank != 1:
      raise ValueError(
        "`sample_weight` must be [B]: one weight per example. Received: "
        f"sample_weight of shape {tuple(weight.shape)}"
      )
    losses = losses * weight
  count = tf.cast(tf.shape(losses)[0], losses.dtype)
  return tf.math.divide_no_nan(tf.reduce_sum(losses), count)


def _split_targets(y):
  """(labels or None, teacher's logits or None) of a `y`."""
  if not isinstance(y, dict):
    return y, None
  unknown = sorted(set(y) - set(TARGETS))
  if unknown:
    raise ValueError(
      f"`y` as a dictionary holds {' and '.join(map(repr, TARGETS))}. "
      f"Received: {', '.join(map(repr, sorted(y)))}"
    )
  return y.get("labels"), y.get("teacher_logits")


def _on_logits(loss):
  """A label loss that takes logits."""
  losses = {
    "sparse_categorical_crossentropy": (
      keras.losses.SparseCategoricalCrossentropy,
      keras.losses.sparse_categorical_crossentropy,
    ),
    "categorical_crossentropy": (
      keras.losses.CategoricalCrossentropy,
      keras.losses.categorical_crossentropy,
    ),
  }
  for name, (kind, function) in losses.items():
    # Keras also accepts the name of the class.
    if loss is function or loss == name or loss == kind.__name__:
      return kind(from_logits=True)
    if isinstance(loss, kind) and not loss.get_config()["from_logits"]:
      raise ValueError(
        "`loss` must take logits, which is what the student returns: "
        f"{kind.__name__}(from_logits=True). Received: from_logits=False"
      )
  return loss


def _check_models(student, teachers: list, several: bool) -> None:
  for name, model in [
    ("student", student),
    *(("teacher", t) for t in teachers),
  ]:
    if not isinstance(model, keras.Model):
      raise ValueError(
        f"`{name}` must be a keras.Model. Received: {name}={model!r} (of type "
        f"{type(model).__name__})"
      )
    if _ends_in_softmax(model):
      raise _not_logits(name, "a softmax as its last layer")
  if several and not teachers:
    raise ValueError(
      "`teacher` as a list must hold at least one model. Received: teacher=[]"
    )
  ours = _output_shape(student)
  for model in teachers:
    if model is student:
      raise ValueError(
        "`teacher` must be a different model from `student`, which changes "
        f"while it learns. Received: {model.name!r} as both"
      )
    theirs = _output_shape(model)
    if ours and theirs and ours[-1] != theirs[-1]:
      raise ValueError(
        "`student` and `teacher` must return logits of the same classes. "
        f"Received: outputs of shape {ours} and {theirs}"
      )


def _ends_in_softmax(model) -> bool:
  """Whether the last layer of a functional or Sequential model is a softmax."""
  last = model
  while isinstance(last, keras.Model):
    if isinstance(last, keras.Sequential):
      last = last.layers[-1] if last.layers else None
    else:
      outputs = getattr(last, "outputs", None)
      history = getattr(outputs[0], "_keras_history", None) if outputs else None
      last = history.operation if history else None
  # An operation of keras.ops has the name of the layer.
  if type(last).__name__ == "Softmax":
    return True
  return getattr(last, "activation", None) is keras.activations.softmax


def _few_inputs(x):
  """Some of the inputs x, or random ones like those of a data set, or None."""
  if isinstance(x, (np.ndarray, tf.Tensor)):
    return tf.convert_to_tensor(x[:_PROBED]) if len(x) else None
  if not isinstance(x, tf.data.Dataset):
    return None
  spec = x.element_spec
  spec = spec[0] if isinstance(spec, tuple) else spec
  shape = spec.shape if isinstance(spec, tf.TensorSpec) else None
  if shape is None or shape.rank is None or None in shape[1:]:
    return None
  if not spec.dtype.is_floating and spec.dtype != tf.uint8:
    return None  # not pixels: any number might be out of range
  values = np.random.default_rng(0).random((_PROBED, *shape[1:]))
  scale = 255 if spec.dtype == tf.uint8 else 1
  return tf.cast(scale * values, spec.dtype)


def _refuse_probabilities(name: str, outputs: np.ndarray) -> None:
  """Raises if every row of `[n, C]` is a distribution over the classes."""
  if outputs.ndim != 2 or outputs.shape[1] < 2 or not len(outputs):
    return
  sums = outputs.sum(axis=1, dtype=np.float64)
  # Rounding to half precision leaves sums this close to 1.
  if outputs.min() >= 0 and np.abs(sums - 1).max() < 1e-2:
    raise _not_logits(name, "outputs that sum to 1")


def _not_logits(name: str, received: str) -> ValueError:
  return ValueError(
    f"`{name}` must be logits, before softmax: give the last layer "
    f"activation=None, or drop its Softmax layer. Received: {name} with "
    f"{received}"
  )


def _output_shape(model: keras.Model) -> tuple | None:
  """The shape of a model's single output, if it is known."""
  try:
    shape = model.output_shape
  except (AttributeError, ValueError, NotImplementedError):
    return None
  is_one = isinstance(shape, tuple) and not isinstance(shape[-1], tuple)
  return shape if is_one and shape[-1] is not None else None


def _is_number(value) -> bool:
  return isinstance(value, (int, float, np.number)) and not isinstance(
    value, bool
  )


def _check_temperature(temperature) -> None:
  if not _is_number(temperature) or not 0 < temperature < float("inf"):
    raise ValueError(
      f"`temperature` must be above 0. Received: temperature={temperature!r}"
    )


def _describe(tensor: tf.Tensor) -> str:
  return f"shape {tuple(tensor.shape)} and dtype {tensor.dtype.name}"
