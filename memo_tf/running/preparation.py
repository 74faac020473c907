"""Everything that a study needs on disk before its first run.

    config.json  resolved.flags  environment.json
    dataset/  subsets/<family>.npy  models/<own model>.py

`config.json` comes last, and is created, not replaced: a directory without it
was never set up, and whatever an interrupted set-up left there is made again.
Only one launch at a time sets a study up (`store/setup_lock.py`).
"""

from collections.abc import Callable
import io
import shutil
import time

import numpy as np

from memo_tf.cli import program
from memo_tf.data.sources import custom_files
from memo_tf.experiment import errors
from memo_tf.experiment import model_names
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import removal as removal_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import storage
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import proxy_files
from memo_tf.running import worker_pool
from memo_tf.store import arrays
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import environments
from memo_tf.store import files
from memo_tf.store import opening
from memo_tf.store import own_sources
from memo_tf.store import sealed
from memo_tf.store import selections
from memo_tf.store import setup_lock


def prepare(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  pool: worker_pool.WorkerPool,
  on_wait: Callable[[float], None] = lambda seconds: None,
  *,
  record: bool = True,
) -> None:
  """Makes missing parts of dataset and subsets, and checks existing ones.

  Args:
    directory: opened.
    plan: of the round.
    pool: the workers.
    on_wait: called about once per second with the seconds waited so far.
    record: write the settings and the machine; a study of an older format
      keeps its own.

  Raises:
    UsageError: if models or batch size do not fit the data, or another launch
      has set the study up with other settings meanwhile.
    StudyError: if something there is damaged.
  """
  if not record or opening.is_old(directory):
    _make(directory, plan, pool, on_wait, may_remove=False)
    return
  with setup_lock.held(directory, on_wait) as is_locked:
    # Another launch may have set the study up, or changed it, meanwhile.
    config = opening.recorded_config(directory, plan.config)
    is_new = not directory.config_path.exists()
    _make(directory, plan, pool, on_wait, may_remove=is_new and is_locked)
    environments.note(directory, environments.current(), has_trained=False)
    opening.write_settings(directory, config)


def _make(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  pool: worker_pool.WorkerPool,
  on_wait: Callable[[float], None],
  *,
  may_remove: bool,
) -> None:
  """Makes dataset and subsets; see `prepare`.

  Args:
    directory: as `prepare`.
    plan: as `prepare`.
    pool: as `prepare`.
    on_wait: as `prepare`.
    may_remove: existing parts are what an interrupted set-up left, and may be
      removed.
  """
  config = plan.config
  try:
    _prepare_dataset(directory, config, pool, may_remove, on_wait)
    info = dataset_info.read_info(directory)
    storage.check_storage(config, dataset_info.decoded_bytes(info))
    sizes = [
      _prepare_subsets(directory, config, family, info["num_train"], may_remove)
      for family in config.all_family_names()
    ]
    for family in plan.removed:
      _prepare_subsets(directory, config, family, info["num_train"], False)
    smallest = int(min(s.min() for s in sizes))
    _check_fit(plan, info, smallest, info["num_train"] - int(sizes[0].max()))
    _check_own_models(directory, plan, pool, on_wait)
    if config.outputs.materialize_subsets:
      # Of what recipes require, perhaps only the first subset is used.
      used: dict[str, set[int]] = {}
      for unit in plan.wanted:
        used.setdefault(unit.subsets, set()).add(unit.index)
      tasks = [
        {"task": "materialize", "family": family, "indices": sorted(indices)}
        for family, indices in used.items()
      ]
      _run_tasks(pool, tasks, on_wait)
  except ValueError as error:
    # Nothing may stay behind that would contradict a corrected command.
    if may_remove and not _holds_more(directory):
      _remove_setup(directory)
    raise errors.UsageError(str(error)) from error


def _check_fit(
  plan: plan_lib.Plan, info: dict, smallest: int, held_out: int
) -> None:
  """Checks that models, recipes and proxies fit the data.

  Args:
    plan: of the round.
    info: of the data set.
    smallest: examples in the smallest subset.
    held_out: the fewest examples that a subset of the first family holds out.

  Raises:
    ValueError: that names what does not.
  """
  for model in plan.models.values():
    model_names.check_image(model, info["image_shape"])
  for recipe in plan.recipes.values():
    recipe.check_subset_size(smallest)
  run_outputs.check_subset_sizes(
    plan.config, plan.proxies.values(), smallest, held_out
  )
  proxy_files.read(
    plan.config.proxies.proxy_files,
    info["num_train"],
    plan.config.models.models,
  )


def _check_own_models(directory, plan, pool, on_wait) -> None:
  """Has a worker build and check the own models that were not checked yet.

  Raises:
    UsageError: if one could not be trained, or would be trained wrongly.
  """
  if not plan.own_models:
    return
  own_sources.keep(directory, plan.config)
  known, outputs = own_sources.checked(directory), plan.recorded_outputs
  demanding = {*own_sources.demanding(plan.config)}
  missing = [
    name
    for name, reference in plan.own_models.items()
    if known.get(name, {}).get("source") != reference.digest
    or not outputs <= {*known[name].get("outputs", ())}
    or not demanding <= {*known[name].get("recipes", ())}
  ]
  if not missing:
    return
  task = {
    "task": "check_own_models",
    "models": missing,
    "outputs": sorted(outputs),
  }
  (answer,) = _run_tasks(pool, [task], on_wait)
  for name, found in answer["found"].items():
    before = known.get(name)
    if before and before["source"] == found["source"]:
      _check_same_start(name, before, found)
    program.say(_about_own_model(name, found))
  own_sources.note_checked(directory, answer["found"])


