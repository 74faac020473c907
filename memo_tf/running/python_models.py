"""Models that a Python program holds, as references that workers can build.

Workers are processes that know nothing of the program that started them. A
function becomes the file that it is in and its name; a built Keras model
becomes a JSON file of its architecture in the study's folder. Its weights are
not kept: every run draws its own. Imports no TensorFlow.
"""

import json
import pathlib
import re
import sys
import types
from typing import Any

from memo_tf.experiment import errors
from memo_tf.store import files


def reference(model: Any, folder: pathlib.Path, *, may_replace: bool) -> str:
  """What `--models` calls a model.

  Args:
    model: a name or reference, which stays as it is; a function
      `(image_shape, num_classes) -> keras.Model` from a file; or a built
      `keras.Model`.
    folder: where the files of built models are written.
    may_replace: whether such a file of another model is replaced: no run was
      made from it yet.

  Raises:
    UsageError: if it is none of them, or a worker could not build it.
    OSError: if the file cannot be written.
  """
  if isinstance(model, str):
    return model
  is_model = hasattr(model, "to_json") and hasattr(model, "get_config")
  if is_model and not isinstance(model, type):
    return _keras_file(model, folder, may_replace)
  if isinstance(model, types.FunctionType):
    return _function_reference(model)
  raise errors.UsageError(
    "`model` must be a name, a function (image_shape, num_classes) -> "
    "keras.Model from a file, or a built keras.Model. Received: "
    f"{type(model).__module__}.{type(model).__qualname__}"
  )


def _function_reference(function: types.FunctionType) -> str:
  """`FILE:FUNCTION` of a function at the top of a file."""
  path = pathlib.Path(function.__code__.co_filename)
  module = sys.modules.get(function.__module__)
  if not path.is_file() or path.suffix != ".py":
    raise errors.UsageError(
      "a model's function must be in a .py file, since workers are processes "
      "of their own: write it to my_models.py (in a notebook with %%writefile "
      f"my_models.py) and import it. Received: {function.__name__}, defined in "
      "a notebook or at a prompt"
    )
  if getattr(module, function.__name__, None) is not function:
    raise errors.UsageError(
      "a model's function must be at the top of its file under its own name, "
      f"or workers cannot find it. Received: {function.__qualname__} in {path}"
    )
  return f"{path}:{function.__name__}"


def _keras_file(model: Any, folder: pathlib.Path, may_replace: bool) -> str:
  """The path of a built model's JSON file, which is written if it is new."""
  if not getattr(model, "built", True):
    raise errors.UsageError(
      "a keras.Model must be built, so that its input is known: give it an "
      f"Input layer. Received: {model.name}"
    )
  try:
    text = model.to_json()
  except Exception as error:  # whatever a layer's own get_config raises
    raise errors.UsageError(
      f"the keras.Model {model.name} has no architecture as JSON "
      f"({errors.brief(error)}): give a function from a file instead"
    ) from error
  content = json.loads(text)
  content.pop("compile_config", None)  # runs have their own optimizer and loss
  text = json.dumps(_without_counters(content), indent=1, sort_keys=True) + "\n"
  name = re.sub(r"[^A-Za-z0-9_]+", "_", _plain_name(content)).strip("_")
  path = folder / f"{name or 'model'}.json"
  if path.exists() and path.read_text(encoding="utf-8") == text:
    return str(path)
  if path.exists() and not may_replace:
    raise errors.UsageError(
      "`model` must be what the study was made from: another architecture is "
      f"in {path}. Give that one, name this one otherwise "
      "(keras.Model(…, name=…)), or give another directory"
    )
  files.write_atomic(path, text)
  return str(path)


def _plain_name(layer: dict) -> str:
  """A layer's or model's name; without its counter where Keras made it up."""
  name = str(layer["config"]["name"])
  kind = _snake_case(layer["class_name"])
  return kind if re.fullmatch(rf"{re.escape(kind)}(_\d+)?", name) else name


def _without_counters(content: dict) -> dict:
  """An architecture whose layers do not count what was built before it.

  Keras numbers layers without a name throughout a process: the same model
  built twice has `dense` and `dense_1`. Here they are numbered within the
  model, so that it stays the same model, with the same initial weights.
  """
  found = list(_layers(content))
  taken = {str(layer["config"]["name"]) for layer in found}
  taken -= {n for n in taken if any(_is_made_up(x, n) for x in found)}
  new: dict[str, str] = {}
  for layer in found:
    name = str(layer["config"]["name"])
    if name in new or not _is_made_up(layer, name):
      continue
    kind, count = _plain_name(layer), 0
    while (chosen := kind + (f"_{count}" if count else "")) in taken:
      count += 1
    taken.add(chosen)
    new[name] = chosen
  return _renamed(content, new)


def _is_made_up(layer: dict, name: str) -> bool:
  return layer["config"]["name"] == name and (
    re.fullmatch(rf"{_snake_case(layer['class_name'])}(_\d+)?", name)
    is not None
  )


def _layers(value: Any):
  """Yields every object of an architecture that has a class and a name."""
  if isinstance(value, dict):
    config = value.get("config")
    if "class_name" in value and isinstance(config, dict) and "name" in config:
      yield value
    for key in value:
      yield from _layers(value[key])
  elif isinstance(value, list):
    for item in value:
      yield from _layers(item)


def _renamed(value: Any, new: dict[str, str], key: str = "") -> Any:
  """A copy in which names of layers, and references to them, are replaced."""
  if isinstance(value, dict):
    return {k: _renamed(item, new, k) for k, item in value.items()}
  if isinstance(value, list):
    return [_renamed(item, new, key) for item in value]
  # Other texts may look like a name: an activation is called "softmax".
  is_name = key in ("name", "keras_history", "input_layers", "output_layers")
  return new.get(value, value) if is_name and isinstance(value, str) else value


def _snake_case(name: str) -> str:
  """As Keras makes a layer's name from that of its class."""
  name = re.sub(r"\W+", "", name)
  name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
  return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
