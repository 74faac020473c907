"""Checks a config: the rules of single fields and of pairs of settings.

The rules of a field are declared with it, in `settings`.
"""

from collections.abc import Mapping
import dataclasses
import difflib
import typing
from typing import Any

import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import model_names
from memo_tf.experiment import own_models
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib


def from_settings(values: Mapping[str, Any]) -> config_lib.StudyConfig:
  """The validated config that has these settings, and defaults for the others.

  Args:
    values: settings by the names of their fields, as Python has them: a list
      may be a list, or a single value.

  Raises:
    ValueError: names the setting, its rule and the value given.
  """
  parts, known = {}, set()
  for group, kind in config_lib.groups().items():
    kinds = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    known.update(names)
    parts[group] = kind(
      **{n: _as_field(values[n], kinds[n]) for n in names if n in values}
    )
  for name in set(values) - known:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise ValueError(
      "a setting must be a flag of memo_tf.launch, which --help lists. "
      f"Received: {name}{hint}"
    )
  return validated(config_lib.StudyConfig(**parts))


def _as_field(value: Any, kind: Any) -> Any:
  """A value as the config keeps it: plain, or a tuple of plain values."""
  if typing.get_origin(kind) is tuple:
    is_list = isinstance(value, (list, tuple, np.ndarray))
    item = typing.get_args(kind)[0]
    members = value if is_list else (value,)
    return tuple(_as_field(member, item) for member in members)
  value = value.item() if isinstance(value, np.generic) else value
  # As a flag gives it: the digest of a recipe tells 0 from 0.0.
  is_int = isinstance(value, int) and not isinstance(value, bool)
  return float(value) if kind is float and is_int else value


def validated(config: config_lib.StudyConfig) -> config_lib.StudyConfig:
  """Returns `config`, its own models resolved, if it follows every rule.

  Raises:
    ValueError: names the flag, its rule and the value given.
  """
  config = _with_own_models(config)
  for group, kind in config_lib.groups().items():
    kinds = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
      value = getattr(getattr(config, group), field.name)
      # Flags have their types; a recorded config can hold anything.
      rule = f"must be of type {kinds[field.name]}"
      _require(_has_type(value, kinds[field.name]), rule, field.name, value)
      _check_field(field, value)
  for check in _OF_TWO_SETTINGS:
    check(config)
  return config


def _with_own_models(config: config_lib.StudyConfig) -> config_lib.StudyConfig:
  """`config` with the names of own models in place of references to them."""
  lists = ("models", "own_models", "imports")
  for name in lists:  # a recorded config can hold anything
    if not _has_type(getattr(config.models, name), tuple[str, ...]):
      return config
  try:
    models = own_models.resolved(config.models)
  except ValueError as error:
    text = str(error)
    text = text if text.startswith("--") else f"--models: {text}"
    raise ValueError(text) from error
  if models == config.models:
    return config
  return dataclasses.replace(config, models=models)


def _has_type(value: Any, kind: Any) -> bool:
  """Whether a value is of a field's type: a plain one, or a tuple of one."""
  if typing.get_origin(kind) is tuple:
    item = typing.get_args(kind)[0]
    return isinstance(value, tuple) and all(_has_type(v, item) for v in value)
  if isinstance(value, bool):
    return kind is bool
  return isinstance(value, (int, float) if kind is float else kind)


def _check_field(field: dataclasses.Field, value: Any) -> None:
  choices = field.metadata.get("choices")
  if choices:
    rule = f"must be one of: {', '.join(choices)}"
    _require(value in choices, rule, field.name, value)
  for predicate, rule in field.metadata["rules"]:
    try:
      holds = predicate(value)
    except ValueError as error:
      raise ValueError(f"--{field.name}: {error}") from error
    _require(holds, rule, field.name, value)


def _require(holds: bool, rule: str, name: str, value: Any) -> None:
  if not holds:
    raise ValueError(
      f"--{name} {rule}. Received: --{name}={config_lib.show(value)}"
    )


