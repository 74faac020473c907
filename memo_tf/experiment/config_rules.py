"""What a config must satisfy, each rule beside the flag that it is about."""

import dataclasses

from memo_tf import proxies
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import model_names
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib


def _require(holds: bool, rule: str, name: str, value) -> None:
  if not holds:
    raise ValueError(
      f"--{name} {rule}. Received: --{name}={config_lib.show(value)}"
    )


def check(config: config_lib.StudyConfig) -> None:
  """Raises a `ValueError` that names flag, rule and value, if one is broken."""
  data, subsets, training = config.data, config.subsets, config.training
  running = config.running
  checks = [
    (
      config_lib.is_dataset_name(data.dataset),
      f"must be one of: {', '.join(config_lib.BUNDLED_DATASETS)}, npz:FILE, "
      "folder:DIR, or a name of TensorFlow Datasets",
      "dataset",
      data.dataset,
    ),
    (
      0 <= data.test_fraction < 1,
      "must be in [0, 1)",
      "test_fraction",
      data.test_fraction,
    ),
    (
      data.image_size == 0 or data.image_size >= 8,
      "must be 0 (as they are) or at least 8",
      "image_size",
      data.image_size,
    ),
    (
      bool(data.train_split),
      "must name a split",
      "train_split",
      data.train_split,
    ),
    (
      not (data.labels_file and data.label_noise),
      "and --label_noise exclude each other: both replace labels",
      "labels_file",
      data.labels_file,
    ),
    (
      not (data.test_split and data.test_fraction),
      "and --test_fraction exclude each other: both make the test set",
      "test_split",
      data.test_split,
    ),
    (
      0 <= data.label_noise < 1,
      "must be in [0, 1)",
      "label_noise",
      data.label_noise,
    ),
    *(
      (getattr(data, name) >= 0, "must be 0 or more", name, getattr(data, name))
      for name in (
        "num_examples",
        "max_examples",
        "planted_exact_duplicates",
        "planted_near_duplicates",
        "planted_near_shift",
        "planted_copied_labels",
        "planted_conflicts",
        "planted_noise_images",
      )
    ),
    (
      0 <= data.planted_near_noise <= 1,
      "must be in [0, 1]",
      "planted_near_noise",
      data.planted_near_noise,
    ),
    (
      bool(data.planted_copies)
      and all(copies >= 2 for copies in data.planted_copies)
      and len(set(data.planted_copies)) == len(data.planted_copies),
      "must be different numbers of 2 or more",
      "planted_copies",
      data.planted_copies,
    ),
    (
      0 < data.near_duplicate_distance <= 1,
      "must be in (0, 1]",
      "near_duplicate_distance",
      data.near_duplicate_distance,
    ),
    (
      subsets.num_subsets >= 2,
      "must be at least 2: memorization compares runs that saw an example with "
      "runs that did not",
      "num_subsets",
      subsets.num_subsets,
    ),
    (
      0 < subsets.subset_ratio < 1,
      "must be strictly between 0 and 1, or no example is ever held out",
      "subset_ratio",
      subsets.subset_ratio,
    ),
    (
      round(subsets.subset_ratio, 6) == subsets.subset_ratio,
      "takes at most six decimals",
      "subset_ratio",
      subsets.subset_ratio,
    ),
    (training.epochs >= 1, "must be at least 1", "epochs", training.epochs),
    (
      training.batch_size >= 1,
      "must be at least 1",
      "batch_size",
      training.batch_size,
    ),
    (
      0 < training.learning_rate < float("inf"),
      "must be above 0",
      "learning_rate",
      training.learning_rate,
    ),
    (
      0 <= training.warmup_epochs <= training.epochs,
      "must be between 0 and --epochs",
      "warmup_epochs",
      training.warmup_epochs,
    ),
    (
      all(e > 0 for e in training.decay_epochs)
      and sorted(training.decay_epochs) == list(training.decay_epochs),
      "must be above 0 and in order",
      "decay_epochs",
      training.decay_epochs,
    ),
    (
      0 < training.decay_factor <= 1,
      "must be in (0, 1]",
      "decay_factor",
      training.decay_factor,
    ),
    (
      0 <= training.momentum < 1,
      "must be in [0, 1)",
      "momentum",
      training.momentum,
    ),
    (
      0 <= training.weight_decay < float("inf"),
      "must be 0 or more",
      "weight_decay",
      training.weight_decay,
    ),
    (
      0 <= training.batch_norm_momentum < 1,
      "must be in [0, 1)",
      "batch_norm_momentum",
      training.batch_norm_momentum,
    ),
    (running.seed >= 0, "must be 0 or more", "seed", running.seed),
    (
      running.threads_per_unit >= 1,
      "must be at least 1",
      "threads_per_unit",
      running.threads_per_unit,
    ),
    (
      running.cpu_devices >= 1,
      "must be at least 1",
      "cpu_devices",
      running.cpu_devices,
    ),
    (
      running.strategy == "mirrored" or running.cpu_devices == 1,
      "needs --strategy=mirrored",
      "cpu_devices",
      running.cpu_devices,
    ),
    (
      training.batch_size % max(1, running.cpu_devices) == 0,
      f"must be a multiple of the {running.cpu_devices} replicas of "
      "--cpu_devices",
      "batch_size",
      training.batch_size,
    ),
    (
      running.jit_compile != "on" or running.strategy == "one_device",
      "must not be on over several replicas, where XLA fails or hangs",
      "jit_compile",
      running.jit_compile,
    ),
    (
      1 <= data.jpeg_quality <= 100,
      "must be in [1, 100]",
      "jpeg_quality",
      data.jpeg_quality,
    ),
    (
      0 <= running.memory_budget_gb < float("inf"),
      "must be 0 or more",
      "memory_budget_gb",
      running.memory_budget_gb,
    ),
    (running.workers >= 0, "must be 0 or more", "workers", running.workers),
    (
      running.checkpoint_epochs >= 0,
      "must be 0 or more",
      "checkpoint_epochs",
      running.checkpoint_epochs,
    ),
    (
      set(config.outputs.outcomes) <= set(settings_lib.OUTCOMES),
      f"must be of: {', '.join(settings_lib.OUTCOMES)}",
      "outcomes",
      config.outputs.outcomes,
    ),
    (
      config.outputs.influence_top_k >= 0,
      "must be 0 or more",
      "influence_top_k",
      config.outputs.influence_top_k,
    ),
    (
      running.max_retries >= 0,
      "must be 0 or more",
      "max_retries",
      running.max_retries,
    ),
    (
      -1 <= config.outputs.min_memorization <= 1,
      "must be in [-1, 1]",
      "min_memorization",
      config.outputs.min_memorization,
    ),
    (
      -1 <= config.outputs.min_influence <= 1,
      "must be in [-1, 1]",
      "min_influence",
      config.outputs.min_influence,
    ),
    (
      0 < config.outputs.min_change <= 1,
      "must be in (0, 1]",
      "min_change",
      config.outputs.min_change,
    ),
    (
      0 < config.outputs.interval_width <= 2,
      "must be in (0, 2]",
      "interval_width",
      config.outputs.interval_width,
    ),
  ]
  checks += _proxy_checks(config)
  for holds, rule, name, value in checks:
    _require(holds, rule, name, value)
  for group, kind in config_lib.groups().items():
    part = getattr(config, group)
    for field in dataclasses.fields(kind):
      choices, value = field.metadata.get("choices"), getattr(part, field.name)
      if choices:
        _require(
          value in choices,
          f"must be one of: {', '.join(choices)}",
          field.name,
          value,
        )
  for name, values in (
    ("models", config.models.models),
    ("recipes", config.models.recipes),
    ("subset_families", subsets.subset_families),
    ("proxies", config.proxies.proxies),
    ("proxy_files", config.proxies.proxy_files),
  ):
    _require(
      len(set(values)) == len(values), "names something twice", name, values
    )
  _require(bool(config.models.models), "must name at least one", "models", "")
  _require(bool(config.models.recipes), "must name at least one", "recipes", "")
  try:
    name = "subset_scheme"
    subsets_lib.check_scheme(subsets.subset_ratio, subsets.subset_scheme)
    name = "models"
    for value in config.models.models:
      model_names.parse(value)
    name = "recipes"
    for value in config.models.recipes:
      recipes_lib.parse(value, training)
    name = "subset_families"
    for value in subsets.subset_families:
      subsets_lib.parse_family(value)
  except ValueError as error:
    raise ValueError(f"--{name}: {error}") from error


