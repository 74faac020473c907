"""Everything that a study needs on disk before its first run.

    config.json  resolved.flags  environment.json
    dataset/  subsets/<family>.npy

`config.json` is written last: a directory without it was never set up, and
whatever an interrupted set-up left in it is made again.
"""

from collections.abc import Callable
from importlib import metadata
import io
import json
import os
import pathlib
import platform
import shutil
import time

import numpy as np

from memo_tf.experiment import errors
from memo_tf.experiment import flagfile
from memo_tf.experiment import model_names
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import storage
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import proxy_files
from memo_tf.running import worker_pool
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import opening


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
    UsageError: if models or batch size do not fit the data.
    StudyError: if existing files are damaged.
  """
  config = plan.config
  is_new = not directory.config_path.exists()
  try:
    _prepare_dataset(directory, config, pool, is_new, on_wait)
    info = dataset_info.read_info(directory)
    storage.check_storage(config, dataset_info.decoded_bytes(info))
    sizes = [
      _prepare_subsets(directory, config, family, info["num_train"])
      for family in config.family_names()
    ]
    smallest = int(min(s.min() for s in sizes))
    for model in plan.models.values():
      model_names.check_image(model, info["image_shape"])
    for recipe in plan.recipes.values():
      recipe.check_subset_size(smallest)
    held_out = info["num_train"] - int(sizes[0].max())
    run_outputs.check_subset_sizes(
      config, plan.proxies.values(), smallest, held_out
    )
    proxy_files.read(
      config.proxies.proxy_files, info["num_train"], config.models.models
    )
    if config.outputs.materialize_subsets:
      tasks = [
        {"task": "materialize", "family": family}
        for family in config.family_names()
      ]
      _run_tasks(pool, tasks, on_wait)
  except ValueError as error:
    # Nothing may stay behind that would contradict a corrected command.
    if is_new and not _holds_more(directory):
      _remove_setup(directory)
    raise errors.UsageError(str(error)) from error
  if not record or opening.is_old(directory):
    return
  _write_if_new(directory.root / "environment.json", _environment())
  if is_new and directory.config_path.exists():
    # Another launch was faster: this one must match the recorded config.
    config = opening.recorded_config(directory, config)
  _write_if_new(directory.flags_path, flagfile.resolved_flags(config))
  _write_if_new(directory.config_path, config.to_json())


def join_peers(pool: worker_pool.WorkerPool) -> None:
  """Starts the worker of a multi_worker run; returns when all are connected."""
  _run_tasks(pool, [{"task": "join"}], lambda seconds: None)


def _holds_more(directory) -> bool:
  """Whether the directory holds more than an interrupted set-up leaves."""
  return any(
    (directory.root / name).exists() for name in ("config.json", "runs")
  )


def _prepare_dataset(directory, config, pool, is_new, on_wait) -> None:
  folder = directory.dataset_dir
  if is_new and folder.exists() and not _holds_more(directory):
    try:
      info = dataset_info.read_info(directory)
      same = dataset_info.is_made_from(info, config)
    except errors.StudyError:
      same = False
    if not same:
      shutil.rmtree(folder)
  if not folder.exists():
    _run_tasks(pool, [{"task": "prepare"}], on_wait)
    _check_same_as_runs(directory)
  info = dataset_info.read_info(directory)
  if not dataset_info.is_made_from(info, config):
    raise errors.StudyError(
      f"{folder} was made with other settings ({info.get('made_from')}) than "
      f"the study's ({dataset_info.made_from(config)})."
    )
  dataset_info.check_files(directory, info)


def _check_same_as_runs(directory) -> None:
  """Checks that a data set made again is the one that finished runs used."""
  digest = dataset_info.read_info(directory)["digest"]
  for path in directory.run_paths():
    try:
      seen = json.loads(path.read_text())["dataset_digest"]
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


def _prepare_subsets(directory, config, family_name, num_examples):
  """Writes or extends a family's `in_mask`; returns the sizes, int `[M]`."""
  family = subsets_lib.parse_family(family_name)
  path = directory.in_mask_path(family_name)
  count = config.subsets.num_subsets
  masks = family.in_mask(num_examples, count, config.running.seed)
  if path.exists():
    try:
      found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError):
      found = None
    if found is not None and subsets_lib.same_masks(found, masks):
      return masks.sum(axis=1)
    if found is not None and found.ndim == 2 and len(found) <= count:
      if subsets_lib.same_masks(found, masks[: len(found)]):
        found = None  # a study that grows
    if found is not None:
      raise errors.StudyError(
        f"{path} does not hold the subsets drawn from the seed: it was "
        "changed, or written by another memo_tf. Move it away and rerun the "
        "same command."
      )
  sink = io.BytesIO()
  np.save(sink, masks, allow_pickle=False)
  files.write_atomic(path, sink.getvalue())
  return masks.sum(axis=1)


def _run_tasks(pool, tasks: list[dict], on_wait) -> None:
  started = time.monotonic()
  for event in pool.run(tasks):
    if event.kind == "tick":
      on_wait(time.monotonic() - started)
    if event.kind == "failed":
      if event.content.get("usage"):
        raise errors.UsageError(event.content["error"])
      raise errors.StudyError(event.content["error"])


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


def _environment() -> str:
  names = (
    "tensorflow",
    "keras",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "absl-py",
  )
  content = {
    "python": platform.python_version(),
    "platform": platform.platform(),
    "cores": len(os.sched_getaffinity(0)),
    "packages": {name: metadata.version(name) for name in names},
  }
  return json.dumps(content, indent=2) + "\n"


def _write_if_new(path: pathlib.Path, content: str) -> None:
  try:
    if path.read_text() == content:
      return
  except (OSError, UnicodeDecodeError):
    pass
  files.write_atomic(path, content)
