"""Everything that a study needs on disk before its first run.

    config.json  resolved.flags  environment.json  dataset/  subsets/<family>.npy

`config.json` is written last: a directory without it was never set up, and
whatever a broken set-up left there is made anew.
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

from memo_tf import launch_flags
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import dataset_record
from memo_tf.experiment import directory as directory_lib
from memo_tf.experiment import model_names
from memo_tf.experiment import proxy_files
from memo_tf.experiment import recipes
from memo_tf.experiment import records
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.running import worker_pool

_OWN = {"dataset", "subsets", "work", "resolved.flags", "environment.json"}


def open_directory(directory: directory_lib.ExperimentDirectory) -> None:
  """Opens a study's directory, or makes a new one; checks that it is writable.

  Raises:
    UsageError: if it holds something that is not a study.
    OSError: if it cannot be written.
  """
  if not directory.config_path.exists() and directory.root.is_dir():
    names = {p.name for p in directory.root.iterdir()} - _OWN
    foreign = sorted(n for n in names if "~" not in n)
    if foreign:
      raise directory_lib.UsageError(
        "--experiment_dir must name a new or empty folder, or that of a study. "
        f"Received: {directory.root}, which holds {foreign[0]!r} and no "
        "config.json"
      )
  directory.root.mkdir(parents=True, exist_ok=True)
  # Any file will do to learn that the disk cannot be written.
  probe = directory_lib.private_name(directory.root / "probe")
  try:
    probe.write_bytes(b"")
    probe.unlink()
  except OSError as error:
    raise OSError(error.errno, error.strerror, str(directory.root)) from error
  directory.clean_private()


def recorded_config(
  directory: directory_lib.ExperimentDirectory,
  config: config_lib.ExperimentConfig | None = None,
) -> config_lib.ExperimentConfig:
  """The recorded config, united with `config`; `config` if none is recorded.

  Raises:
    UsageError: if they contradict each other.
    ExperimentError: if config.json is missing (without `config`) or damaged.
  """
  try:
    text = directory.config_path.read_text()
  except FileNotFoundError:
    if config is None:
      raise directory_lib.ExperimentError(
        f"{directory.root} holds no study: it has no config.json."
      ) from None
    return config
  try:
    recorded = config_lib.from_json(text)
  except (ValueError, TypeError, AttributeError) as error:
    raise directory_lib.ExperimentError(
      f"{directory.config_path} cannot be read ({error}). The settings also "
      f"stand in {directory.root / 'resolved.flags'}: move config.json away and "
      "give the command again."
    ) from error
  if config is None:
    return recorded
  try:
    return config_lib.merge(recorded, config)
  except ValueError as error:
    raise directory_lib.UsageError(str(error)) from error


def prepare(
  directory: directory_lib.ExperimentDirectory,
  config: config_lib.ExperimentConfig,
  pool: worker_pool.WorkerPool,
  on_wait: Callable[[float], None] = lambda seconds: None,
) -> None:
  """Makes what is missing of dataset and subsets, and checks what is there.

  Args:
    directory: open.
    config: validated.
    pool: whose workers do it.
    on_wait: told, about each second, how long it has been at work.

  Raises:
    UsageError: if models or batch size do not fit the data.
    ExperimentError: if something there is damaged.
  """
  is_new = not directory.config_path.exists()
  try:
    _prepare_dataset(directory, config, pool, is_new, on_wait)
    info = dataset_record.read_info(directory)
    smallest = min(
      _prepare_subsets(directory, config, family, info["num_train"])
      for family in config.family_names()
    )
    for name in config.models.models:
      model = model_names.parse(name)
      model_names.check_image(model, info["image_shape"])
    for name in config.models.recipes:
      recipe = recipes.parse(name, config.recipe)
      recipe.check_subset_size(smallest)
      for teacher, _ in recipe.required:
        model_names.check_image(model_names.parse(teacher), info["image_shape"])
    records.check_subset_size(config, smallest)
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
    if is_new:  # nothing may stay behind that would contradict a mended command
      _remove_setup(directory)
    raise directory_lib.UsageError(str(error)) from error
  _write_if_new(directory.root / "environment.json", _environment())
  _write_if_new(
    directory.root / "resolved.flags", launch_flags.resolved_flags(config)
  )
  _write_if_new(directory.config_path, config.to_json())


def join_peers(pool: worker_pool.WorkerPool) -> None:
  """Starts the worker of a multi_worker run; returns when all have met."""
  _run_tasks(pool, [{"task": "join"}], lambda seconds: None)


def _prepare_dataset(directory, config, pool, is_new, on_wait) -> None:
  folder = directory.dataset_dir
  if is_new and folder.exists():
    try:
      info = dataset_record.read_info(directory)
      same = dataset_record.is_made_from(info, config)
    except directory_lib.ExperimentError:
      same = False
    if not same:
      shutil.rmtree(folder)
  if not folder.exists():
    _run_tasks(pool, [{"task": "prepare"}], on_wait)
  info = dataset_record.read_info(directory)
  if not dataset_record.is_made_from(info, config):
    raise directory_lib.ExperimentError(
      f"{folder} was made with other settings ({info.get('made_from')}) than "
      f"the study's ({dataset_record.made_from(config)})."
    )
  dataset_record.check_files(directory, info)


def _prepare_subsets(directory, config, family_name, num_examples) -> int:
  """Writes or extends a family's `in_mask`; returns its smallest subset."""
  family = subsets_lib.parse_family(family_name)
  path = directory.in_mask_path(family_name)
  count = config.subsets.num_subsets
  masks = family.in_mask(num_examples, count, config.running.seed)
  if path.exists():
    try:
      found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError):
      found = None
    if found is not None and found.shape == masks.shape:
      if np.array_equal(found, masks):
        return int(masks.sum(axis=1).min())
    if found is not None and len(found) <= count:
      if found.ndim == 2 and np.array_equal(found, masks[: len(found)]):
        found = None  # a study that grows
    if found is not None:
      raise directory_lib.ExperimentError(
        f"{path} does not hold the subsets that the seed gives: it was changed, "
        "or written by another memo_tf. Move it away to have it anew."
      )
  sink = io.BytesIO()
  np.save(sink, masks, allow_pickle=False)
  directory_lib.write_atomic(path, sink.getvalue())
  return int(masks.sum(axis=1).min())


def _run_tasks(pool, tasks: list[dict], on_wait) -> None:
  started = time.monotonic()
  for event in pool.run(tasks):
    if event.kind == "tick":
      on_wait(time.monotonic() - started)
    if event.kind == "failed":
      if event.content.get("usage"):
        raise directory_lib.UsageError(event.content["error"])
      raise directory_lib.ExperimentError(event.content["error"])


def _remove_setup(directory: directory_lib.ExperimentDirectory) -> None:
  for name in _OWN:
    path = directory.root / name
    if path.is_dir():
      shutil.rmtree(path, ignore_errors=True)
    else:
      path.unlink(missing_ok=True)
  try:
    directory.root.rmdir()
  except OSError:
    pass


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
  directory_lib.write_atomic(path, content)
