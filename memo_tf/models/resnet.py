"""Residual networks of 18 to 152 layers, for images of 32 pixels and more.

He et al., "Deep residual learning for image recognition" (2016,
arXiv:1512.03385), table 1: four stages of basic (18, 34) or bottleneck blocks
(50, 101, 152) with 64 to 512 channels. Where the shape changes, the shortcut is
a 1x1 convolution (their option B); a bottleneck's stride is in its 3x3
convolution, as in most re-implementations since.

The stem depends on the image: above 64 pixels 7x7 with stride 2 and max pooling
(the paper's); up to 64 pixels 3x3 with stride 1 and no pooling, since the
paper's would leave 2x2 of 64x64 pixels. Lukasik et al. (2024) do not say which
they use for Tiny-ImageNet.
"""

import keras

from memo_tf.models import named_layers

BLOCKS = {
  18: (2, 2, 2, 2),
  34: (3, 4, 6, 3),
  50: (3, 4, 6, 3),
  101: (3, 4, 23, 3),
  152: (3, 8, 36, 3),
}
STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION = 4  # of a bottleneck block's last convolution
LARGEST_SMALL_IMAGE = 64


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
    depth: 18, 34, 50, 101 or 152.
    width: factor on the number of channels of each stage.
    image_shape: `(H, W, channels)`, H and W at least 32.
    num_classes: C.
    batch_norm_momentum: of the moving statistics, in [0, 1).
    synchronized: whether batch statistics are those of all replicas.

  Returns:
    A functional model; its layer `features` gives `[B, 512 * width]`, or four
    times as many with bottleneck blocks.
  """
  make = named_layers.NamedLayers(batch_norm_momentum, synchronized)
  channels = [max(1, round(width * c)) for c in STAGE_CHANNELS]
  build_block = _bottleneck_block if depth >= 50 else _basic_block
  images = keras.Input(image_shape, name="images")
  if min(image_shape[:2]) > LARGEST_SMALL_IMAGE:
    x = make.conv_norm(images, channels[0], "stem", size=7, strides=2)
    x = make.relu(x, "stem")
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
  else:
    x = make.relu(make.conv_norm(images, channels[0], "stem"), "stem")
  for stage, (filters, count) in enumerate(zip(channels, BLOCKS[depth])):
    for number in range(count):
      strides = 2 if stage > 0 and number == 0 else 1
      prefix = f"stage{stage + 1}_block{number + 1}"
      x = build_block(make, x, filters, strides, prefix)
  x = keras.layers.GlobalAveragePooling2D(name="features")(x)
  return keras.Model(images, make.logits(x, num_classes), name=name)


def _basic_block(make, x, filters, strides, prefix):
  """Two 3x3 convolutions and a shortcut."""
  shortcut = _shortcut(make, x, filters, strides, prefix)
  x = make.conv_norm(x, filters, f"{prefix}_1", strides=strides)
  x = make.conv_norm(make.relu(x, f"{prefix}_1"), filters, f"{prefix}_2")
  x = keras.layers.Add(name=f"{prefix}_add")([shortcut, x])
  return make.relu(x, prefix)


def _bottleneck_block(make, x, filters, strides, prefix):
  """A 1x1, a 3x3 and a 1x1 convolution, and a shortcut."""
  outside = EXPANSION * filters
  shortcut = _shortcut(make, x, outside, strides, prefix)
  x = make.relu(
    make.conv_norm(x, filters, f"{prefix}_1", size=1), f"{prefix}_1"
  )
  x = make.conv_norm(x, filters, f"{prefix}_2", strides=strides)
  x = make.relu(x, f"{prefix}_2")
  x = make.conv_norm(x, outside, f"{prefix}_3", size=1)
  x = keras.layers.Add(name=f"{prefix}_add")([shortcut, x])
  return make.relu(x, prefix)


def _shortcut(make, x, filters, strides, prefix):
  """The identity, or a 1x1 convolution where the shape changes."""
  if strides == 1 and x.shape[-1] == filters:
    return x
  return make.conv_norm(
    x, filters, f"{prefix}_shortcut", size=1, strides=strides
  )
