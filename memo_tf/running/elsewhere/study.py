"""Writes the study of predictions that were made elsewhere, and scores it.

Its directory is that of any study, without what nothing here needs: no shards
and no settings of a training. `dataset/info.json` has the digests of subsets
and predictions, since no seed gives them again. It appears whole or not at all.

It writes every file that a trained study has: hence the length.
"""

from collections.abc import Mapping
import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd

import memo_tf
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.running import results
from memo_tf.running.elsewhere import checks
from memo_tf.running.elsewhere import given as given_lib
from memo_tf.running.elsewhere import schemes
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import opening
from memo_tf.store import predictions
from memo_tf.store import sealed
from memo_tf.store import survey as survey_lib

_RECIPE = "given"


def make(
  directory: directory_lib.StudyDirectory,
  values: Mapping[str, Any],
  settings: Mapping[str, Any],
  name: str = "predictions",
) -> config_lib.StudyConfig:
  """Writes the study of some predictions, unless it is there, and scores it.

  Args:
    directory: new or empty, or that of a study of the same predictions.
    values: what `checks.checked` takes.
    settings: of what is scored and shown, by field name.
    name: of the data set, as the page shows it.

  Returns:
    The config of the study.

  Raises:
    UsageError: that names what breaks a rule.
    StudyError, OSError: if the directory cannot be used.
  """
  given = checks.checked(values)
  config = _config(given, settings, name)
  _check_directory(directory)
  target = directory.root.resolve()
  target.parent.mkdir(parents=True, exist_ok=True)
  with files.private_folder(target) as private:
    new = directory_lib.StudyDirectory(private)
    _write(new, given, config)
    _check_whole(new, config)
    if directory.config_path.exists():
      config = _same(directory, new, config)
    else:
      opening.write_settings(new, config)
      if target.is_dir():
        target.rmdir()  # empty
      files.publish(private, target)
  score(directory, config)
  return config


def score(
  directory: directory_lib.StudyDirectory, config: config_lib.StudyConfig
) -> None:
  """Scores the finished runs of any study, and writes the page.

  Args:
    directory: of the study.
    config: of the study.

  Raises:
    StudyError: if a run is damaged.
  """
  if not opening.is_old(directory):
    opening.write_settings(directory, config)
  plan = plan_lib.Plan.of(config)
  found = results.score(directory, plan)
  if not found:
    raise errors.StudyError(f"{directory.root} has no finished runs to score")
  results.show(directory, plan, found, {})


def _config(
  given: given_lib.Given, settings: Mapping[str, Any], name: str
) -> config_lib.StudyConfig:
  """The config that describes the given runs."""
  scheme, ratio = schemes.scheme_of(given.in_mask)
  known = {
    "dataset": settings_lib.PREDICTIONS + name,
    "models": tuple(_model_names(given).values()),
    "recipes": (_RECIPE,),
    "num_subsets": len(given.in_mask),
    "subset_ratio": ratio,
    "subset_scheme": scheme,
  }
  if given.images is None:
    known["report_images"] = "none"
  if clash := [n for n in settings if n in known and n != "report_images"]:
    raise errors.UsageError(
      f"{clash[0]} follows from the predictions. Received: "
      f"{clash[0]}={settings[clash[0]]}"
    )
  try:
    config = config_rules.from_settings(dict(settings) | known)
  except ValueError as error:
    raise errors.UsageError(str(error)) from error
  unknown = predictions.UNKNOWN[given_lib.KINDS[given.kind]]
  lacking = {"label_probability": "label_prob", "margin": "margin"}
  for outcome in config.outputs.outcomes:
    if lacking.get(outcome) in unknown:
      raise errors.UsageError(
        f"--outcomes: {outcome} is not known from `{given.kind}`; give "
        "`logits`. Received: --outcomes="
        + config_lib.show(config.outputs.outcomes)
      )
  if config.outputs.estimator != "plain" and "margin" in unknown:
    raise errors.UsageError(
      f"--estimator: margins are not known from `{given.kind}`; give `logits` "
      f"or `margin`. Received: --estimator={config.outputs.estimator}"
    )
  if config.proxies.proxies:
    raise errors.UsageError(
      "--proxies need runs that memo_tf trains. Received: --proxies="
      + config_lib.show(config.proxies.proxies)
    )
  return config


