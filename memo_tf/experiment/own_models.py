"""References to people's own models: where the source of each is.

    my_models.py:small      a function in a file
    my_package.models:small a function in a module that can be imported
    my_model.json           `model.to_json()` of a `keras.Model`

A function takes `(image_shape, num_classes)` and returns a `keras.Model` from
images to logits. The model is named by the function (or the file): `own-small`,
`own-my_model`. What identifies it is the digest of its source, not the path.
A recorded reference ends with it: `my_models.py:small@<digest>`; it has none
if the file is not there, as when a study is resumed elsewhere.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import hashlib
from importlib import machinery
import os
import pathlib
import re
import sys
from typing import Any

from memo_tf.experiment import model_names

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{32}")
FORMS = "`my_models.py:function`, `package.module:function`, or `my_model.json`"


@dataclasses.dataclass(frozen=True)
class Reference:
  """Where a source is, and its digest.

  Attributes:
    place: path of a .py or .json file, or the name of a module.
    function: that builds the model; empty for JSON and for imported modules.
    digest: of the source, 32 hex digits; empty if it was not found.
  """

  place: str
  function: str = ""
  digest: str = ""

  @property
  def is_file(self) -> bool:
    """Whether `place` is a path, rather than the name of a module."""
    return self.place.endswith((".py", ".json"))

  @property
  def name(self) -> str:
    """The model's name, `own-<function>`; of an import, that of its source."""
    stem = pathlib.PurePath(self.place).stem if self.is_file else self.place
    if self.function or self.place.endswith(".json"):
      return model_names.OWN + (self.function or stem)
    return stem

  @property
  def told(self) -> str:
    """The reference as a user gives it, with the last part of a path."""
    place = pathlib.PurePath(self.place).name if self.is_file else self.place
    return f"{place}:{self.function}" if self.function else place

  def __str__(self) -> str:
    text = f"{self.place}:{self.function}" if self.function else self.place
    return f"{text}@{self.digest}"

  def file(self) -> pathlib.Path | None:
    """The file of the source; None if it is not found."""
    path = pathlib.Path(self.place) if self.is_file else _module_file(self)
    return path if path and path.is_file() else None


def digest(content: bytes) -> str:
  """The digest of a source, 32 hex digits."""
  return hashlib.sha256(content).hexdigest()[:32]


def is_reference(text: str) -> bool:
  """Whether a name of `--models` is a reference to an own model."""
  return ":" in text or "@" in text or text.endswith((".json", ".py"))


def parse(text: str) -> Reference:
  """Parses a reference to a model, with or without a digest.

  Raises:
    ValueError: states the rule.
  """
  body, found = _without_digest(text)
  place, _, function = body.rpartition(":")
  if body.endswith(".json"):
    place, function = body, ""
    _check_identifier(pathlib.PurePath(place).stem, text, "file")
  elif not place:
    raise ValueError(
      f"An own model is given as {FORMS}. Received: {text!r}"
      + (" without a function" if body.endswith(".py") else "")
    )
  else:
    _check_identifier(function, text, "function")
  return _checked(Reference(place, function, found), text)


def parse_import(text: str) -> Reference:
  """Parses an item of `--import`: a .py file or the name of a module.

  Raises:
    ValueError: states the rule.
  """
  body, found = _without_digest(text)
  if ":" in body or body.endswith(".json"):
    raise ValueError(
      "An import is given as `my_layers.py` or `package.module`. "
      f"Received: {text!r}"
    )
  if body.endswith(".py"):
    _check_identifier(pathlib.PurePath(body).stem, text, "import")
  return _checked(Reference(body, "", found), text)


def _without_digest(text: str) -> tuple[str, str]:
  body, at, found = text.rpartition("@")
  if at and (not found or _DIGEST.fullmatch(found)):
    return body, found
  return text, ""


def _checked(reference: Reference, text: str) -> Reference:
  if not reference.is_file and not _MODULE.fullmatch(reference.place):
    raise ValueError(
      f"{reference.place!r} is neither a .py file nor the name of a module. "
      f"Received: {text!r}"
    )
  return reference


def _check_identifier(name: str, text: str, what: str) -> None:
  if not _IDENTIFIER.fullmatch(name):
    raise ValueError(
      f"The name of an own model's {what} must have letters, digits and "
      "underscores only, and no digit first: files of the study are named by "
      f"it. Received: {text!r}"
    )


def _module_file(reference: Reference) -> pathlib.Path | None:
  """The file of a module, found without importing its packages."""
  path: list[str] | None = [os.getcwd(), *sys.path]
  parts = reference.place.split(".")
  spec = None
  for count in range(1, len(parts) + 1):
    if path is None:
      return None
    spec = machinery.PathFinder.find_spec(".".join(parts[:count]), path)
    if spec is None:
      return None
    found = spec.submodule_search_locations
    path = None if found is None else list(found)
  origin = spec.origin if spec else None
  return pathlib.Path(origin) if origin and origin.endswith(".py") else None


