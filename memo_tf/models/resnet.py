"""Residual networks of 18 to 152 layers, for images of 32 pixels and more.

He et al., "Deep residual learning for image recognition" (2016,
arXiv:1512.03385), table 1: four stages of basic (18, 34) or bottleneck blocks
(50, 101, 152) with 64 to 512 channels. Where the shape changes, the shortcut is a
1x1 convolution (their option B); a bottleneck's stride is in its 3x3 convolution,
as in most re-implementations since.

The stem suits the image: above 64 pixels 7x7 with stride 2 and max pooling (the
paper's); up to 64 pixels 3x3 with stride 1 and no pooling, which would leave
2x2 pixels of 64. Lukasik et al. (2024) do not say which they take for
Tiny-ImageNet.
"""

import keras

from memo_tf.models import layers

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
  channels = [max(1, round(width * c)) for c in STAGE_CHANNELS]
  is_deep = depth >= 50

  def conv_norm(x, filters, size, strides, prefix):
    x = keras.layers.Conv2D(
      filters,
      size,
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

  def relu(x, prefix):
    return keras.layers.ReLU(name=f"{prefix}_relu")(x)

  def block(x, filters, strides, prefix):
    outside = EXPANSION * filters if is_deep else filters
    shortcut = x
    if strides > 1 or x.shape[-1] != outside:
      shortcut = conv_norm(x, outside, 1, strides, f"{prefix}_shortcut")
    if is_deep:
      x = relu(conv_norm(x, filters, 1, 1, f"{prefix}_1"), f"{prefix}_1")
      x = relu(conv_norm(x, filters, 3, strides, f"{prefix}_2"), f"{prefix}_2")
      x = conv_norm(x, outside, 1, 1, f"{prefix}_3")
    else:
      x = relu(conv_norm(x, filters, 3, strides, f"{prefix}_1"), f"{prefix}_1")
      x = conv_norm(x, filters, 3, 1, f"{prefix}_2")
    x = keras.layers.Add(name=f"{prefix}_add")([shortcut, x])
    return relu(x, prefix)

  images = keras.Input(image_shape, name="images")
  if min(image_shape[:2]) > LARGEST_SMALL_IMAGE:
    x = relu(conv_norm(images, channels[0], 7, 2, "stem"), "stem")
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
  else:
    x = relu(conv_norm(images, channels[0], 3, 1, "stem"), "stem")
  for stage, (filters, count) in enumerate(zip(channels, BLOCKS[depth])):
    for place in range(count):
      strides = 2 if stage > 0 and place == 0 else 1
      x = block(x, filters, strides, f"stage{stage + 1}_block{place + 1}")
  x = keras.layers.GlobalAveragePooling2D(name="features")(x)
  # Logits stay in the weights' type under mixed precision.
  dtype = keras.config.dtype_policy().variable_dtype
  logits = keras.layers.Dense(num_classes, dtype=dtype, name="logits")(x)
  return keras.Model(images, logits, name=name)
