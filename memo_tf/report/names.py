"""Plain names and words for what the page shows."""

from collections.abc import Iterable

from memo_tf.analysis import evidence
from memo_tf.experiment import model_names

_FAMILIES = {
  "cifar_resnet": "ResNet",
  "resnet": "ResNet",
  "mobilenet_v3_small": "MobileNetV3-Small",
  "mobilenet_v3_large": "MobileNetV3-Large",
}
_RECIPE_OPTIONS = {
  "scaled": "scaled",
  "sees_all": "the teacher saw all images",
  "sees_complement": "the teacher saw the held-out images only",
}
_OPTIONS = {"v2": "pre-activation", "shortcutB": "projections"}


def model(name: str) -> str:
  """A model's plain name: "ResNet-8" for `cifar_resnet-8`.

  An own model has its function's name; what follows no grammar is as it is.
  """
  try:
    parsed = model_names.parse(name)
  except ValueError:
    return name
  if parsed.family not in _FAMILIES:
    return parsed.label
  text = _FAMILIES[parsed.family]
  if parsed.family.startswith("mobilenet"):
    return f"{text} ×{parsed.width:g}"
  text += f"-{parsed.size}"
  if parsed.width != 1:
    text += f" ×{parsed.width:g}"
  more = [_OPTIONS.get(option, option) for option in parsed.options]
  return f"{text} ({', '.join(more)})" if more else text


def plain(text: str, models: Iterable[str]) -> str:
  """A sentence with plain names in place of these models' names."""
  # Longer names first: `cifar_resnet-8` begins `cifar_resnet-8-w0.5`.
  for name in sorted(models, key=len, reverse=True):
    text = text.replace(name, model(name))
  return text


def recipe(name: str) -> str:
  """A recipe's plain name."""
  kind, _, rest = name.partition("-")
  if kind == "one_hot":
    return "one-hot labels" + _options(rest)
  if kind == "smoothed":
    smoothing, _, more = rest.partition("-")
    return f"labels smoothed by {smoothing}" + _options(more)
  if kind == "distilled":
    teacher, _, temperature = rest.rpartition("-t")
    temperature, _, more = temperature.partition("-")
    text = f"distilled from {model(teacher)}, temperature {temperature}"
    return text + _options(more)
  if kind == "pruned":
    share, _, more = rest.partition("-")
    return f"pruned to {share} zeros" + _options(more)
  if kind == "clustered":
    number, _, more = rest.partition("-")
    return f"{number} values per kernel" + _options(more)
  if kind == "int8":
    return "8-bit integers"
  if kind == "frozen":
    return "last layer only" + _options(rest)
  return name.replace("_", " ")


def _options(options: str) -> str:
  """The options of a recipe's name, in words, with a comma before each."""
  found = []
  for option in filter(None, options.split("-")):
    if option in _RECIPE_OPTIONS:
      found.append(_RECIPE_OPTIONS[option])
    elif option[0] in "ae" and option[1:].replace(".", "", 1).isdigit():
      what = {"a": "alpha {}", "e": "{} epochs"}[option[0]]
      found.append(what.format(option[1:]))
    else:
      found.append(option)
  return "".join(f", {text}" for text in found)


def q_value(value: float) -> str:
  """A q-value in words."""
  if value <= evidence.MAX_Q_VALUE:
    return f"q = {value:.3f}: unlikely to be chance"
  return f"q = {value:.3f}: may be chance"


def counted(count: int, noun: str, plural: str = "") -> str:
  """A count with its noun: "1 image", "1,500 images"."""
  return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(items: list[str]) -> str:
  """Items as a phrase: "a, b and c"."""
  if len(items) < 2:
    return "".join(items)
  return f"{', '.join(items[:-1])} and {items[-1]}"
