"""Imports the sources of own models: functions, modules and JSON.

A file is run from the content that the study has a digest of, with the folder
that it is in on the path, so that what lies beside it is found.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import hashlib
import importlib
import json
import pathlib
import sys
import types
from typing import Any
from typing import Protocol

import keras

from memo_tf.experiment import own_models


class Source(Protocol):
  """A source, as `store.own_sources.Source`."""

  @property
  def name(self) -> str:
    """The model's name, or that of what is imported."""
    ...

  @property
  def reference(self) -> own_models.Reference:
    """To the source."""
    ...

  @property
  def content(self) -> bytes:
    """Of the source."""
    ...

  @property
  def path(self) -> pathlib.Path:
    """Of a file with this content."""
    ...


def builder(source: Source) -> Callable[..., Any]:
  """The function of a source, or one that builds its JSON."""
  if source.path.suffix == ".json":
    content = json.loads(source.content)
    if not isinstance(content, dict) or "class_name" not in content:
      raise ValueError("it is not what model.to_json() writes")
    content.pop("compile_config", None)
    return lambda image_shape, num_classes: (
      keras.saving.deserialize_keras_object(
        json.loads(json.dumps(content)), safe_mode=True
      )
    )
  found = import_source(source)
  function = getattr(found, source.reference.function, None)
  if not callable(function):
    known = [
      n for n, v in vars(found).items() if isinstance(v, types.FunctionType)
    ]
    raise ValueError(
      f"it has no function {source.reference.function!r}; it has "
      f"{', '.join(known) or 'none'}"
    )
  return function


def import_source(source: Source) -> types.ModuleType:
  """Imports a source: a module by its name, a file from its content.

  A module that is not here, or is another one, is taken from the content.
  """
  reference = source.reference
  if not reference.is_file and "" not in sys.path:
    sys.path.append("")  # as for `python -m`
  if not reference.is_file and reference.file() == source.path:
    return importlib.import_module(reference.place)
  # Once a file and content, so that custom layers are registered once.
  key = hashlib.sha256(str(source.path).encode() + source.content).hexdigest()
  name = f"memo_tf_own_{key[:16]}"
  if name not in sys.modules:
    module = types.ModuleType(name)
    module.__file__ = str(source.path)
    sys.modules[name] = module  # dataclasses look their module up
    try:
      exec(compile(source.content, str(source.path), "exec"), vars(module))
    except BaseException:
      del sys.modules[name]
      raise
  return sys.modules[name]


@contextlib.contextmanager
def beside(source: Source) -> Iterator[None]:
  """Lets a source import, for the block, the modules that lie beside it."""
  folder = str(source.path.parent)
  sys.path.insert(0, folder)
  try:
    yield
  finally:
    sys.path.remove(folder)
