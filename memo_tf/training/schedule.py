"""The learning rate of every step.

A linear warm-up, then steps, half a cosine, or a line. With `s` the step
from 0, `W` the warm-up's steps and `S` all steps of the run,

    warm-up   rate * (s + 1) / W                              s < W
    step      rate * factor ** (decay epochs at or before s's epoch)
    cosine    rate * (1 + cos(pi * (s - W) / (S - W))) / 2
    linear    rate * (1 - (s - W) / (S - W))
"""

import numpy as np

from memo_tf.experiment import recipes


def learning_rates(recipe: recipes.Recipe, steps_per_epoch: int) -> np.ndarray:
  """float32 `[epochs, steps_per_epoch]`: the rate at each step of a run."""
  total = recipe.epochs * steps_per_epoch
  step = np.arange(total, dtype=np.float64)
  warmup = round(recipe.warmup_epochs * steps_per_epoch)
  progress = np.clip((step - warmup) / max(total - warmup, 1), 0, 1)
  if recipe.schedule == "cosine":
    factor: np.ndarray = (1 + np.cos(np.pi * progress)) / 2
  elif recipe.schedule == "linear":
    factor = 1 - progress
  else:
    epoch = step / steps_per_epoch
    passed = sum((epoch >= e for e in recipe.decay_epochs), np.zeros(total))
    factor = recipe.decay_factor**passed
  rising = (step + 1) / max(warmup, 1)
  rates = recipe.learning_rate * np.where(step < warmup, rising, factor)
  return rates.astype(np.float32).reshape(recipe.epochs, steps_per_epoch)
