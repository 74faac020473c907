"""Residual networks of depth 6n + 2 for small images.

He et al., "Deep residual learning for image recognition" (2016,
arXiv:1512.03385), section 4.2: a 3x3 convolution, three stages of n basic
blocks with 16, 32 and 64 channels, global average pooling and a linear layer.
Where the number of channels changes, the shortcut takes every second pixel
and pads with zero channels (their option A, without parameters), or is a 1x1
convolution with batch normalization (option B).

Block v2 is that of He et al., "Identity mappings in deep residual networks"
(2016, arXiv:1603.05027): normalization and ReLU before each convolution, nothing
after the addition, and a last normalization and ReLU before the pooling. Where
the number of channels changes, the shortcut too starts from the activated input,
and option B is then a bare convolution.
"""

import keras

from memo_tf.models import layers

MIN_IMAGE_SIZE = 8
STAGE_CHANNELS = (16, 32, 64)


def build(
  *,
  name: str,
  depth: int,
  width: float,
  image_shape: tuple[int, int, int],
  num_classes: int,
  batch_norm_momentum: float,
  synchronized: bool = False,
  block: str = "v1",
  shortcut: str = "A",
) -> keras.Model:
  """Builds the network: images `[B, H, W, channels]` to logits `[B, C]`.

  Args:
    name: the model's name.
    depth: 6n + 2 with n at least 1.
    width: factor on the number of channels of each stage.
    image_shape: `(H, W, channels)`, H and W at least 8.
    num_classes: C.
    batch_norm_momentum: of the moving statistics, in [0, 1).
    synchronized: whether batch statistics are those of all replicas.
    block: `v1`, or `v2` for pre-activation blocks.
    shortcut: `A` without parameters, or `B`, a 1x1 convolution, where the number
      of channels changes.

  Returns:
    A functional model; its layer `features` gives `[B, 64 * width]`.
  """
  num_blocks = (depth - 2) // 6
  channels = [max(1, round(width * c)) for c in STAGE_CHANNELS]

  def conv(x, filters, strides, prefix, size=3):
    return keras.layers.Conv2D(
      filters,
      size,
      strides=strides,
      padding="same",
      use_bias=False,
      kernel_initializer="he_normal",
      name=f"{prefix}_conv",
    )(x)

  def norm(x, prefix):
    return layers.BatchNormalization(
      momentum=batch_norm_momentum,
      synchronized=synchronized,
      name=f"{prefix}_bn",
    )(x)

  def relu(x, prefix):
    return keras.layers.ReLU(name=f"{prefix}_relu")(x)

  def shorten(x, filters, strides, prefix):
    """The shortcut of a block that changes the shape."""
    if shortcut == "A":
      return layers.ShortcutA(filters, strides, name=f"{prefix}_shortcut")(x)
    x = conv(x, filters, strides, f"{prefix}_shortcut", size=1)
    return norm(x, f"{prefix}_shortcut") if block == "v1" else x

  def block_v1(x, filters, strides, prefix):
    inputs = x
    x = norm(conv(x, filters, strides, f"{prefix}_1"), f"{prefix}_1")
    x = relu(x, f"{prefix}_1")
    x = norm(conv(x, filters, 1, f"{prefix}_2"), f"{prefix}_2")
    if strides > 1:
      inputs = shorten(inputs, filters, strides, prefix)
    x = keras.layers.Add(name=f"{prefix}_add")([inputs, x])
    return relu(x, prefix)

  def block_v2(x, filters, strides, prefix):
    inputs = x
    x = relu(norm(x, f"{prefix}_1"), f"{prefix}_1")
    if strides > 1:
      inputs = shorten(x, filters, strides, prefix)
    x = conv(x, filters, strides, f"{prefix}_1")
    x = relu(norm(x, f"{prefix}_2"), f"{prefix}_2")
    x = conv(x, filters, 1, f"{prefix}_2")
    return keras.layers.Add(name=f"{prefix}_add")([inputs, x])

  images = keras.Input(image_shape, name="images")
  x = conv(images, channels[0], 1, "stem")
  if block == "v1":
    x = relu(norm(x, "stem"), "stem")
  add_block = block_v1 if block == "v1" else block_v2
  for stage, filters in enumerate(channels):
    for number in range(num_blocks):
      strides = 2 if stage > 0 and number == 0 else 1
      x = add_block(x, filters, strides, f"stage{stage + 1}_block{number + 1}")
  if block == "v2":
    x = relu(norm(x, "last"), "last")
  x = keras.layers.GlobalAveragePooling2D(name="features")(x)
  # Logits stay in the weights' type under mixed precision.
  dtype = keras.config.dtype_policy().variable_dtype
  logits = keras.layers.Dense(num_classes, dtype=dtype, name="logits")(x)
  return keras.Model(images, logits, name=name)
