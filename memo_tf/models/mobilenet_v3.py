"""MobileNetV3, small and large, with a width multiplier.

Howard et al., "Searching for MobileNetV3" (2019, arXiv:1905.02244), tables 1
and 2: inverted residual blocks with squeeze-and-excitation and hard swish.
Layers and rounding of widths are those of `keras.applications` (a test compares
the parameters), which cannot be used itself: it rejects images under 32 pixels,
halves them in its first layer (a 32x32 image would end as one pixel), and has a
batch normalization momentum of 0.999, so that evaluation lags thousands of
steps behind.

Three things differ here. Small images are halved less often, without the first
strides: from 16 to 64 pixels two are left out (the stem's and the first
block's; the last map is 8x smaller per side instead of 32x), under 16 pixels
three (4x), so that the last map has at least 2x2 pixels. The momentum is the
recipe's. The head has no dropout: a study has no random stream for its noise.
"""

import keras

from memo_tf.models import named_layers

# Kernel size, expansion, channels, squeeze-and-excitation, hard swish, stride.
LARGE = (
  (3, 1, 16, False, False, 1),
  (3, 4, 24, False, False, 2),
  (3, 3, 24, False, False, 1),
  (5, 3, 40, True, False, 2),
  (5, 3, 40, True, False, 1),
  (5, 3, 40, True, False, 1),
  (3, 6, 80, False, True, 2),
  (3, 2.5, 80, False, True, 1),
  (3, 2.3, 80, False, True, 1),
  (3, 2.3, 80, False, True, 1),
  (3, 6, 112, True, True, 1),
  (3, 6, 112, True, True, 1),
  (5, 6, 160, True, True, 2),
  (5, 6, 160, True, True, 1),
  (5, 6, 160, True, True, 1),
)
SMALL = (
  (3, 1, 16, True, False, 2),
  (3, 72 / 16, 24, False, False, 2),
  (3, 88 / 24, 24, False, False, 1),
  (5, 4, 40, True, True, 2),
  (5, 6, 40, True, True, 1),
  (5, 6, 40, True, True, 1),
  (5, 3, 48, True, True, 1),
  (5, 3, 48, True, True, 1),
  (5, 6, 96, True, True, 2),
  (5, 6, 96, True, True, 1),
  (5, 6, 96, True, True, 1),
)
VARIANTS = {"small": (SMALL, 1024), "large": (LARGE, 1280)}
STEM_CHANNELS = 16
# (for images under this side, how many of the first strides are left out).
LEFT_OUT_STRIDES = ((16, 3), (65, 2))


def build(
  *,
  name: str,
  variant: str,
  width: float,
  image_shape: tuple[int, int, int],
  num_classes: int,
  batch_norm_momentum: float,
  synchronized: bool = False,
) -> keras.Model:
  """Builds the network: images `[B, H, W, channels]` to logits `[B, C]`.

  Args:
    name: the model's name.
    variant: `small` or `large`.
    width: factor on the channels of every block.
    image_shape: `(H, W, channels)`, H and W at least 8.
    num_classes: C.
    batch_norm_momentum: of the moving statistics, in [0, 1).
    synchronized: whether batch statistics are those of all replicas.

  Returns:
    A functional model; its last layer but one, `features`, gives `[B, F]`.
  """
  make = named_layers.NamedLayers(batch_norm_momentum, synchronized)
  blocks, last_channels = VARIANTS[variant]
  left_out = next(
    (n for side, n in LEFT_OUT_STRIDES if min(image_shape[:2]) < side), 0
  )
  images = keras.Input(image_shape, name="images")
  x = make.conv(images, STEM_CHANNELS, "stem", strides=1 if left_out else 2)
  x = _activate(make.norm(x, "stem"), True, "stem")
  left_out = max(left_out - 1, 0)
  for number, (*block, out, excites, swish, strides) in enumerate(blocks):
    if strides > 1 and left_out:
      strides, left_out = 1, left_out - 1
    block += [_channels(out * width), excites, swish, strides]
    x = _block(make, x, number, *block)
  x = make.conv_norm(x, _channels(6 * x.shape[-1]), "last", size=1)
  x = _activate(x, True, "last")
  x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
  if width > 1:
    last_channels = _channels(last_channels * width)
  x = keras.layers.Dense(
    last_channels, kernel_initializer="he_normal", name="head"
  )(x)
  x = _activate(x, True, "head")
  x = keras.layers.Activation("linear", name="features")(x)
  return keras.Model(images, make.logits(x, num_classes), name=name)


def _block(make, x, number, size, expansion, out, excites, swish, strides):
  """An inverted residual block: expand, filter each channel, project."""
  prefix, shortcut = f"block{number + 1}", x
  inside = _channels(x.shape[-1] * expansion)
  if number > 0:
    x = make.conv_norm(x, inside, f"{prefix}_expand", size=1)
    x = _activate(x, swish, f"{prefix}_expand")
  x = keras.layers.DepthwiseConv2D(
    size,
    strides=strides,
    padding="same",
    use_bias=False,
    depthwise_initializer="he_normal",
    name=f"{prefix}_depthwise",
  )(x)
  x = make.norm(x, f"{prefix}_depthwise")
  x = _activate(x, swish, f"{prefix}_depthwise")
  if excites:
    x = _squeeze_excite(make, x, f"{prefix}_se")
  x = make.conv_norm(x, out, f"{prefix}_project", size=1)
  if strides == 1 and shortcut.shape == x.shape:
    x = keras.layers.Add(name=f"{prefix}_add")([shortcut, x])
  return x


def _activate(x, is_hard_swish, prefix):
  function = "hard_silu" if is_hard_swish else "relu"
  return keras.layers.Activation(function, name=f"{prefix}_act")(x)


def _squeeze_excite(make, x, prefix):
  """Scales each channel by a function of the means of all channels."""
  filters = x.shape[-1]
  scale = keras.layers.GlobalAveragePooling2D(
    keepdims=True, name=f"{prefix}_squeeze"
  )(x)
  scale = make.conv(
    scale, _channels(filters / 4), f"{prefix}_reduce", size=1, use_bias=True
  )
  scale = make.relu(scale, prefix)
  scale = make.conv(scale, filters, f"{prefix}_expand", size=1, use_bias=True)
  scale = keras.layers.Activation("hard_sigmoid", name=f"{prefix}_gate")(scale)
  return keras.layers.Multiply(name=f"{prefix}_multiply")([x, scale])


def _channels(value: float, divisor: int = 8) -> int:
  """The next multiple of 8 that is not more than 10 % smaller."""
  rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
  return rounded + divisor if rounded < 0.9 * value else rounded