def _model_names(given: given_lib.Given) -> dict[str, str]:
  """What the study calls each model: several have their rank."""
  if len(given.runs) == 1:
    return {name: f"given-{name}" for name in given.runs}
  return {n: f"given-{rank}-{n}" for rank, n in enumerate(given.runs, 1)}


def _check_directory(directory: directory_lib.StudyDirectory) -> None:
  """Refuses a directory that holds something else.

  Raises:
    UsageError: if it does.
  """
  root = directory.root
  if directory.config_path.exists():
    if not opening.recorded_config(directory).is_made_elsewhere:
      raise errors.UsageError(
        f"the directory must be new, empty, or of the same predictions. "
        f"Received: {root}, which holds a study that memo_tf trained"
      )
  elif root.exists() and (not root.is_dir() or any(root.iterdir())):
    raise errors.UsageError(
      f"the directory must be new, empty, or of the same predictions. "
      f"Received: {root}, which holds something else"
    )


def _check_whole(
  directory: directory_lib.StudyDirectory, config: config_lib.StudyConfig
) -> None:
  """Checks that every run that was written can be read.

  Raises:
    StudyError: if one cannot, which scoring would leave out.
  """
  found = survey_lib.survey(directory, plan_lib.Plan.of(config))
  for unit in found.pending:
    raise errors.StudyError(
      f"{unit.name} was written and cannot be used: "
      f"{found.damaged.get(unit) or found.foreign.get(unit)}"
    )


def _same(
  directory: directory_lib.StudyDirectory,
  new: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
) -> config_lib.StudyConfig:
  """The config of a study that is scored again, from the same predictions.

  Raises:
    UsageError: if these are others.
  """
  old, now = (dataset_info.read_info(d) for d in (directory, new))
  if [old[k] for k in ("digest", "predictions")] != [
    now[k] for k in ("digest", "predictions")
  ]:
    raise errors.UsageError(
      f"{directory.root} holds the study of other predictions: give another "
      "directory"
    )
  try:
    return config_lib.merge(opening.recorded_config(directory), config)
  except ValueError as error:
    raise errors.UsageError(str(error)) from error


def _write(
  directory: directory_lib.StudyDirectory,
  given: given_lib.Given,
  config: config_lib.StudyConfig,
) -> None:
  """Writes data set, subsets and runs; the settings are left to the caller."""
  family = config.family_names()[0]
  path = directory.in_mask_path(family)
  path.parent.mkdir()
  np.save(path, given.in_mask, allow_pickle=False)
  directory.dataset_dir.mkdir()
  content = _write_examples(directory, given)
  digests = []
  for model, name in _model_names(given).items():
    group = work_units.Group(name, _RECIPE, family)
    digests += _write_runs(
      directory, group, given, model, config, content["digest"]
    )
  info = {
    "format_version": config_lib.FORMAT_VERSION,
    "made_from": dataset_info.made_from(config),
    "name": config.data.dataset.removeprefix(settings_lib.PREDICTIONS),
    "version": "given predictions",
    "licence": "the owner's",
    "citation": "none given",
    "order": "the order of the examples that were given",
    "num_train": len(given.labels),
    "num_test": len(given.test_labels),
    "num_classes": len(given.class_names),
    "class_names": list(given.class_names),
    "planted": {},
    "duplicates": {},
    **content,
    "predictions": {
      "kind": given_lib.KINDS[given.kind],
      "digest": files.digest_bytes("".join(digests).encode()),
      "subsets": {path.name: _entry(path)},
    },
  }
  files.write_atomic(directory.dataset_dir / "info.json", sealed.dumps(info))


