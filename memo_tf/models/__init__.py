"""Models by name: images `[B, H, W, channels]` to logits `[B, C]`."""

import math
import re

import keras

from memo_tf.experiment import model_names
from memo_tf.models import cifar_resnet
from memo_tf.models import mobilenet_v3
from memo_tf.models import precision as precision_lib
from memo_tf.models import resnet


def _cifar_resnet(parsed: model_names.ModelName, **options) -> keras.Model:
  return cifar_resnet.build(
    name=parsed.name,
    depth=parsed.size,
    width=parsed.width,
    preactivation="v2" in parsed.options,
    projection="shortcutB" in parsed.options,
    **options,
  )


def _resnet(parsed: model_names.ModelName, **options) -> keras.Model:
  return resnet.build(
    name=parsed.name, depth=parsed.size, width=parsed.width, **options
  )


def _mobilenet_v3(parsed: model_names.ModelName, **options) -> keras.Model:
  return mobilenet_v3.build(
    name=parsed.name,
    variant=parsed.family.removeprefix("mobilenet_v3_"),
    width=parsed.width,
    **options,
  )


BUILDERS = {
  "cifar_resnet": _cifar_resnet,
  "mobilenet_v3_large": _mobilenet_v3,
  "mobilenet_v3_small": _mobilenet_v3,
  "resnet": _resnet,
}

# How builders name the layers of a block; the block's last layer is its output.
_BLOCK = re.compile(r"(?:stage\d+_)?block\d+(?=_)")


def list_models() -> list[str]:
  """The families of models: the first parts of models' names."""
  return sorted(BUILDERS)


def build_model(
  name: str,
  *,
  image_shape: tuple[int, int, int],
  num_classes: int,
  batch_norm_momentum: float = 0.9,
  synchronized: bool = False,
  precision: str = "float32",
) -> keras.Model:
  """Builds a model by name.

  Args:
    name: such as `cifar_resnet-20` or `cifar_resnet-20-w0.5`; the grammar is in
      `memo_tf.experiment.model_names`.
    image_shape: `(H, W, channels)`.
    num_classes: C, at least 2.
    batch_norm_momentum: of the moving statistics, in [0, 1).
    synchronized: whether batch normalization takes its statistics over all
      replicas of a `tf.distribute` strategy.
    precision: `float32`, `float64`, or `bfloat16` for layers that compute in
      bfloat16 with float32 weights, statistics and logits.

  Returns:
    A functional `keras.Model` from float images to logits, float32 (float64).

  Raises:
    ValueError: for an unknown name, an image that is too small for the family,
      or fewer than two classes.
  """
  parsed = model_names.parse(name)
  model_names.check_image(parsed, image_shape)
  if num_classes < 2:
    raise ValueError(
      f"`num_classes` must be at least 2. Received: {num_classes}"
    )
  if parsed.family not in BUILDERS:
    raise ValueError(
      "An own model is built from its source (`memo_tf.models.own`). Received: "
      f"{name!r}"
    )
  with precision_lib.policy(precision):
    return BUILDERS[parsed.family](
      parsed,
      image_shape=tuple(image_shape),
      num_classes=num_classes,
      batch_norm_momentum=batch_norm_momentum,
      synchronized=synchronized,
    )


def block_outputs(model: keras.Model) -> list[str]:
  """The names of the layers that are outputs of a model's blocks, in order.

  A block's layers share a prefix, `stage1_block2` or `block3`; the last of
  them, in the order in which the model computes, is the block's output.
  """
  last: dict[str, str] = {}
  for layer in model.layers:
    match = _BLOCK.match(layer.name)
    if match:
      last[match[0]] = layer.name
  return list(last.values())


def count_parameters(model: keras.Model) -> int:
  """The number of trainable parameters, as papers count them."""
  return sum(math.prod(v.shape) for v in model.trainable_variables)
