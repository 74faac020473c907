"""Merges runs of one study that were made in several folders into one folder.

Everything is compared before anything is copied: settings, data set, subsets,
recipes, and the predictions of units that were run in more than one folder. A
run is copied to a private folder, checked against its digests on the way, and
renamed into place, so that an interrupted merge resumes where it stopped.

Each part of a study is compared by a function of its own: hence the length.
"""

from collections.abc import Callable
import dataclasses
import io
import os
import pathlib
import shutil

import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.store import arrays
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import environments
from memo_tf.store import files
from memo_tf.store import opening
from memo_tf.store import origins
from memo_tf.store import own_sources
from memo_tf.store import predictions
from memo_tf.store import sealed
from memo_tf.store import selections

Directory = directory_lib.StudyDirectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Merged:
  """What a merge did.

  Attributes:
    num_copied: runs that were copied, or to which outputs were added.
    num_there: runs of the sources that the study had already.
    damaged: runs that cannot be used, each with the reason.
  """

  num_copied: int
  num_there: int
  damaged: dict[str, str]


def merge(
  into: Directory,
  sources: list[Directory],
  say: Callable[[str], None] = lambda line: None,
) -> Merged:
  """Copies the finished runs of `sources` into the study `into`.

  Args:
    into: new, empty, or of the same study.
    sources: folders of the same study.
    say: called with each line of progress.

  Raises:
    UsageError: names the first difference; nothing was copied.
    StudyError: if a source cannot be read.
  """
  roots = [study.root.resolve() for study in (into, *sources)]
  if len(set(roots)) < len(roots):
    raise errors.UsageError(
      "--experiment_dir and --sources must name different folders. Received: "
      + ", ".join(map(str, roots))
    )
  is_new = not into.config_path.exists()
  if is_new and into.root.is_dir() and set(os.listdir(into.root)) - _SET_UP:
    raise errors.UsageError(
      "--experiment_dir must name a new or empty folder, or that of a study. "
      f"Received: {into.root}"
    )
  studies = sources if is_new else [into, *sources]
  config = _united_config(studies)
  info = _same_dataset(studies)
  plan, chosen_by = _same_selections(studies, config)
  masks = _same_subsets(studies, plan, chosen_by, info["num_train"])
  started = _same_starts(studies)
  say(f"Comparing the runs of {len(studies)} folders …")
  chosen, there, damaged = _compare_runs(into, sources, plan, info, masks)
  _set_up(into, sources, config, info, masks)
  for family, study in chosen_by.items():
    selections.write(into, selections.read(study, family))
  own_sources.keep(into, config, sources)
  if started:
    own_sources.note_checked(into, started)
  say(f"Copying {len(chosen)} runs …")
  for unit, source in chosen:
    try:
      _copy_run(source, into, unit)
    except errors.DamagedRunError as error:
      damaged[f"{source.root}: {unit.name}"] = error.problem
  num_damaged = sum(unit.name in " ".join(damaged) for unit, _ in chosen)
  return Merged(
    num_copied=len(chosen) - num_damaged, num_there=there, damaged=damaged
  )


# What an interrupted merge may have left in a new folder.
_SET_UP = opening.SET_UP - {"work"}