def _check_same_start(name: str, before: dict, found: dict) -> None:
  if before["start"] != found["start"]:
    raise errors.UsageError(
      f"{name} starts from other values than when the study was made, though "
      "its source is the same: a file of weights that it loads, or a package, "
      "has changed. Restore it, or start a new --experiment_dir."
    )


def _about_own_model(name: str, found: dict) -> str:
  """A line that says what will be trained of an own model, and on what."""
  inputs = (
    "raw pixels, from 0"
    if found["inputs"] == "raw"
    else "normalized images (mean 0, standard deviation 1)"
  )
  text = (
    f"{name}: trains {found['parameters']:,} parameters and keeps "
    f"{found['frozen']:,}; gets {inputs} (--own_inputs)."
  )
  if not found["drawn"]:
    text += " No initial weight is drawn: all runs start from the same."
  return text


def join_peers(pool: worker_pool.WorkerPool) -> None:
  """Starts the worker of a multi_worker run; returns when all are connected."""
  _run_tasks(pool, [{"task": "join"}], lambda seconds: None)


def _holds_more(directory) -> bool:
  """Whether the directory holds more than an interrupted set-up leaves."""
  return any(
    (directory.root / name).exists() for name in ("config.json", "runs")
  )


def _prepare_dataset(directory, config, pool, may_remove, on_wait) -> None:
  folder = directory.dataset_dir
  if may_remove and folder.exists() and not _holds_more(directory):
    try:
      info = dataset_info.read_info(directory)
      same = dataset_info.is_made_from(info, config)
      same = same and custom_files.difference(config.data, info) is None
    except errors.StudyError:
      same = False
    if not same:
      shutil.rmtree(folder)
  if not folder.exists():
    _run_tasks(pool, [{"task": "prepare"}], on_wait)
    _check_same_as_runs(directory)
  info = dataset_info.read_info(directory)
  dataset_info.check_made_from(directory, info, config)
  custom_files.check(config.data, info, directory.root)
  dataset_info.check_files(directory, info)


def _check_same_as_runs(directory) -> None:
  """Checks that a data set made again is the one that finished runs used."""
  digest = dataset_info.read_info(directory)["digest"]
  for path in directory.run_paths():
    try:
      seen = sealed.loads(path.read_bytes())["dataset_digest"]
    except (OSError, ValueError, KeyError, TypeError):
      continue
    if seen == digest:
      return  # all runs of a study used the same
    place = directory.move_to_damaged(directory.dataset_dir, "dataset")
    raise errors.StudyError(
      f"the data set that {path.parent} was trained on can no longer be "
      "reproduced from its source, which now gives another one; that was "
      f"moved to {place}. Nothing else was changed."
    )


def _prepare_subsets(directory, config, family_name, num_examples, may_remove):
  """Writes or extends a family's `in_mask`; returns the sizes, int `[M]`."""
  may_replace = may_remove and not _holds_more(directory)
  path = directory.in_mask_path(family_name)
  masks = _masks(directory, config, family_name, num_examples, 0)
  count = len(masks)
  if path.exists():
    try:
      found = arrays.load(path)
    except (ValueError, EOFError, OSError):
      found = None
    if found is not None and subsets_lib.same_masks(found, masks):
      return masks.sum(axis=1)
    if found is not None and found.ndim == 2 and len(found) > count:
      # Another launch extends the study, or was killed while it did so.
      longer = _masks(directory, config, family_name, num_examples, len(found))
      if subsets_lib.same_masks(found, longer):
        return masks.sum(axis=1)
    if found is not None and found.ndim == 2 and len(found) <= count:
      if subsets_lib.same_masks(found, masks[: len(found)]):
        found = None  # a study that grows
    if found is not None and not may_replace:
      raise errors.StudyError(
        f"{path} does not hold the subsets drawn from the seed: it was "
        "changed, or written by another memo_tf. Move it away and rerun the "
        "same command."
      )
  sink = io.BytesIO()
  np.save(sink, masks, allow_pickle=False)
  files.write_atomic(path, sink.getvalue())
  return masks.sum(axis=1)


def _masks(directory, config, name, num_examples, least: int) -> np.ndarray:
  """bool `[M, N]`: the subsets that a family must have, at least so many."""
  if removal_lib.is_removal(name):
    return selections.in_masks(
      directory, config, (name,), num_examples, least=least
    )[name]
  return subsets_lib.parse_family(name).in_mask(
    num_examples,
    max(config.subsets.num_subsets, least),
    config.running.seed,
  )


def _run_tasks(pool, tasks: list[dict], on_wait) -> list[dict]:
  """Runs tasks; returns the answers of those done."""
  started, answers = time.monotonic(), []
  for event in pool.run(tasks):
    if event.kind == "tick":
      on_wait(time.monotonic() - started)
    if event.kind == "failed":
      if event.content.get("usage"):
        raise errors.UsageError(event.content["error"])
      raise errors.StudyError(event.content["error"])
    if event.kind == "done":
      answers.append(event.content)
  return answers


def _remove_setup(directory: directory_lib.StudyDirectory) -> None:
  for name in opening.SET_UP:
    if name == "dataset" and _is_worth_keeping(directory):
      continue
    path = directory.root / name
    if path.is_dir():
      shutil.rmtree(path, ignore_errors=True)
    else:
      path.unlink(missing_ok=True)
  try:
    directory.root.rmdir()
  except OSError:
    pass


def _is_worth_keeping(directory: directory_lib.StudyDirectory) -> bool:
  """Whether preparing the data again could take hours.

  Keeping them is safe: info.json says what they were made from, and a corrected
  command that needs other data makes them again.
  """
  try:
    return dataset_info.is_encoded(dataset_info.read_info(directory))
  except errors.StudyError:
    return False
