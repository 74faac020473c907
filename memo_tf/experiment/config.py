"""The settings of a study: every flag of the main job, as frozen dataclasses.

A flag's name is its field's name; the groups are the groups of `--help`. Each
field's metadata holds its help text and its *policy*: how the value may change
when a study is reopened:

* `fixed`: results depend on it; another value is an error;
* `once`: a number that is 0 until the study has it, and fixed from then on;
* `grows`: a number that may grow (more subsets extend a study). Of a study that
  extends itself (`--target_ci_width`) `num_subsets` is where it starts, and the
  larger one counts;
* `union`: a list to which names may be added;
* `sources`: a list to which references may be added, each with the digest of
  its source, which may not change;
* `free`: where and how the work is done; the last value is recorded.
"""

import dataclasses
import json
import pathlib
import typing
from typing import Any

from memo_tf.experiment import own_models
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib

# Of the study directory. In version 1 the training settings were `recipe`.
FORMAT_VERSION = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig:
  """All settings of a study; `config_rules.validated` checks them."""

  data: settings_lib.DataConfig = settings_lib.DataConfig()
  subsets: settings_lib.SubsetsConfig = settings_lib.SubsetsConfig()
  models: settings_lib.ModelsConfig = settings_lib.ModelsConfig()
  training: settings_lib.TrainingConfig = settings_lib.TrainingConfig()
  running: settings_lib.RunningConfig = settings_lib.RunningConfig()
  outputs: settings_lib.OutputsConfig = settings_lib.OutputsConfig()
  proxies: settings_lib.ProxiesConfig = settings_lib.ProxiesConfig()
  removal: settings_lib.RemovalConfig = settings_lib.RemovalConfig()

  @property
  def is_made_elsewhere(self) -> bool:
    """Whether its runs are given predictions, which nothing here trained."""
    return self.data.dataset.startswith(settings_lib.PREDICTIONS)

  def family_names(self) -> tuple[str, ...]:
    """The subset families asked for, the one of `subset_ratio` first."""
    first = subsets_lib.family_name(
      self.subsets.subset_ratio, self.subsets.subset_scheme
    )
    rest = [f for f in self.subsets.subset_families if f != first]
    return (first, *rest)

  def all_family_names(self) -> tuple[str, ...]:
    """Those of `family_names`, then those that recipes require beside them.

    Raises:
      ValueError: if a recipe requires one that a family does not have.
    """
    asked = [
      (recipe, family)
      for recipe in self.models.recipes
      for family in self.family_names()
    ]
    names = dict.fromkeys(self.family_names())
    for name, family in asked:  # which grows
      recipe = recipes_lib.parse(name, self.training)
      for _, required in recipe.required:
        needed = recipe.required_family(family)
        names.setdefault(needed)
        if (required, needed) not in asked:
          asked.append((required, needed))
    return tuple(names)

  def to_json(self) -> str:
    content = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
    return json.dumps(content, indent=2) + "\n"


def groups() -> dict[str, type]:
  """The groups of fields: name in `StudyConfig` to dataclass."""
  return typing.get_type_hints(StudyConfig)


def format_version(text: str) -> int:
  """The format of a recorded config that `from_json` reads.

  Raises:
    ValueError: if it does not say.
  """
  content = json.loads(text)
  version = content.get("format_version") if isinstance(content, dict) else None
  if not isinstance(version, int):
    raise ValueError("config.json has no format_version")
  return version


def from_json(text: str) -> StudyConfig:
  """Reads a recorded config, in this format or an older one.

  Raises:
    ValueError: if it is not a config, or has a newer format.
  """
  content = json.loads(text)
  if not isinstance(content, dict):
    raise ValueError("it is not a config")
  version = content.pop("format_version", None)
  if not isinstance(version, int) or version > FORMAT_VERSION:
    raise ValueError(
      f"config.json has format_version {version}; this memo_tf reads up to "
      f"{FORMAT_VERSION}: upgrade memo_tf."
    )
  if version < 2:
    content["training"] = content.pop("recipe", {})
  parts = {}
  for group, kind in groups().items():
    values = content.pop(group, {})
    if not isinstance(values, dict):
      raise ValueError(f"config.json has no settings in {group!r}")
    known = {f.name for f in dataclasses.fields(kind)}
    if set(values) - known:
      raise ValueError(
        f"config.json has unknown fields in {group!r}: "
        f"{', '.join(sorted(set(values) - known))}"
      )
    parts[group] = kind(
      **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    )
  if content:
    raise ValueError(f"config.json has unknown groups: {sorted(content)}")
  return StudyConfig(**parts)


