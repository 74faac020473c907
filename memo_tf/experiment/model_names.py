"""The grammar of model names; lets a config be checked without TensorFlow.

    cifar_resnet-20          depth 6n + 2
    cifar_resnet-20-w0.5     the same with half the channels
    cifar_resnet-20-v2       with pre-activation blocks (He et al., 2016b)
    cifar_resnet-20-shortcutB  with projections (option B) where shapes change
    resnet-18                18, 34, 50, 101 or 152, for larger images
    mobilenet_v3_small-0.5   small or large, with its width multiplier
    given-1-NAME             trained elsewhere; of several sizes the first
    own-small                a model of the user's own (`own_models`)

The builders are in `memo_tf.models`; a family has an entry in `FAMILIES` here
and one in the table there.
"""

from collections.abc import Callable
import dataclasses
import functools
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
    options: what sets it apart from the family's plain form, such as `v2`.
    min_image_size: the smallest height and width that the family takes.
    relative_cost: of a training step, to plan with before anything is measured;
      comparable within a family only.
  """

  name: str
  family: str
  size: int
  width: float
  min_image_size: int
  relative_cost: float
  options: tuple[str, ...] = ()

  @property
  def label(self) -> str:
    """The name that tables and figures show."""
    return label(self.name)

  @property
  def ladder(self) -> str:
    """The name shared by all sizes of one ladder: family and options."""
    return "-".join((self.family, *self.options))


# Before the name of an own model's function; such names have no other dash.
OWN, OWN_LADDER = "own-", "own"
CIFAR_RESNET_OPTIONS = ("v2", "shortcutB")
RESNET_DEPTHS = (18, 34, 50, 101, 152)


def _cifar_resnet(name: str, rest: str) -> ModelName:
  options = tuple(o for o in CIFAR_RESNET_OPTIONS if f"-{o}-" in f"-{rest}-")
  suffix = "".join(f"-{option}" for option in options)
  if not rest.endswith(suffix):
    raise ValueError(
      "Options come last, in the order "
      f"{', '.join(CIFAR_RESNET_OPTIONS)}. Received: {name!r}"
    )
  plain = rest.removesuffix(suffix)
  depth, width = _depth_and_width("cifar_resnet", name, plain, suffix)
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
    options=options,
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
  family: str, name: str, rest: str, suffix: str = ""
) -> tuple[int, float]:
  """The numbers in `DEPTH` or `DEPTH-wWIDTH`; accepts one spelling only.

  `suffix` is the rest of the name, after the numbers.
  """
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
  canonical = f"{family}-{depth}" + (f"-w{width:g}" if width != 1 else "")
  canonical += suffix
  if name != canonical:  # a name is a folder: one model, one name
    raise ValueError(f"This model is written {canonical!r}. Received: {name!r}")
  return depth, width


def _given(name: str, rest: str) -> ModelName:
  match = re.fullmatch(
    r"(?:([0-9]{1,2})-)?([A-Za-z][A-Za-z0-9_.\-]{0,79})", rest
  )
  if not match:
    raise ValueError(
      "A model that was trained elsewhere is named `given-NAME`, or "
      "`given-RANK-NAME` among several sizes; NAME begins with a letter and "
      "goes on with letters, digits and `_.-`, at most 80 in all. Received: "
      f"{name!r}"
    )
  rank = int(match[1] or 1)
  return ModelName(
    name=name,
    family="given",
    size=rank,
    width=1.0,
    min_image_size=1,
    relative_cost=float(rank),
  )


def _own(name: str, rest: str) -> ModelName:
  if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
    raise ValueError(
      "An own model is named `own-FUNCTION`, of letters, digits and "
      f"underscores. Received: {name!r}"
    )
  return ModelName(
    name=name,
    family=OWN_LADDER,
    size=1,
    width=1.0,
    min_image_size=1,
    relative_cost=1.0,
  )


def is_own(name: str) -> bool:
  """Whether a name is that of an own model."""
  return name.startswith(OWN)


def label(name: str) -> str:
  """The name that tables and figures show: of an own model the function's.

  Of a model that was trained elsewhere it is the name that was given.
  """
  return re.sub(rf"^({OWN}|given-([0-9]{{1,2}}-)?)", "", name)


FAMILIES: dict[str, Callable[[str, str], ModelName]] = {
  "cifar_resnet": _cifar_resnet,
  "given": _given,
  "mobilenet_v3_large": _mobilenet_v3,
  "mobilenet_v3_small": _mobilenet_v3,
  "resnet": _resnet,
}


@functools.lru_cache(maxsize=1024)  # called for every unit of a study
def parse(name: str) -> ModelName:
  """Parses a model's name, or raises a `ValueError` that states the rule."""
  family, _, rest = name.partition("-")
  if is_own(name):
    return _own(name, rest)
  if family not in FAMILIES:
    raise ValueError(
      f"Unknown model family. Known: {', '.join(sorted(FAMILIES))}, as in "
      "`cifar_resnet-20`; a model of your own is given as "
      f"`my_models.py:function`. Received: {name!r}"
    )
  return FAMILIES[family](name, rest)


def check_image(model: ModelName, image_shape: tuple[int, ...]) -> None:
  """Raises a `ValueError` if a model does not accept images of this shape."""
  if len(image_shape) != 3 or min(image_shape[:2]) < model.min_image_size:
    size = model.min_image_size
    raise ValueError(
      f"{model.name} takes images [H, W, channels] of at least {size}x{size}. "
      f"Received: image_shape={tuple(image_shape)}"
    )
