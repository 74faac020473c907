"""The grammar of model names, so that a config is checked without TensorFlow.

    cifar_resnet-20          depth 6n + 2
    cifar_resnet-20-w0.5     the same with half the channels
    cifar_resnet-20-v2       pre-activation blocks; the default are v1
    cifar_resnet-20-b        shortcut B, a 1x1 convolution; the default is A
    cifar_resnet-20-v2-b-w2  all of them, in this order
    resnet-18                18, 34, 50, 101 or 152, for larger images
    mobilenet_v3_small-0.5   small or large, with its width multiplier

The builders are in `memo_tf.models`; a family is a line in `FAMILIES` here and
a line in its table there.
"""

from collections.abc import Callable
import dataclasses
import re


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelName:
  """A parsed name.

  Attributes:
    name: as given, also the name of the model's folder.
    family: such as `cifar_resnet`.
    size: the family's own measure of size; for a ResNet its depth, for a
      MobileNet its width in percent.
    width: factor on the number of channels, above 0.
    min_image_size: the smallest height and width that the family takes.
    relative_cost: of a training step, to plan with before anything is measured;
      comparable within a family only.
    block: of a cifar_resnet, `v1` or `v2`.
    shortcut: of a cifar_resnet where the shape changes, `A` or `B`.
  """

  name: str
  family: str
  size: int
  width: float
  min_image_size: int
  relative_cost: float
  block: str = "v1"
  shortcut: str = "A"

  @property
  def line(self) -> str:
    """What the sizes of a study share: family, block and shortcut."""
    return (
      self.family
      + ("-v2" if self.block == "v2" else "")
      + ("-b" if self.shortcut == "B" else "")
    )


RESNET_DEPTHS = (18, 34, 50, 101, 152)


def _cifar_resnet(name: str, rest: str) -> ModelName:
  # The options stand between depth and width.
  match = re.fullmatch(r"([0-9]+)(-v2)?(-b)?(-w.*)?", rest)
  if not match:
    raise ValueError(
      "A cifar_resnet is named `cifar_resnet-DEPTH` or "
      "`cifar_resnet-DEPTH-wWIDTH`, before -w `-v2` for pre-activation blocks, "
      f"then `-b` for shortcut B. Received: {name!r}"
    )
  options = (match[2] or "") + (match[3] or "")
  depth, width = _depth_and_width(
    "cifar_resnet", name, match[1] + (match[4] or ""), options
  )
  if depth < 8 or (depth - 2) % 6:
    raise ValueError(
      "The depth of a cifar_resnet must be 6n + 2 with n at least 1: 8, 14, "
      f"20, 26, 32, … Received: {name!r}"
    )
  return ModelName(
    name=name,
    family="cifar_resnet",
    size=depth,
    width=width,
    min_image_size=8,
    relative_cost=depth * width * max(width, 0.5),
    block="v2" if match[2] else "v1",
    shortcut="B" if match[3] else "A",
  )


def _resnet(name: str, rest: str) -> ModelName:
  depth, width = _depth_and_width("resnet", name, rest)
  if depth not in RESNET_DEPTHS:
    raise ValueError(
      "The depth of a resnet must be one of "
      f"{', '.join(map(str, RESNET_DEPTHS))}. Received: {name!r}"
    )
  return ModelName(
    name=name,
    family="resnet",
    size=depth,
    width=width,
    min_image_size=32,
    relative_cost=depth * width * max(width, 0.5),
  )


def _mobilenet_v3(name: str, rest: str) -> ModelName:
  family = name.partition("-")[0]
  if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", rest):
    raise ValueError(
      f"A {family} is named `{family}-WIDTH`, as in `{family}-0.5`. "
      f"Received: {name!r}"
    )
  width = float(rest)
  if not width > 0:
    raise ValueError(f"A width factor must be above 0. Received: {name!r}")
  canonical = f"{family}-{width:g}"
  if name != canonical:
    raise ValueError(f"This model is written {canonical!r}. Received: {name!r}")
  return ModelName(
    name=name,
    family=family,
    size=round(100 * width),
    width=width,
    min_image_size=8,
    relative_cost=width * max(width, 0.5),
  )


def _depth_and_width(
  family: str, name: str, rest: str, options: str = ""
) -> tuple[int, float]:
  """The numbers of `DEPTH` or `DEPTH-wWIDTH`, written in one way only."""
  match = re.fullmatch(
    r"([0-9]{1,4})(?:-w([0-9]{1,2}(?:\.[0-9]{1,3})?))?", rest
  )
  if not match:
    raise ValueError(
      f"A {family} is named `{family}-DEPTH` or `{family}-DEPTH-wWIDTH`. "
      f"Received: {name!r}"
    )
  depth, width = int(match[1]), float(match[2] or 1)
  if not width > 0:
    raise ValueError(f"A width factor must be above 0. Received: {name!r}")
  canonical = f"{family}-{depth}{options}"
  canonical += f"-w{width:g}" if width != 1 else ""
  if name != canonical:  # a name is a folder: one model, one name
    raise ValueError(f"This model is written {canonical!r}. Received: {name!r}")
  return depth, width


FAMILIES: dict[str, Callable[[str, str], ModelName]] = {
  "cifar_resnet": _cifar_resnet,
  "mobilenet_v3_large": _mobilenet_v3,
  "mobilenet_v3_small": _mobilenet_v3,
  "resnet": _resnet,
}


def parse(name: str) -> ModelName:
  """Parses a model's name, or raises a `ValueError` that says the rule."""
  family, _, rest = name.partition("-")
  if family not in FAMILIES:
    raise ValueError(
      f"Unknown model family. Known: {', '.join(sorted(FAMILIES))}, as in "
      f"`cifar_resnet-20`. Received: {name!r}"
    )
  return FAMILIES[family](name, rest)


def check_image(model: ModelName, image_shape: tuple[int, ...]) -> None:
  """Raises a `ValueError` if a model does not take images of this shape."""
  if len(image_shape) != 3 or min(image_shape[:2]) < model.min_image_size:
    size = model.min_image_size
    raise ValueError(
      f"{model.name} takes images [H, W, channels] of at least {size}x{size}. "
      f"Received: image_shape={tuple(image_shape)}"
    )