def _predictions_are_not_trained(config: config_lib.StudyConfig) -> None:
  """Models and recipe of given predictions go with such a data set."""
  is_given = config.is_made_elsewhere
  families = {model_names.parse(n).family for n in config.models.models}
  for name, values, are_given in (
    ("models", config.models.models, families == {"given"}),
    ("recipes", config.models.recipes, config.models.recipes == ("given",)),
  ):
    some = "given" in families if name == "models" else "given" in values
    _require(
      are_given == is_given and some == is_given,
      "must name models and recipes to train, and `given` ones only for "
      f"--dataset={settings_lib.PREDICTIONS}NAME, which memo_tf.score makes",
      name,
      values,
    )


def _labels_come_from_one_place(config: config_lib.StudyConfig) -> None:
  data = config.data
  _require(
    not (data.labels_file and data.label_noise),
    "and --label_noise exclude each other: both replace labels",
    "labels_file",
    data.labels_file,
  )


def _test_set_comes_from_one_place(config: config_lib.StudyConfig) -> None:
  data = config.data
  _require(
    not (data.test_split and data.test_fraction),
    "and --test_fraction exclude each other: both make the test set",
    "test_split",
    data.test_split,
  )


def _scheme_has_ratio(config: config_lib.StudyConfig) -> None:
  subsets = config.subsets
  try:
    subsets_lib.check_scheme(subsets.subset_ratio, subsets.subset_scheme)
  except ValueError as error:
    raise ValueError(f"--subset_scheme: {error}") from error


def _recipes_are_known(config: config_lib.StudyConfig) -> None:
  for name in config.models.recipes:
    try:
      recipe = recipes_lib.parse(name, config.training)
      for family in config.family_names():
        recipe.required_family(family)
    except ValueError as error:
      raise ValueError(f"--recipes: {error}") from error


def _compressed_models_are_plain(config: config_lib.StudyConfig) -> None:
  """What a compressed recipe does not support."""
  parsed = [
    recipes_lib.parse(name, config.training) for name in config.models.recipes
  ]
  for recipe in parsed:
    if not isinstance(recipe, recipes_lib.CompressedRecipe):
      continue
    rule = f"must be {{}} with the recipe {recipe.name}, which tf_keras makes"
    for group, name, value in (
      ("training", "precision", "float32"),
      ("running", "strategy", "one_device"),
    ):
      given = getattr(getattr(config, group), name)
      _require(given == value, rule.format(value), name, given)
    _require(
      not config.proxies.proxies,
      f"must be empty with the recipe {recipe.name}: what proxies need is "
      "recorded while a model is trained. Run them in a study of their own",
      "proxies",
      config.proxies.proxies,
    )


def _warmup_ends_within_training(config: config_lib.StudyConfig) -> None:
  training = config.training
  _require(
    0 <= training.warmup_epochs <= training.epochs,
    "must be between 0 and --epochs",
    "warmup_epochs",
    training.warmup_epochs,
  )


def _cpu_devices_are_mirrored(config: config_lib.StudyConfig) -> None:
  running = config.running
  _require(
    running.strategy == "mirrored" or running.cpu_devices == 1,
    "needs --strategy=mirrored",
    "cpu_devices",
    running.cpu_devices,
  )


def _replicas_share_a_batch_evenly(config: config_lib.StudyConfig) -> None:
  size, replicas = config.training.batch_size, config.running.cpu_devices
  _require(
    size % replicas == 0,
    f"must be a multiple of the {replicas} replicas of --cpu_devices",
    "batch_size",
    size,
  )


def _xla_has_one_replica(config: config_lib.StudyConfig) -> None:
  running = config.running
  _require(
    running.jit_compile != "on" or running.strategy == "one_device",
    "must not be on with several replicas, where XLA fails or hangs",
    "jit_compile",
    running.jit_compile,
  )


def _own_models_are_trained_by_one_process(
  config: config_lib.StudyConfig,
) -> None:
  # Building one in the first process alone would wait for the others.
  _require(
    config.running.strategy != "multi_worker" or not config.models.own_models,
    "must not be multi_worker with own models",
    "strategy",
    config.running.strategy,
  )


def _profile_has_two_ratios(config: config_lib.StudyConfig) -> None:
  names = config.proxies.proxies
  ratios = sum(name != "full" for name in config.family_names())
  _require(
    "cscore_profile" not in names or ratios > 1,
    "names cscore_profile, which needs a second subset ratio: add "
    "--subset_families=r0.50",
    "proxies",
    names,
  )


