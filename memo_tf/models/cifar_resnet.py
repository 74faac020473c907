"""Residual networks of depth 6n + 2 for small images.

He et al., "Deep residual learning for image recognition" (2016,
arXiv:1512.03385), section 4.2: a 3x3 convolution, three stages of n basic
blocks with 16, 32 and 64 channels, global average pooling and a linear layer.
Where the number of channels changes, the shortcut takes every second pixel
and pads with zero channels (their option A, without parameters), or is a 1x1
convolution of stride 2 (option B).

The second version, "Identity mappings in deep residual networks" (2016,
arXiv:1603.05027), normalizes and rectifies before each convolution instead of
behind it: the shortcut is left as it is, except that where the shape changes it
starts from the rectified input; a last normalization stands before the pooling.
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
  preactivation: bool = False,
  projection: bool = False,
  image_shape: tuple[int, int, int],
  num_classes: int,
  batch_norm_momentum: float,
  synchronized: bool = False,
) -> keras.Model:
  """Builds the network: images `[B, H, W, channels]` to logits `[B, C]`.

  Args:
    name: the model's name.
    depth: 6n + 2 with n at least 1.
    width: factor on the number of channels of each stage.
    preactivation: the second version's blocks.
    projection: shortcuts of option B.
    image_shape: `(H, W, channels)`, H and W at least 8.
    num_classes: C.
    batch_norm_momentum: of the moving statistics, in [0, 1).
    synchronized: whether batch statistics are those of all replicas.

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

  def shortcut_of(x, filters, strides, prefix):
    if strides == 1:
      return x
    if not projection:
      return layers.ShortcutA(filters, strides, name=prefix)(x)
    x = conv(x, filters, strides, prefix, size=1)
    return x if preactivation else norm(x, prefix)

  def block(x, filters, strides, prefix):
    shortcut = shortcut_of(x, filters, strides, f"{prefix}_shortcut")
    x = norm(conv(x, filters, strides, f"{prefix}_1"), f"{prefix}_1")
    x = relu(x, f"{prefix}_1")
    x = norm(conv(x, filters, 1, f"{prefix}_2"), f"{prefix}_2")
    x = keras.layers.Add(name=f"{prefix}_add")([shortcut, x])
    return relu(x, prefix)

  def preactivation_block(x, filters, strides, prefix):
    active = relu(norm(x, f"{prefix}_1"), f"{prefix}_1")
    start = active if strides > 1 else x
    shortcut = shortcut_of(start, filters, strides, f"{prefix}_shortcut")
    x = conv(active, filters, strides, f"{prefix}_1")
    x = relu(norm(x, f"{prefix}_2"), f"{prefix}_2")
    x = conv(x, filters, 1, f"{prefix}_2")
    return keras.layers.Add(name=f"{prefix}_add")([shortcut, x])

  make_block = preactivation_block if preactivation else block
  images = keras.Input(image_shape, name="images")
  x = conv(images, channels[0], 1, "stem")
  if not preactivation:
    x = relu(norm(x, "stem"), "stem")
  for stage, filters in enumerate(channels):
    for place in range(num_blocks):
      strides = 2 if stage > 0 and place == 0 else 1
      x = make_block(x, filters, strides, f"stage{stage + 1}_block{place + 1}")
  if preactivation:
    x = relu(norm(x, "last"), "last")
  x = keras.layers.GlobalAveragePooling2D(name="features")(x)
  # Logits stay in the weights' type under mixed precision.
  dtype = keras.config.dtype_policy().variable_dtype
  logits = keras.layers.Dense(num_classes, dtype=dtype, name="logits")(x)
  return keras.Model(images, logits, name=name)
