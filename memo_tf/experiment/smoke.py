"""Reduces a study to one that tests a set-up in about a minute (`--smoke`).

The reduced study goes through everything that the whole one does: the same data
set, models, recipes, subset families, proxies and outputs. Its numbers mean
nothing; it shows that data, machine and settings work together.
"""

import dataclasses
from typing import Any

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib

NUM_SUBSETS = 2
NUM_REPEATS = 2
NUM_EXAMPLES = 400
# Fewest batches per epoch: enough for a schedule with a warm-up.
_MIN_STEPS = 4
# The fraction of the examples that may get planted copies, and the most noise
# images, as a fraction of the examples.
_PLANTED = 0.5
_NOISE_IMAGES = 0.25


def smoke(config: config_lib.StudyConfig) -> config_lib.StudyConfig:
  """Returns the config of a small study with the same set-up.

  Two subsets and no more (two more that select, with an onion), one epoch, and
  at most `NUM_EXAMPLES` training and as many test examples. What depends on
  their number becomes smaller: the batch, and with it the learning rate;
  warm-up and decays, which keep their place in the schedule; the counts of
  planted examples; neighbours. Files of custom proxies are left out, since they
  cover the examples of the whole study, and so are proxies of windows, which
  are longer than its one epoch.

  Args:
    config: of the whole study, validated.

  Returns:
    A validated config.

  Raises:
    ValueError: if the reduced config breaks a rule.
  """
  smallest, held_out = _sizes(config)
  proxies = dataclasses.replace(
    config.proxies,
    proxies=tuple(
      name
      for name in config.proxies.proxies
      if run_outputs.window_of(config, name) == 1
    ),
    proxy_files=(),
    probe_neighbours=min(
      config.proxies.probe_neighbours, max(1, smallest // 2)
    ),
  )
  reduced = dataclasses.replace(
    config,
    data=_data(config.data),
    subsets=dataclasses.replace(
      config.subsets,
      num_subsets=NUM_SUBSETS + (2 if config.removal.onion_subsets else 0),
      target_ci_width=0.0,
    ),
    models=dataclasses.replace(
      config.models, recipes=recipes_lib.shortened(config.models.recipes)
    ),
    training=_training(
      config.training,
      largest_batch=max(1, min(smallest // _MIN_STEPS, held_out)),
      num_replicas=config.running.cpu_devices,
    ),
    proxies=proxies,
    outputs=dataclasses.replace(
      config.outputs, score_epochs=(1,) if config.outputs.score_epochs else ()
    ),
    removal=dataclasses.replace(
      config.removal,
      removal_repeats=min(config.removal.removal_repeats, NUM_REPEATS),
      onion_subsets=min(config.removal.onion_subsets, NUM_REPEATS),
    ),
  )
  return config_rules.validated(reduced)


def _sizes(config: config_lib.StudyConfig) -> tuple[int, int]:
  """Sizes of the smallest subset, and of the main family's held-out part."""
  ratios = [
    subsets_lib.parse_family(name).ratio for name in config.all_family_names()
  ]
  # Subsets drawn example by example differ in size.
  spread = 0.8
  return (
    round(spread * min(ratios) * NUM_EXAMPLES),
    round(spread * (1 - config.subsets.subset_ratio) * NUM_EXAMPLES),
  )


def _training(
  training: settings_lib.TrainingConfig,
  *,
  largest_batch: int,
  num_replicas: int,
) -> settings_lib.TrainingConfig:
  """One epoch of smaller batches; the schedule's shape is kept."""
  batch_size = training.batch_size
  while batch_size > largest_batch and batch_size % 2 == 0:
    batch_size //= 2
  batch_size = min(batch_size, largest_batch)
  batch_size = max(batch_size // num_replicas, 1) * num_replicas
  return dataclasses.replace(
    training,
    epochs=1,
    batch_size=batch_size,
    # In proportion to the batch, or the few steps diverge (Goyal et al., 2017).
    learning_rate=training.learning_rate * batch_size / training.batch_size,
    warmup_epochs=training.warmup_epochs / training.epochs,
    decay_epochs=tuple(e / training.epochs for e in training.decay_epochs),
  )


def _data(data: settings_lib.DataConfig) -> settings_lib.DataConfig:
  """At most `NUM_EXAMPLES` examples, and no more planted ones than fit."""
  size = min(data.num_examples or NUM_EXAMPLES, NUM_EXAMPLES)
  wrong = round(data.label_noise * size)
  if data.labels_file:  # how many of them are wrong is unknown
    wrong = len(data.planted_copies)
  fit = _PLANTED * (size - wrong)
  names = (
    "planted_exact_duplicates",
    "planted_near_duplicates",
    "planted_conflicts",
  )
  counts = {name: getattr(data, name) for name in names}
  scale = min(1.0, fit / max(1, sum(counts.values())))
  planted: dict[str, Any] = {
    name: int(scale * count) for name, count in counts.items()
  }
  return dataclasses.replace(
    data,
    max_examples=min(data.max_examples or NUM_EXAMPLES, NUM_EXAMPLES),
    **planted,
    planted_copied_labels=min(
      data.planted_copied_labels, wrong // len(data.planted_copies)
    ),
    planted_noise_images=min(
      data.planted_noise_images, int(_NOISE_IMAGES * size)
    ),
  )