def _proxy_checks(config: config_lib.StudyConfig) -> list[tuple]:
  """Rules of the group of proxies, as (holds, rule, name, value)."""
  settings, known = config.proxies, run_outputs.known_names()
  try:
    proxies.settings.parse(settings.proxy_settings)
  except ValueError as error:
    raise ValueError(f"--proxy_settings: {error}") from error
  checks = [
    (
      name in known,
      f"must be of: {', '.join(known)}",
      "proxies",
      (name,),
    )
    for name in settings.proxies
  ]
  for name in (
    "proxy_runs",
    "record_epochs",
    "record_checkpoints",
    "curvature_draws",
    "probe_neighbours",
  ):
    value = getattr(settings, name)
    checks.append((value >= 1, "must be at least 1", name, value))
  step = settings.curvature_step
  checks += [
    (0 < step < float("inf"), "must be above 0", "curvature_step", step),
    (
      settings.probe_dimensions >= 0,
      "must be 0 or more",
      "probe_dimensions",
      settings.probe_dimensions,
    ),
    (
      "cscore_profile" not in settings.proxies
      or sum(name != "full" for name in config.family_names()) > 1,
      "names cscore_profile, which takes another subset ratio as well: give "
      "--subset_families=r0.50",
      "proxies",
      settings.proxies,
    ),
  ]
  return checks
