"""Magnitude pruning by tfmot: zeros grow by its polynomial schedule.

Zhu & Gupta, "To prune, or not to prune" (2017, arXiv:1710.01878): the sparsity
of every kernel rises from 0 with s_f * (1 - (1 - t / t_end)^3). It has its
final value after the first half of the steps; the rest trains what is left.
"""

from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from memo_tf.compression.child import rebuilding

MASK_UPDATES = 10  # of the rising sparsity, at most
_sparsity = tfmot.sparsity.keras


def build(
  graph: dict[str, Any], options: dict[str, Any], steps: int
) -> tf_keras.Model:
  """The model whose kernels are pruned as it is trained.

  Args:
    graph: of the model.
    options: `sparsity`, in (0, 1).
    steps: of the whole fine-tuning.
  """
  half = max(1, steps // 2)
  frequency = max(1, half // MASK_UPDATES)
  schedule = _sparsity.PolynomialDecay(
    initial_sparsity=0.0,
    final_sparsity=options["sparsity"],
    begin_step=0,
    end_step=frequency * (half // frequency),
    power=3,
    frequency=frequency,
  )
  return rebuilding.build(
    graph, lambda layer: _sparsity.prune_low_magnitude(layer, schedule)
  )


def reset(model: tf_keras.Model) -> None:
  """Takes the masks away and starts the schedule anew."""
  for layer in _pruned(model):
    # Each step counts itself before it looks at the schedule.
    layer.pruning_step.assign(0)
    for _, mask, threshold in layer.pruning_vars:
      mask.assign(tf.ones_like(mask))
      threshold.assign(0.0)


def finish(model: tf_keras.Model) -> None:
  """Sets to 0 what the last step moved under the masks."""
  for layer in _pruned(model):
    for weight, mask, _ in layer.pruning_vars:
      weight.assign(weight * mask)


def _pruned(model: tf_keras.Model) -> list:
  return [layer for layer in model.layers if hasattr(layer, "pruning_vars")]
