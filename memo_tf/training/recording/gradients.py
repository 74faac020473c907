"""Per-example gradients of the loss: GraNd, exactly, and of the last layer.

GraNd (Paul et al., 2021, arXiv:2107.07075) is the L2 norm of an example's
gradient of the loss with respect to all trainable variables. A loop over
examples would cost a forward and a backward pass of batch 1 for each. But the
gradient of a layer's variables is a function of the layer's input x and of the
gradient d of its output, both of which one pass over a batch gives for every
example (Goodfellow, 2015, arXiv:1510.01799):

    dense        ||x (x) d||        = ||x|| ||d||
    convolution  ||sum_p a_p (x) d_p||, a_p the patch of x at position p;
                 squared either summed over the entries of sum_p a_p d_p', or as
                 sum_pq (a_p . a_q)(d_p . d_q), whichever is less work
    batch norm   gamma: sum_p d_p xhat_p; beta: sum_p d_p (in evaluation mode)
    bias         sum_p d_p

Of the last layer alone, with input h, the closed form is
||softmax - onehot|| sqrt(||h||^2 + 1).
"""

import keras
import numpy as np
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.training.recording import batches

# Bytes of the largest layer's patches of one batch.
PATCH_BYTES = 64 * 2**20
MAX_BATCH = 64