def _united_config(studies: list[Directory]) -> config_lib.StudyConfig:
  """The settings that all share, with the most subsets and all the names."""
  united: config_lib.StudyConfig | None = None
  for study in studies:
    try:
      config = opening.read_config(study.config_path.read_bytes())
    except OSError as error:
      raise errors.UsageError(
        f"{study.root} holds no study: config.json cannot be read "
        f"({error.strerror})"
      ) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
      raise errors.StudyError(
        f"{study.config_path} cannot be read ({errors.brief(error)})"
      ) from error
    if opening.is_old(study):
      raise errors.UsageError(
        f"{study.root} was made by an older memo_tf: it can be read and "
        "scored, but not merged or extended"
      )
    if config.is_made_elsewhere:
      raise errors.UsageError(
        f"{study.root} is of predictions that were made elsewhere, which are "
        "not merged: give all of them to memo_tf.score at once"
      )
    if united is None:
      united = config
      continue
    count = max(united.subsets.num_subsets, config.subsets.num_subsets)
    subsets = dataclasses.replace(
      config.subsets,
      num_subsets=count,
      target_ci_width=united.subsets.target_ci_width,
      target_examples=united.subsets.target_examples,
      max_subsets=max(united.subsets.max_subsets, count),
    )
    before, removal = _both_removals(united.removal, config.removal)
    united = dataclasses.replace(united, removal=before)
    try:
      config = dataclasses.replace(config, subsets=subsets, removal=removal)
      # Settings of where and how work is done may differ; the first one's win.
      both = config_lib.merge(united, config)
    except ValueError as error:
      text = str(error).split(": ", 1)[1].split(". Give")[0]
      raise errors.UsageError(
        f"{study.root} has other settings than {studies[0].root}: {text}"
      ) from error
    united = dataclasses.replace(
      united,
      subsets=both.subsets,
      models=both.models,
      removal=both.removal,
    )
  if united is None:
    raise ValueError("`studies` must name at least one. Received none")
  return united


def _both_removals(
  one: settings_lib.RemovalConfig, other: settings_lib.RemovalConfig
) -> tuple[settings_lib.RemovalConfig, settings_lib.RemovalConfig]:
  """Both, so that `config.merge` can unite them: either may ask for nothing."""
  removal = dataclasses.replace(
    other if other.is_asked else one,
    removal_repeats=max(one.removal_repeats, other.removal_repeats),
    removal_comparisons=(
      other if other.removal_repeats else one
    ).removal_comparisons,
    onion_subsets=other.onion_subsets or one.onion_subsets,
  )
  if other.is_asked and not removal.removal_models:
    # All models, whatever the first names.
    one = dataclasses.replace(one, removal_models=())
  return one, removal


def _same_dataset(studies: list[Directory]) -> dict:
  infos = [dataset_info.read_info(study) for study in studies]
  for study, info in zip(studies, infos):
    if info["digest"] != infos[0]["digest"]:
      raise errors.UsageError(
        f"{study.root} has another data set than {studies[0].root}: digest "
        f"{info['digest']} instead of {infos[0]['digest']}"
      )
  return infos[0]


def _same_selections(
  studies, config
) -> tuple[plan_lib.Plan, dict[str, Directory]]:
  """The plan with every selection, and a study that has each of them."""
  found: dict[str, Directory] = {}
  removed = {}
  for study in studies:
    for family, selection in selections.written(study, config).items():
      first = found.setdefault(family, study)
      if selection != selections.read(first, family):
        raise errors.UsageError(
          f"{selections.path(study, family)} selects other examples than that "
          f"of {first.root}: removal runs of both cannot be in one study"
        )
      if selection.can_train(config.training.batch_size):
        removed[family] = selection.share
  return plan_lib.Plan.of(config, removed), found


def _same_subsets(
  studies, plan, chosen_by, num_examples
) -> dict[str, np.ndarray]:
  """The masks `[M, N]` of each family, after comparing those of every study."""
  masks: dict[str, np.ndarray] = {}
  for family in plan.families:
    owner = chosen_by.get(family, studies[0])
    masks |= selections.in_masks(owner, plan.config, (family,), num_examples)
    for study in studies:
      path = study.in_mask_path(family)
      try:
        found = arrays.load(path)
      except FileNotFoundError:
        continue
      except (OSError, ValueError, EOFError) as error:
        raise errors.StudyError(
          f"{path} cannot be read ({errors.brief(error)})"
        ) from error
      # A launch that was killed while it extended a study leaves more.
      found = found[: len(masks[family])] if found.ndim else found
      rows = len(found) if found.ndim else 0
      if not subsets_lib.same_masks(found, masks[family][:rows]):
        raise errors.UsageError(
          f"{path} does not hold the subsets drawn from the seed: its runs "
          "were trained on other subsets"
        )
  return masks


