"""What removal leaves out, written before its first run and never changed.

    subsets/<family>.json     the selection, sealed: `experiment.removal`
    subsets/<family>.npy      bool [repeats, N], drawn from it and the seed

A file is created, not replaced: scores of more runs, or of another machine,
select nothing anew. A family whose file is missing has no units yet.
"""

from collections.abc import Mapping
import pathlib

import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import removal
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions
from memo_tf.store import sealed

_LISTS = ("ids", "test_ids")


def path(directory: directory_lib.StudyDirectory, family: str) -> pathlib.Path:
  """Where a family's selection is, or will be."""
  return directory.in_mask_path(family).with_suffix(".json")


def write(
  directory: directory_lib.StudyDirectory, selection: removal.Selection
) -> removal.Selection:
  """Writes a selection; returns the one that was there before, if any."""
  content = {
    "format_version": config_lib.FORMAT_VERSION,
    "family": selection.family,
    "num_examples": selection.num_examples,
    "ids": list(selection.ids),
    "test_ids": list(selection.test_ids),
    "about": dict(selection.about),
  }
  target = path(directory, selection.family)
  try:
    files.create(target, sealed.dumps(content))
  except FileExistsError:
    return read(directory, selection.family)
  return selection


def read(
  directory: directory_lib.StudyDirectory, family: str
) -> removal.Selection:
  """The selection of a family.

  Raises:
    FileNotFoundError: if it is not written yet.
    StudyError: if it is damaged.
  """
  place = path(directory, family)
  try:
    content = sealed.loads(place.read_bytes())
    version = content["format_version"]
    if version > config_lib.FORMAT_VERSION:
      raise ValueError(f"it was written by a newer memo_tf ({version})")
    if content["family"] != family:
      raise ValueError(f"it is that of {content['family']!r}")
    count = content["num_examples"]
    ids, test_ids = (content[name] for name in _LISTS)
    if ids != sorted({*ids}) or not all(0 <= n < count for n in ids):
      raise ValueError("its ids are not ascending ids of training examples")
    return removal.Selection(
      family=family,
      ids=tuple(ids),
      num_examples=count,
      test_ids=tuple(test_ids),
      about=content["about"],
    )
  except FileNotFoundError:
    raise
  except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
    raise errors.StudyError(
      f"{place} cannot be read ({errors.brief(error)}): restore it from a "
      "copy, since the runs without these examples depend on it. Only if there "
      "are none yet, move it away and rerun the same command."
    ) from error


def is_unknown(directory: directory_lib.StudyDirectory, family: str) -> bool:
  """Whether a family leaves out what is not selected yet."""
  return removal.is_removal(family) and not path(directory, family).exists()


def written(
  directory: directory_lib.StudyDirectory | None, config: config_lib.StudyConfig
) -> dict[str, removal.Selection]:
  """The selections of the families that a study asks for, where written.

  Args:
    directory: of the study; None: there is none yet.
    config: of the study.

  Raises:
    StudyError: if one is damaged.
  """
  found: dict[str, removal.Selection] = {}
  if directory is None:
    return found
  for family in removal.families(config):
    try:
      found[family.name] = read(directory, family.name)
    except FileNotFoundError:
      continue
  return found


def plan(
  directory: directory_lib.StudyDirectory | None,
  config: config_lib.StudyConfig,
  *,
  with_unknown: bool = False,
) -> plan_lib.Plan:
  """The plan of a study: with the units of every selection that is written.

  Args:
    directory: of the study; None: there is none yet.
    config: of the study, validated.
    with_unknown: also with the units whose selection is not written yet, as
      `--dry_run` and `memo_tf.status` count them.

  Raises:
    StudyError: if a selection is damaged.
  """
  known = written(directory, config)
  size = config.training.batch_size
  removed = {}
  for family in removal.families(config):
    if family.name in known:
      if known[family.name].can_train(size):
        removed[family.name] = known[family.name].share
    elif with_unknown:
      removed[family.name] = 0.0
  return plan_lib.Plan.of(config, removed)


def in_masks(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
  families: tuple[str, ...],
  num_examples: int,
  *,
  least: int = 0,
) -> Mapping[str, np.ndarray]:
  """bool `[M, N]` by family: the subsets that seed and selections give.

  Args:
    directory: of the study.
    config: of the study.
    families: of `Plan.families`.
    num_examples: N.
    least: M is at least this.

  Raises:
    StudyError: if a data set of that size has no such subsets, or a selection
      is missing, damaged, or of other data.
  """
  found, labels = {}, None
  for family in families:
    if not removal.is_removal(family):
      found[family] = dataset_info.in_mask(
        family, num_examples, config, least=least
      )
      continue
    try:
      selection = read(directory, family)
    except FileNotFoundError as error:
      raise errors.StudyError(
        f"{path(directory, family)} is missing: restore it from a copy."
      ) from error
    if labels is None:
      table = predictions.read_examples(directory)
      labels = table.loc[table["split"] == "train", "label"].to_numpy()
    if selection.num_examples != num_examples or len(labels) != num_examples:
      raise errors.StudyError(
        f"{path(directory, family)} is of {selection.num_examples} training "
        f"examples, the data set has {num_examples}"
      )
    found[family] = selection.in_mask(
      labels,
      max(removal.num_subsets(config, family), least),
      config.running.seed,
    )
  return found
