"""The sources of own models: the study's copies, and what was found in them.

    models/own-small.py  models/import-my_layers.py  models/checked.json

A study builds its models from these copies, whose digests config.json records:
it can be moved, resumed and extended without the files that it was made from,
and does not change with them. What a source imports itself is not copied.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import pathlib

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import model_names
from memo_tf.experiment import own_models
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import sealed

FOLDER = "models"
CHECKED = "checked.json"


@dataclasses.dataclass(frozen=True)
class Source:
  """The source of an own model, or of what is imported before.

  Attributes:
    reference: to it.
    content: of the file, which has the reference's digest.
    path: of a file with this content: the user's if it is there, so that what
      lies beside it is found; else the study's copy.
  """

  reference: own_models.Reference
  content: bytes
  path: pathlib.Path

  @property
  def name(self) -> str:
    return self.reference.name


def copy_path(
  directory: directory_lib.StudyDirectory, reference: own_models.Reference
) -> pathlib.Path:
  """The path of the study's copy of a source."""
  is_json = reference.place.endswith(".json")
  is_model = model_names.is_own(reference.name)
  name = reference.name if is_model else f"import-{reference.name}"
  return directory.root / FOLDER / (name + (".json" if is_json else ".py"))


def check_known(config: config_lib.StudyConfig) -> config_lib.StudyConfig:
  """Returns a config in which every own model has a source.

  Raises:
    UsageError: names the first that has none.
  """
  known = own_models.by_name(config.models.own_models)
  imports = map(own_models.parse_import, config.models.imports)
  for reference in (*known.values(), *imports):
    if not reference.digest:
      is_model = model_names.is_own(reference.name)
      what = "a .py or .json file" if reference.is_file else "a module"
      raise errors.UsageError(
        f"--{'models' if is_model else 'import'} must name {what} that exists. "
        f"Received: {reference.place}"
      )
  for name in plan_lib.Plan.of(config).models:
    if model_names.is_own(name) and name not in known:
      raise errors.UsageError(
        f"{name} is a model that this study does not have: give its source, as "
        f"in --models=my_models.py:{model_names.label(name)}, or for a teacher "
        "--own_models. "
        f"Received: --models={config_lib.show(config.models.models)} "
        f"--recipes={config_lib.show(config.models.recipes)}"
      )
  return config


def references(config: config_lib.StudyConfig) -> list[own_models.Reference]:
  """What a study imports and builds, imports first."""
  return [
    *map(own_models.parse_import, config.models.imports),
    *map(own_models.parse, config.models.own_models),
  ]


def read(
  directory: directory_lib.StudyDirectory, config: config_lib.StudyConfig
) -> list[Source]:
  """The sources of a study's own models, imports first.

  Raises:
    StudyError: if one is neither in the study nor where it was given.
  """
  return [_read([directory], each) for each in references(config)]


def keep(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
  others: Iterable[directory_lib.StudyDirectory] = (),
) -> None:
  """Copies the sources of own models into the study, those it lacks.

  Args:
    directory: of the study.
    config: of the study.
    others: further folders of the study, which may have them.

  Raises:
    StudyError: as `read`.
    OSError: if they cannot be written.
  """
  for reference in references(config):
    source = _read([directory, *others], reference)
    path = copy_path(directory, source.reference)
    if _content(path) != source.content:
      files.write_atomic(path, source.content)


def _read(directories, reference: own_models.Reference) -> Source:
  copies = [copy_path(directory, reference) for directory in directories]
  found = [
    (path, content)
    for path in (reference.file(), *copies)
    if path and (content := _content(path)) is not None
    if own_models.digest(content) == reference.digest
  ]
  if not found:
    raise errors.StudyError(
      f"the source of {reference.name} cannot be found: {copies[0]} is "
      f"missing or changed, and so is {reference.place}. Put a file with the "
      f"digest {reference.digest} there, then rerun the same command to resume."
    )
  path, content = found[0]
  return Source(reference, content, path)


def _content(path: pathlib.Path) -> bytes | None:
  try:
    return path.read_bytes()
  except OSError:
    return None


def problems(
  directory: directory_lib.StudyDirectory, config: config_lib.StudyConfig
) -> Iterator[tuple[str, str]]:
  """Yields each copy that is missing or changed, and what is wrong with it."""
  for reference in references(config):
    path = copy_path(directory, reference)
    content = _content(path)
    if content is None:
      yield f"{FOLDER}/{path.name}", "is missing"
    elif own_models.digest(content) != reference.digest:
      yield f"{FOLDER}/{path.name}", "differs from its recorded digest"


def demanding(config: config_lib.StudyConfig) -> list[str]:
  """The recipes of a study that not every own model can have."""
  kinds = (recipes.CompressedRecipe, recipes.FrozenRecipe)
  return [
    name
    for name in config.models.recipes
    if isinstance(recipes.parse(name, config.training), kinds)
  ]


def checked(directory: directory_lib.StudyDirectory) -> dict[str, dict]:
  """What was found when each own model was first built, by name.

  Of each: `source`, its digest, and `start`, that of the initial values that
  all runs share. A file that is missing or damaged counts as empty: the launch
  builds and checks the models again.
  """
  path = directory.root / FOLDER / CHECKED
  try:
    return dict(sealed.loads(path.read_bytes())["models"])
  except (OSError, ValueError, KeyError, TypeError):
    return {}


def note_checked(
  directory: directory_lib.StudyDirectory, found: Mapping[str, dict]
) -> None:
  """Adds to what `checked` gives."""
  content = {
    "format_version": config_lib.FORMAT_VERSION,
    "models": checked(directory) | dict(found),
  }
  path = directory.root / FOLDER / CHECKED
  files.write_atomic(path, sealed.dumps(content))