def _compare_runs(into, sources, plan, info, masks):
  """Runs to copy and their source, number already there, and damaged runs."""
  chosen, there, damaged = [], 0, {}
  origin = origins.Origin(plan, info["digest"], masks)
  for unit in plan.units:
    first, record = None, None
    outputs: set[str] = set()
    state = into.run_state(unit, check_digests=False)
    if state.record:
      first, record, outputs = into, state.record, set(state.record["outputs"])
    elif state.problem:
      damaged[f"{into.root}: {unit.name}"] = state.problem
      continue
    for source in sources:
      state = source.run_state(unit, check_digests=False)
      if state.problem:
        damaged[f"{source.root}: {unit.name}"] = state.problem
      if not state.record:
        continue
      if problem := origin.problem(unit, state.record):
        raise errors.UsageError(
          f"the run {unit.name} in {source.root} cannot be used: {problem}"
        )
      if first:
        _check_same_run(unit, first, record, source, state.record)
      else:
        first, record = source, state.record
      if set(state.record["outputs"]) <= outputs:
        there += 1
      else:
        outputs |= set(state.record["outputs"])
        chosen.append((unit, source))
  return chosen, there, damaged


def _check_same_run(unit, first, record, other, other_record) -> None:
  """Refuses a unit that was run twice with different predictions."""
  name = directory_lib.PREDICTIONS
  if (
    record["outputs"][name]["digest"] == other_record["outputs"][name]["digest"]
  ):
    return
  if not predictions.same_predictions(
    predictions.read_run(first, unit), predictions.read_run(other, unit)
  ):
    raise errors.UsageError(
      f"the run {unit.name} has other predictions in {other.root} than in "
      f"{first.root}: move one of them away"
    )


def _set_up(into, sources, config, info, masks) -> None:
  """Makes `into` a study without runs, unless it is one already."""
  into.root.mkdir(parents=True, exist_ok=True)
  into.clean_private()
  if not into.dataset_dir.exists():
    source = sources[0]
    dataset_info.check_files(source, info)
    with files.published(into.dataset_dir) as private:
      shutil.copytree(source.dataset_dir, private, dirs_exist_ok=True)
      for name, problem in dataset_info.damaged_files(private, info).items():
        raise errors.StudyError(f"the copy of {name} {problem}")
  for family, mask in masks.items():
    sink = io.BytesIO()
    np.save(sink, mask, allow_pickle=False)
    files.write_atomic(into.in_mask_path(family), sink.getvalue())
  for other in sources:
    environments.add(into, environments.history(other))
  opening.write_settings(into, config)


def _same_starts(studies: list[Directory]) -> dict[str, dict]:
  """What was found of each own model, after comparing that of every study."""
  found: dict[str, dict] = {}
  for study in studies:
    for name, entry in own_sources.checked(study).items():
      if found.setdefault(name, entry)["start"] != entry["start"]:
        raise errors.UsageError(
          f"the runs of {name} in {study.root} started from other values than "
          "those of the other folders: a file of weights that its function "
          "loads, or a package, differed"
        )
  return found


def _copy_run(source: Directory, into: Directory, unit) -> None:
  """Copies a run, or those of its outputs that `into` lacks.

  Raises:
    DamagedRunError: if a file differs from its digest.
  """
  record = source.run_state(unit, check_digests=False).record
  if record is None:
    raise errors.DamagedRunError(unit, "it has disappeared meanwhile")
  target = into.run_dir(unit)
  there = into.run_state(unit, check_digests=False).record
  with files.private_folder(target) as private:
    for name, entry in record["outputs"].items():
      if there and name in there["outputs"]:
        continue
      content = _read(source.run_dir(unit) / name, entry, unit)
      files.write_atomic(private / name, content)
      record["outputs"][name] = files.file_entry(private / name, content)
    if there:
      record["outputs"] |= there["outputs"]
      extended = sealed.dumps(there | {"outputs": record["outputs"]})
      files.extend(private, target, there["outputs"], extended)
    else:
      files.write_atomic(private / "run.json", sealed.dumps(record))
      files.publish(private, target)


def _read(path: pathlib.Path, entry: dict, unit) -> bytes:
  try:
    content = path.read_bytes()
  except OSError as error:
    raise errors.DamagedRunError(
      unit, f"{path.name} cannot be read ({error.strerror})"
    ) from error
  if files.digest_bytes(content) != entry["digest"]:
    raise errors.DamagedRunError(
      unit, f"{path.name} differs from its recorded digest"
    )
  return content
