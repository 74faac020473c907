"""Checks a study that has lost its config.json against the flags given.

The runs record what they were made with: seed, threads, and digests of recipe,
data set and subset. If the flags agree with them, config.json may be written
again.
"""

import dataclasses
import json

import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import own_models
from memo_tf.experiment import recipes
from memo_tf.experiment import removal
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import sealed
from memo_tf.store import selections


def check_runs(
  directory: directory_lib.StudyDirectory, config: config_lib.StudyConfig
) -> None:
  """Checks that the runs of a directory were made with `config`.

  Args:
    directory: of the study, without config.json.
    config: of the flags given, validated.

  Raises:
    UsageError: names the first difference.
  """
  if not any(directory.run_paths()):
    return  # never set up: what is there was left by a set-up that broke off
  info = _info(directory)
  if info is not None:
    _refuse_any(directory, _dataset_differences(info, config))
  masks: dict[str, np.ndarray] = {}
  for path in directory.run_paths():
    try:
      record = sealed.loads(path.read_bytes())
      unit = work_units.parse_unit(record["unit"])
      recipe = recipes.parse(unit.recipe, config.training)
      family = unit.subsets
      if not removal.is_removal(family):
        subsets_lib.parse_family(family)
      _refuse_any(directory, _run_differences(record, unit, recipe, config))
    except errors.UsageError:
      raise
    except (OSError, ValueError, KeyError, TypeError):
      continue  # a damaged run is reported when it is needed
    if info is None:
      continue
    if family not in masks:
      masks |= selections.in_masks(
        directory, config, (family,), info["num_train"]
      )
    expected = {
      "dataset_digest": info["digest"],
      "subset_digest": files.digest_bytes(
        np.packbits(masks[family][unit.index])
      ),
    }
    for name, digest in expected.items():
      if record.get(name) != digest:
        _refuse_any(
          directory,
          [
            f"{unit.name} has {name} {record.get(name)}, but the flags and the "
            f"data set give {digest}"
          ],
        )


def _info(directory: directory_lib.StudyDirectory) -> dict | None:
  """`dataset/info.json`; None if it is lost too and will be made again."""
  try:
    return dataset_info.read_info(directory)
  except errors.StudyError:
    return None


def _refuse_any(
  directory: directory_lib.StudyDirectory, differences: list[str]
) -> None:
  if differences:
    raise errors.UsageError(
      f"{directory.root} has lost its config.json, and its runs were made with "
      f"other settings than those given: {'; '.join(differences)}. Give the "
      "flags of the study, or another --experiment_dir."
    )


def _dataset_differences(info, config) -> list[str]:
  if dataset_info.is_made_from(info, config):
    return []
  recorded = info.get("made_from", {})
  return [
    f"--{name}: recorded {recorded[name]}, given {value}"
    for name, value in json.loads(
      json.dumps(dataset_info.made_from(config))
    ).items()
    if name in recorded and recorded[name] != value
  ] or ["the data set"]


def _run_differences(record, unit, recipe, config) -> list[str]:
  """How the flags differ from what a run recorded."""
  if record["format_version"] < config_lib.FORMAT_VERSION:
    return [
      "they were made by an older memo_tf, whose studies can be read and "
      "scored, but not extended: restore config.json from a copy"
    ]
  given = {
    "seed": ("seed", config.running.seed),
    "threads": ("threads_per_unit", config.running.threads_per_unit),
  }
  found = [
    f"--{flag}: recorded {record[name]}, given {value}"
    for name, (flag, value) in given.items()
    if record[name] != value
  ]
  if record["recipe_digest"] != recipe.digest():
    # JSON has lists where the recipe has tuples.
    fields = json.loads(json.dumps(dataclasses.asdict(recipe)))
    before = record.get("recipe", {})
    found += [
      f"--{name}: recorded {before[name]}, given {value}"
      for name, value in fields.items()
      if before.get(name, value) != value
    ] or [f"{unit.name} was trained by another recipe of the same name"]
  own = own_models.by_name(config.models.own_models).get(unit.model)
  source = record.get("model_source")
  if own and source != own.digest:
    found.append(
      f"--models: {unit.name} was trained from another source of {unit.model} "
      f"(digest {source}, given {own.digest})"
    )
  name, count = "num_subsets", config.subsets.num_subsets
  if removal.is_removal(unit.subsets):
    is_onion = removal.is_onion(unit.subsets)
    name = "onion_subsets" if is_onion else "removal_repeats"
    count = removal.num_subsets(config, unit.subsets)
  if unit.index >= count:
    found.append(
      f"--{name}: {unit.name} was run, given {count} (it may only grow)"
    )
  return found