def _windows_have_their_epochs(config: config_lib.StudyConfig) -> None:
  count = run_outputs.num_recorded(config)
  for name in config.proxies.proxies:
    window = run_outputs.window_of(config, name)
    _require(
      window <= count,
      f"names {name}, which needs {window} recorded epochs; --epochs and "
      f"--record_epochs give {count}. Train longer, or choose a shorter window "
      f"with --proxy_settings={name}.window=",
      "proxies",
      config.proxies.proxies,
    )


def _score_epochs_fit(config: config_lib.StudyConfig) -> None:
  asked, epochs = config.outputs.score_epochs, config.training.epochs
  _require(
    all(epoch <= epochs for epoch in asked),
    f"must be at most --epochs, {epochs}",
    "score_epochs",
    asked,
  )
  _require(
    not asked or config.subsets.subset_scheme != "two_sizes",
    "must not be two_sizes with --score_epochs: its scores are not followed "
    "over epochs",
    "subset_scheme",
    config.subsets.subset_scheme,
  )


def _removal_is_trained(config: config_lib.StudyConfig) -> None:
  removal = config.removal
  _require(
    not (removal.removal_repeats and config.is_made_elsewhere),
    "trains models, which a study made from predictions cannot",
    "removal_repeats",
    removal.removal_repeats,
  )
  _require(
    not (removal.onion_subsets and config.is_made_elsewhere),
    "trains models, which a study made from predictions cannot",
    "onion_subsets",
    removal.onion_subsets,
  )
  _require(
    2 * removal.onion_subsets <= config.subsets.num_subsets,
    "must be at most half of --num_subsets, since the other runs select what "
    "is left out",
    "onion_subsets",
    removal.onion_subsets,
  )
  _require(
    not (removal.onion_subsets and config.subsets.subset_scheme == "two_sizes"),
    "must be 0 with --subset_scheme=two_sizes, whose sizes change without some "
    "examples",
    "onion_subsets",
    removal.onion_subsets,
  )
  if problem := config_lib.removal_problem(config):
    raise ValueError(problem)
  _require(
    set(removal.removal_models) <= set(config.models.models),
    "must name some of --models",
    "removal_models",
    removal.removal_models,
  )


def _target_can_be_reached(config: config_lib.StudyConfig) -> None:
  """A study that extends itself has one family, in whole blocks, and an end."""
  subsets = config.subsets
  if not subsets.target_ci_width:
    return
  _require(
    not config.is_made_elsewhere,
    "must be 0 for given predictions, which nothing here can extend",
    "target_ci_width",
    subsets.target_ci_width,
  )
  _require(
    not subsets.subset_families,
    "and --target_ci_width exclude each other: the target is of the scores of "
    "one family",
    "subset_families",
    subsets.subset_families,
  )
  _require(
    config.running.strategy != "multi_worker",
    "must not be multi_worker with --target_ci_width: its processes do not "
    "share what they find",
    "strategy",
    config.running.strategy,
  )
  block = subsets_lib.block_of(subsets.subset_ratio, subsets.subset_scheme)
  for name in ("num_subsets", "max_subsets"):
    value = getattr(subsets, name)
    _require(
      value % block == 0,
      f"must be whole blocks of {block} subsets with --target_ci_width",
      name,
      value,
    )
  _require(
    subsets.max_subsets >= subsets.num_subsets,
    f"must be at least --num_subsets, {subsets.num_subsets}",
    "max_subsets",
    subsets.max_subsets,
  )


_OF_TWO_SETTINGS = (
  _predictions_are_not_trained,
  _labels_come_from_one_place,
  _test_set_comes_from_one_place,
  _scheme_has_ratio,
  _recipes_are_known,
  _compressed_models_are_plain,
  _warmup_ends_within_training,
  _cpu_devices_are_mirrored,
  _replicas_share_a_batch_evenly,
  _xla_has_one_replica,
  _own_models_are_trained_by_one_process,
  _profile_has_two_ratios,
  _windows_have_their_epochs,
  _score_epochs_fit,
  _removal_is_trained,
  _target_can_be_reached,
)