def resolved(models: Any) -> Any:
  """A `settings.ModelsConfig` whose references are names with a digest.

  References in `models` become names there, and entries of `own_models`; what
  has a digest already is not read again. A file that is not there leaves its
  digest empty: a study that has the model knows it (`united`).

  Raises:
    ValueError: names the flag, the rule and the reference.
  """
  own = [_located(parse(text), "models") for text in models.own_models]
  names = []
  for text in models.models:
    if is_reference(text):
      reference = _located(parse(text), "models")
      own.append(reference)
      text = reference.name
    names.append(text)
  imports = [_located(_import(text), "import") for text in models.imports]
  return dataclasses.replace(
    models,
    models=tuple(names),
    own_models=_once(own, "models"),
    imports=_once(imports, "import"),
  )


def _import(text: str) -> Reference:
  try:
    return parse_import(text)
  except ValueError as error:
    raise ValueError(f"--import: {error}") from error


def _located(reference: Reference, flag: str) -> Reference:
  """The reference with an absolute path and its source's digest."""
  if reference.digest:
    return reference
  path = reference.file()
  if reference.is_file:
    place = os.path.abspath(reference.place)
    reference = dataclasses.replace(reference, place=place)
  if path is None:
    return reference
  try:
    found = digest(path.read_bytes())
  except OSError as error:
    raise ValueError(
      f"--{flag}: {path} cannot be read ({error.strerror})"
    ) from error
  return dataclasses.replace(reference, digest=found)


def _once(references: Iterable[Reference], flag: str) -> tuple[str, ...]:
  """Recorded references, each name once.

  Raises:
    ValueError: if two sources have one name.
  """
  found: dict[str, Reference] = {}
  for reference in references:
    other = found.setdefault(reference.name, reference)
    if not _is_same(other, reference):
      raise ValueError(
        f"--{flag}: {other.told} in {_folder(other)} (digest "
        f"{other.digest[:8]}) and {reference.told} in {_folder(reference)} "
        f"({reference.digest[:8]}) would both be {reference.name}: give one of "
        "them another name; if it is one file that has changed since, restore "
        "it, or start a new --experiment_dir."
      )
    if other.digest != reference.digest:
      found[reference.name] = other if other.digest else reference
  return tuple(map(str, found.values()))


def _is_same(one: Reference, other: Reference) -> bool:
  """Whether two references of one name can be to one source."""
  if one.digest and other.digest:
    return one.digest == other.digest
  return one.told == other.told


def _folder(reference: Reference) -> str:
  path = pathlib.PurePath(reference.place)
  return str(path.parent) if reference.is_file else "the module path"


def portable(entries: Iterable[str], parse: Callable[[str], Reference]):
  """Recorded references without their folders."""
  return tuple(
    f"{reference.told}@{reference.digest}" for reference in map(parse, entries)
  )


def by_name(entries: Iterable[str]) -> dict[str, Reference]:
  """The own models of `own_models`, by their names."""
  return {reference.name: reference for reference in map(parse, entries)}


def united(
  before: Iterable[str],
  after: Iterable[str],
  parse: Callable[[str], Reference],
) -> tuple[tuple[str, ...], list[str]]:
  """Recorded references united with those given.

  Args:
    before: recorded.
    after: given; a source that was not found counts as the recorded one.
    parse: `parse` or `parse_import`.

  Returns:
    The union, and a line for each source that has changed.
  """
  found = {reference.name: reference for reference in map(parse, before)}
  changed = []
  for reference in map(parse, after):
    known = found.get(reference.name)
    if known and reference.digest not in ("", known.digest):
      changed.append(
        f"the source of {reference.name} has changed: {known.told} had the "
        f"digest {known.digest[:8]}, {reference.told} has "
        f"{reference.digest[:8]} (--models={reference.name} is the recorded "
        "one, of which the study has a copy under models/)"
      )
    elif not known or (reference.digest and reference.file()):
      found[reference.name] = reference
  return tuple(map(str, found.values())), changed


def order_problem(before: Iterable[str], after: Iterable[str]) -> str | None:
  """How the given order of own models differs from the recorded ladder's."""
  given = [name for name in after if model_names.is_own(name)]
  known = [name for name in before if name in given]
  given = [name for name in given if name in known]
  if known == given:
    return None
  return (
    f"--models: the ladder of own models is recorded as {','.join(known)}, "
    f"given {','.join(given)}"
  )