def merge(recorded: StudyConfig, given: StudyConfig) -> StudyConfig:
  """The config of a study directory that is reopened with `given`.

  Returns:
    `given` with the lists of names united with the recorded ones.

  Raises:
    ValueError: lists each field that differs but must not.
  """
  conflicts, parts = [], {}
  for group, kind in groups().items():
    old, new = getattr(recorded, group), getattr(given, group)
    changes: dict[str, Any] = {}
    # Before a proxy is requested, nothing was recorded with these settings.
    if group == "proxies" and not old.proxies:
      old = new
    if group == "removal":
      old, new = _before_removal(old, new)
    for field in dataclasses.fields(kind):
      before, after = getattr(old, field.name), getattr(new, field.name)
      policy = field.metadata["policy"]
      if policy == "union":
        changes[field.name] = (*before, *(a for a in after if a not in before))
      elif policy == "sources":
        changes[field.name], changed = own_models.united(
          before, after, field.metadata["parse"]
        )
        conflicts += changed
      elif field.name == "num_subsets" and given.subsets.target_ci_width:
        changes[field.name] = max(before, after)
      elif (
        (policy == "fixed" or (policy == "once" and before))
        and portable(field, before) != portable(field, after)
      ) or (policy == "grows" and after < before):
        conflicts.append(
          f"--{field.name}: recorded {show(before)}, given {show(after)}"
          + (" (it may only grow)" if policy == "grows" else "")
        )
    parts[group] = dataclasses.replace(new, **changes)
  names = (recorded.models.models, given.models.models)
  if problem := own_models.order_problem(*names):
    conflicts.append(problem)
  parts["subsets"], problem = _in_blocks(parts["subsets"])
  if problem:
    conflicts.append(problem)
  if problem := removal_problem(StudyConfig(**parts)):
    conflicts.append(problem)
  if conflicts:
    raise ValueError(
      "the directory holds a study with a different config: "
      + "; ".join(conflicts)
      + ". Give the recorded values, or another --experiment_dir."
    )
  return StudyConfig(**parts)


def removal_problem(config: StudyConfig) -> str:
  """Why models cannot be trained again without examples; "" if they can."""
  if not config.removal.is_asked:
    return ""
  name, family = config.models.recipes[0], config.family_names()[0]
  recipe = recipes_lib.parse(name, config.training)
  if recipe.required_family(family) == family:
    return ""
  flag = (
    "removal_repeats" if config.removal.removal_repeats else "onion_subsets"
  )
  return (
    f"--{flag}: must be 0 if the first of --recipes learns from a run on "
    "other examples, which does not lack those that are left out. Received: "
    f"{getattr(config.removal, flag)} with {name}"
  )


def _before_removal(old, new):
  """The settings of removal to unite: before a first run, only those given."""
  if not old.is_asked:
    return new, new
  if not old.removal_repeats:
    old = dataclasses.replace(old, removal_comparisons=new.removal_comparisons)
  if not old.removal_models:  # all models, which naming some must not reduce
    new = dataclasses.replace(new, removal_models=())
  return old, new


def _in_blocks(
  subsets: settings_lib.SubsetsConfig,
) -> tuple[settings_lib.SubsetsConfig, str]:
  """With a target, the subsets in whole blocks, and what forbids them or ""."""
  if not subsets.target_ci_width:
    return subsets, ""
  block = subsets_lib.block_of(subsets.subset_ratio, subsets.subset_scheme)
  count = -(-subsets.num_subsets // block) * block
  if count <= subsets.max_subsets:
    return dataclasses.replace(subsets, num_subsets=count), ""
  return subsets, (
    f"--max_subsets: the study has {count} subsets already, given "
    f"{subsets.max_subsets} (it must not be below)"
  )


def portable(field: dataclasses.Field, value):
  """A value as it is recorded; of a path the last part, which is portable."""
  if field.metadata["policy"] == "sources":
    return own_models.portable(value, field.metadata["parse"])
  if not field.metadata.get("path") or not value:
    return value
  if value.startswith(("npz:", "folder:")):
    kind, colon, place = value.partition(":")
    return kind + colon + pathlib.PurePath(place).name
  return value if field.name == "dataset" else pathlib.PurePath(value).name


def show(value) -> str:
  """A value as written in a flag."""
  return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