class GradientNorms:
  """GraNd at a model's current weights; traced once.

  Args:
    model: functional, images to logits, of convolutions, depthwise
      convolutions, dense layers and batch normalizations; each used once.
    mean: float32 `[channels]`, of raw pixel values.
    std: float32 `[channels]`, their standard deviations.
    jit_compile: whether XLA compiles it.

  Raises:
    ValueError: if a layer with variables is of another kind or form, or is
      used more than once.
  """

  def __init__(
    self,
    model: keras.Model,
    mean: np.ndarray,
    std: np.ndarray,
    jit_compile: bool = False,
  ):
    self._mean, self._std = tf.constant(mean), tf.constant(std)
    self._layers = [layer for layer in model.layers if layer.trainable_weights]
    largest = 1
    for layer in self._layers:
      _rule(layer)
      _check_form(layer)
      if not isinstance(layer, keras.layers.Dense):
        positions, taps = _positions(layer), _taps(layer)
        largest = max(largest, 4 * positions * taps)
    self._batch_size = int(np.clip(PATCH_BYTES // largest, 1, MAX_BATCH))
    tensors = [t for layer in self._layers for t in (layer.input, layer.output)]
    self._model = keras.Model(model.inputs, [*tensors, model.output])
    self._function = tf.function(self._norms, jit_compile=jit_compile)

  def grand(self, images: tf.Tensor, labels: tf.Tensor) -> np.ndarray:
    """`[n]`: the gradient's norm of images `[n, H, W, channels]`."""
    return batches.over_batches(
      lambda indices: self._function(images, labels, indices),
      np.arange(len(images)),
      min(self._batch_size, len(images)),
    )

  def _norms(self, images, labels, indices):
    batch = tf.gather(images, indices)
    inputs = pipeline.normalize(batch, self._mean, self._std)
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      *tensors, logits = self._model(inputs, training=False)
      if logits.dtype != tf.float64:
        logits = tf.cast(logits, tf.float32)
      losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.gather(labels, indices), logits
      )
    given, outputs = tensors[::2], tensors[1::2]
    # Of the sum of losses: in evaluation mode each example's own.
    gradients = tape.gradient(losses, outputs)
    squares = tf.zeros_like(losses)
    for layer, x, d in zip(self._layers, given, gradients):
      x, d = tf.cast(x, squares.dtype), tf.cast(d, squares.dtype)
      d = _before_activation(layer, x, d)
      squares += _rule(layer)(layer, x, d)
    return tf.sqrt(squares)


def _rule(layer: keras.Layer):
  """The function that gives `[B]` squared norms of a layer's gradient."""
  for kind, rule in (
    (keras.layers.DepthwiseConv2D, _depthwise),
    (keras.layers.Conv2D, _convolution),
    (keras.layers.Dense, _dense),
    (keras.layers.BatchNormalization, _batch_norm),
  ):
    if isinstance(layer, kind) and getattr(layer, "groups", 1) == 1:
      return rule
  raise ValueError(
    "GraNd is computed for convolutions, depthwise convolutions, dense layers "
    "and batch normalization; another layer with variables needs a rule in "
    f"recording/gradients.py. Received: {type(layer).__name__} {layer.name!r}"
  )


def _check_form(layer: keras.Layer) -> None:
  """Refuses a layer that the rules do not describe."""
  if type(layer).__module__.partition(".")[0] not in ("keras", "memo_tf"):
    raise ValueError(
      "GraNd is computed for Keras's own layers, since a subclass may compute "
      f"something else. Received: {type(layer).__name__} {layer.name!r}"
    )
  if len(layer._inbound_nodes) != 1:
    raise ValueError(
      "GraNd is computed for layers that are used once; those of a Sequential "
      "are if it is given a list of them, without add(). Received: "
      f"{layer.name!r}, used {len(layer._inbound_nodes)} times"
    )
  if isinstance(layer, keras.layers.Dense) and len(layer.input.shape) != 2:
    raise ValueError(
      "GraNd is computed for dense layers of inputs [B, features]. Received: "
      f"{layer.name!r} of {tuple(layer.input.shape)}"
    )
  last = len(layer.input.shape) - 1
  for name, known in (
    ("dilation_rate", (1, (1, 1))),
    ("data_format", ("channels_last",)),
    ("axis", (-1, last)),
  ):
    if getattr(layer, name, known[0]) not in known:
      raise ValueError(
        "GraNd is computed for layers without dilation whose channels are "
        f"last. Received: {layer.name!r} with {name} {getattr(layer, name)}"
      )


def _before_activation(layer, x, d):
  """The gradient of a layer's output before the layer's own activation."""
  activation = getattr(layer, "activation", None)
  if activation in (None, keras.activations.linear):
    return d
  layer.activation = keras.activations.linear
  try:
    linear = layer(x)
  finally:
    layer.activation = activation
  with tf.GradientTape() as tape:
    tape.watch(linear)
    outputs = activation(linear)
  return tape.gradient(outputs, linear, output_gradients=d)


def _squares(x: tf.Tensor) -> tf.Tensor:
  """`[B]`: the sum of squares of each row of a batch."""
  return tf.reduce_sum(tf.square(x), axis=list(range(1, len(x.shape))))


def _bias(layer, d):
  if not layer.use_bias:
    return 0.0
  return _squares(tf.reduce_sum(d, axis=list(range(1, len(d.shape) - 1))))


def _dense(layer, x, d):
  return _squares(x) * _squares(d) + _bias(layer, d)


def _positions(layer) -> int:
  """The number of positions of a layer's output: height times width."""
  return int(np.prod(layer.output.shape[1:-1]))


def _taps(layer) -> int:
  """How many numbers a layer reads for one position of its output."""
  kernel = getattr(layer, "kernel_size", ())
  return int(np.prod(kernel)) * layer.input.shape[-1]


def _patches(layer, x):
  """`[B, P, taps * channels]`: what the kernel sees at each of P positions."""
  height, width = layer.kernel_size
  rows, columns = layer.strides
  patches = tf.image.extract_patches(
    x,
    sizes=[1, height, width, 1],
    strides=[1, rows, columns, 1],
    rates=[1, 1, 1, 1],
    padding=layer.padding.upper(),
  )
  return tf.reshape(patches, [-1, _positions(layer), _taps(layer)])


def _convolution(layer, x, d):
  patches, positions = _patches(layer, x), _positions(layer)
  d_positions = tf.reshape(d, [-1, positions, d.shape[-1]])
  inside, outside = patches.shape[-1], d.shape[-1]
  if positions * (inside + outside) < inside * outside:
    pairs = tf.matmul(patches, patches, transpose_b=True)
    pairs *= tf.matmul(d_positions, d_positions, transpose_b=True)
    kernel = tf.reduce_sum(pairs, axis=[1, 2])
  else:
    kernel = _squares(tf.matmul(patches, d_positions, transpose_a=True))
  return kernel + _bias(layer, d)


def _depthwise(layer, x, d):
  positions, channels = _positions(layer), x.shape[-1]
  patches = tf.reshape(
    _patches(layer, x), [-1, positions, _size(layer), channels]
  )
  d_positions = tf.reshape(d, [-1, positions, channels, layer.depth_multiplier])
  kernel = tf.einsum("bpkc,bpcm->bkcm", patches, d_positions)
  return _squares(kernel) + _bias(layer, d)


def _size(layer) -> int:
  return int(np.prod(layer.kernel_size))


def _batch_norm(layer, x, d):
  axes = list(range(1, len(d.shape) - 1))
  mean = tf.cast(layer.moving_mean.value, x.dtype)
  variance = tf.cast(layer.moving_variance.value, x.dtype)
  total = 0.0
  if layer.scale:
    normalized = (x - mean) * tf.math.rsqrt(variance + layer.epsilon)
    total += _squares(tf.reduce_sum(d * normalized, axis=axes))
  if layer.center:
    total += _squares(tf.reduce_sum(d, axis=axes))
  return total


def _last_features(model: keras.Model) -> keras.KerasTensor:
  """What a model's last layer sees, `[B, features]`.

  Raises:
    ValueError: if that layer is not dense, with a bias, or if its output is not
      the logits: an activation or an operation follows.
  """
  last = model.layers[-1]
  is_dense = type(last) is keras.layers.Dense and last.use_bias
  # The closed form holds for logits that nothing has changed.
  gives_logits = (
    is_dense
    and last.activation in (None, keras.activations.linear)
    and last.output is model.outputs[0]
  )
  if not gives_logits or len(last.input.shape) != 2:
    raise ValueError(
      "The gradient of the last layer is computed for a dense layer with a "
      "bias that gives the logits itself, without an activation. Received: "
      f"{type(last).__name__} {last.name!r}"
    )
  return last.input


class LastLayerNorms:
  """The gradient's norm of the last layer alone, in closed form.

  Args:
    model: its last layer is dense, of `[B, features]` to logits.
    mean: float32 `[channels]`, of raw pixel values.
    std: float32 `[channels]`, their standard deviations.
    jit_compile: whether XLA compiles it.
  """

  def __init__(
    self,
    model: keras.Model,
    mean: np.ndarray,
    std: np.ndarray,
    jit_compile: bool = False,
  ):
    self._mean, self._std = tf.constant(mean), tf.constant(std)
    features = _last_features(model)
    self._model = keras.Model(model.inputs, [features, model.output])
    self._function = tf.function(self._norms, jit_compile=jit_compile)

  def grand_last(self, images: tf.Tensor, labels: tf.Tensor) -> np.ndarray:
    """`[n]`: the norm for images `[n, H, W, channels]`."""
    return batches.over_batches(
      lambda indices: self._function(images, labels, indices),
      np.arange(len(images)),
      min(256, len(images)),
    )

  def _norms(self, images, labels, indices):
    batch = tf.gather(images, indices)
    inputs = pipeline.normalize(batch, self._mean, self._std)
    features, logits = self._model(inputs, training=False)
    if logits.dtype != tf.float64:
      features, logits = (
        tf.cast(features, "float32"),
        tf.cast(logits, "float32"),
      )
    target = tf.one_hot(
      tf.gather(labels, indices), logits.shape[-1], dtype=logits.dtype
    )
    residual = _squares(tf.nn.softmax(logits) - target)
    return tf.sqrt(residual * (_squares(features) + 1.0))
