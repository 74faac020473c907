"""Residual networks of depth 6n + 2 for small images.

He et al., "Deep residual learning for image recognition" (2016,
arXiv:1512.03385), section 4.2: a 3x3 convolution, three stages of n basic
blocks with 16, 32 and 64 channels, global average pooling and a linear layer.
Where the number of channels changes, the shortcut takes every second pixel
and pads with zero channels (their option A, without parameters), or is a 1x1
convolution of stride 2 (option B).

The second version, "Identity mappings in deep residual networks" (2016,
arXiv:1603.05027), normalizes and rectifies before each convolution instead of
after it: the shortcut is the identity, except that where the shape changes it
starts from the rectified input; one more normalization precedes the pooling.
"""

import keras

from memo_tf.models import layers
from memo_tf.models import named_layers

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
    preactivation: whether blocks are those of the second version.
    projection: whether shortcuts are those of option B.
    image_shape: `(H, W, channels)`, H and W at least 8.
    num_classes: C.
    batch_norm_momentum: of the moving statistics, in [0, 1).
    synchronized: whether batch statistics are those of all replicas.

  Returns:
    A functional model; its layer `features` gives `[B, 64 * width]`.
  """
  build_block = _preactivation_block if preactivation else _block
  make = named_layers.NamedLayers(batch_norm_momentum, synchronized)
  channels = [max(1, round(width * c)) for c in STAGE_CHANNELS]
  images = keras.Input(image_shape, name="images")
  x = make.conv(images, channels[0], "stem")
  if not preactivation:
    x = make.relu(make.norm(x, "stem"), "stem")
  for stage, filters in enumerate(channels):
    for number in range((depth - 2) // 6):
      strides = 2 if stage > 0 and number == 0 else 1
      prefix = f"stage{stage + 1}_block{number + 1}"
      x = build_block(make, x, filters, strides, prefix, projection)
  if preactivation:
    x = make.relu(make.norm(x, "last"), "last")
  x = keras.layers.GlobalAveragePooling2D(name="features")(x)
  return keras.Model(images, make.logits(x, num_classes), name=name)


def _block(make, x, filters, strides, prefix, projection):
  """Two convolutions and a shortcut, rectified after the addition."""
  shortcut = x
  if strides > 1 and projection:
    shortcut = make.conv_norm(
      x, filters, f"{prefix}_shortcut", size=1, strides=strides
    )
  elif strides > 1:
    shortcut = _zero_padded(x, filters, strides, prefix)
  x = make.conv_norm(x, filters, f"{prefix}_1", strides=strides)
  x = make.relu(x, f"{prefix}_1")
  x = make.conv_norm(x, filters, f"{prefix}_2")
  x = keras.layers.Add(name=f"{prefix}_add")([shortcut, x])
  return make.relu(x, prefix)


def _preactivation_block(make, x, filters, strides, prefix, projection):
  """Two convolutions, each after a rectifier, and a shortcut."""
  active = make.relu(make.norm(x, f"{prefix}_1"), f"{prefix}_1")
  shortcut = x
  if strides > 1 and projection:
    shortcut = make.conv(
      active, filters, f"{prefix}_shortcut", size=1, strides=strides
    )
  elif strides > 1:
    shortcut = _zero_padded(active, filters, strides, prefix)
  x = make.conv(active, filters, f"{prefix}_1", strides=strides)
  x = make.relu(make.norm(x, f"{prefix}_2"), f"{prefix}_2")
  x = make.conv(x, filters, f"{prefix}_2")
  return keras.layers.Add(name=f"{prefix}_add")([shortcut, x])


def _zero_padded(x, filters, strides, prefix):
  return layers.ShortcutA(filters, strides, name=f"{prefix}_shortcut")(x)
