"""Residual networks of depth 6n + 2 for small images.

He et al., "Deep residual learning for image recognition" (2016,
arXiv:1512.03385), section 4.2: a 3x3 convolution, three stages of n basic
blocks with 16, 32 and 64 channels, global average pooling and a linear layer.
Where the number of channels changes, the shortcut takes every second pixel
and pads with zero channels (their option A, without parameters).
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

  Returns:
    A functional model; its layer `features` gives `[B, 64 * width]`.
  """
  num_blocks = (depth - 2) // 6
  channels = [max(1, round(width * c)) for c in STAGE_CHANNELS]

  def conv_norm(x, filters, strides, prefix):
    x = keras.layers.Conv2D(
      filters,
      3,
      strides=strides,
      padding="same",
      use_bias=False,
      kernel_initializer="he_normal",
      name=f"{prefix}_conv",
    )(x)
    return layers.BatchNormalization(
      momentum=batch_norm_momentum,
      synchronized=synchronized,
      name=f"{prefix}_bn",
    )(x)

  images = keras.Input(image_shape, name="images")
  x = conv_norm(images, channels[0], 1, "stem")
  x = keras.layers.ReLU(name="stem_relu")(x)
  for stage, filters in enumerate(channels):
    for block in range(num_blocks):
      prefix = f"stage{stage + 1}_block{block + 1}"
      strides = 2 if stage > 0 and block == 0 else 1
      shortcut = x
      x = conv_norm(x, filters, strides, f"{prefix}_1")
      x = keras.layers.ReLU(name=f"{prefix}_1_relu")(x)
      x = conv_norm(x, filters, 1, f"{prefix}_2")
      if strides > 1:
        shortcut = layers.ShortcutA(
          filters, strides, name=f"{prefix}_shortcut"
        )(shortcut)
      x = keras.layers.Add(name=f"{prefix}_add")([shortcut, x])
      x = keras.layers.ReLU(name=f"{prefix}_relu")(x)
  x = keras.layers.GlobalAveragePooling2D(name="features")(x)
  # Logits stay in the weights' type under mixed precision.
  dtype = keras.config.dtype_policy().variable_dtype
  logits = keras.layers.Dense(num_classes, dtype=dtype, name="logits")(x)
  return keras.Model(images, logits, name=name)