def _write_examples(
  directory: directory_lib.StudyDirectory, given: given_lib.Given
) -> dict:
  """Writes examples and images; returns what info.json has of them."""
  num_train, num_test = len(given.labels), len(given.test_labels)
  labels = np.concatenate([given.labels, given.test_labels])
  ids = np.concatenate([np.arange(num_train), np.arange(num_test)])
  names = {} if given.file_names is None else {"file_name": given.file_names}
  table = pd.DataFrame(
    {
      "example_id": ids,
      "split": pd.Categorical(["train"] * num_train + ["test"] * num_test),
      "label": labels,
      "clean_label": labels,
      "is_noisy": False,
      "plant": "",
      "origin_id": ids,
      **names,
    }
  )
  paths = [directory.dataset_dir / "examples.parquet"]
  table.to_parquet(paths[0], index=False)
  shape, max_pixel, digest = [1, 1, 1], 255, ""
  if given.images is not None:
    paths.append(directory.dataset_dir / "images.npy")
    np.save(paths[1], given.images, allow_pickle=False)
    shape = list(given.images.shape[1:])
    max_pixel = int(np.iinfo(given.images.dtype).max)
    digest = files.digest_bytes(np.ascontiguousarray(given.images))
  parts = [digest, labels.tolist(), num_train, given.class_names]
  parts.append(list(names.get("file_name", [])))
  return {
    "image_shape": shape,
    "image_type": "uint16" if max_pixel > 255 else "uint8",
    "max_pixel": max_pixel,
    # Nothing is trained on them.
    "normalization": {"mean": [0.0] * shape[-1], "std": [1.0] * shape[-1]},
    "digest": files.digest_bytes(json.dumps(parts).encode()),
    "files": {path.name: _entry(path) for path in paths},
  }


def _entry(path: pathlib.Path) -> dict:
  """Size and digest of a file, without its time, which says nothing."""
  entry = files.file_entry(path)
  return {name: entry[name] for name in ("bytes", "digest")}


def _write_runs(
  directory: directory_lib.StudyDirectory,
  group: work_units.Group,
  given: given_lib.Given,
  model: str,
  config: config_lib.StudyConfig,
  dataset_digest: str,
) -> list[str]:
  """Writes the runs of a model; returns the digests of their predictions."""
  labels = np.concatenate([given.labels, given.test_labels])
  recipe = plan_lib.Plan.of(config).recipes[group.recipe]
  digests = []
  for index, outcome in enumerate(given.outcomes(model)):
    mask = given.in_mask[index]
    table = _table(given, outcome, mask)
    unit = work_units.WorkUnit(*group, index)
    folder = directory.run_dir(unit)
    folder.mkdir(parents=True)
    content = predictions.table_bytes(table)
    path = folder / directory_lib.PREDICTIONS
    path.write_bytes(content)
    correct = table["predicted"].to_numpy() == labels
    inside, num_train = np.flatnonzero(mask), len(mask)
    held_out, tests = correct[:num_train][~mask], correct[num_train:]
    record = {
      "format_version": config_lib.FORMAT_VERSION,
      "unit": unit.name,
      "made_elsewhere": given_lib.KINDS[given.kind],
      "recipe_digest": recipe.digest(),
      "dataset_digest": dataset_digest,
      "subset_digest": files.digest_bytes(np.packbits(mask)),
      "subset_size": len(inside),
      "seed": config.running.seed,
      "threads": config.running.threads_per_unit,
      "parameters": given.parameters[model],
      "in_accuracy": float(correct[inside].mean()),
      "out_accuracy": float(held_out.mean()) if held_out.size else None,
      "test_accuracy": float(tests.mean()) if tests.size else None,
      "seconds": {"total": 0.0},
      "versions": {"predictions": "given", "read_by": memo_tf.__version__},
      "machine": {"host": "", "cpu": "elsewhere", "gpu": ""},
      "outputs": {path.name: files.file_entry(path, content)},
    }
    (folder / "run.json").write_text(sealed.dumps(record))
    digests.append(_digest(table))
  return digests


def _table(given: given_lib.Given, outcome: dict, mask: np.ndarray):
  """The prediction table of one run."""
  num_train = len(given.labels)
  if "logits" in outcome:
    logits = outcome["logits"]
    return predictions.from_logits(
      logits[:num_train],
      logits[num_train:],
      given.labels,
      given.test_labels,
      mask,
    )
  labels = np.concatenate([given.labels, given.test_labels])
  return predictions.table_of(labels, num_train, mask, outcome)


def _digest(table) -> str:
  """The digest of what a run predicted, whatever the bytes of its file."""
  names = [n for n in table.column_names if n not in ("split", "example_id")]
  parts = [
    files.digest_bytes(np.ascontiguousarray(table[name].to_numpy()))
    for name in names
  ]
  return files.digest_bytes("".join([*names, *parts]).encode())
