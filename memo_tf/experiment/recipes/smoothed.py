"""`smoothed-0.1`: cross-entropy with a softened label (label smoothing).

The target has 1 - s + s / C for the given label and s / C for every other
class (Szegedy et al., 2016, arXiv:1512.00567, section 7). Like distillation it
trains on soft targets, but they hold nothing about the image: a control.
"""

import dataclasses
import re

from memo_tf.experiment.recipes import epochs
from memo_tf.experiment.recipes import recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmoothedRecipe(recipe.Recipe):
  """How a model is trained on softened labels.

  Attributes:
    smoothing: s, in (0, 1): the part of the target that all classes share.
  """

  smoothing: float


def parse(name: str, settings: dict) -> recipe.Recipe:
  """The recipe of a name; raises a `ValueError` that states the rule."""
  base, settings = epochs.split(name, settings)
  match = re.fullmatch(r"smoothed-([01]\.[0-9]{1,4})", base)
  smoothing = float(match[1]) if match else 0.0
  if not 0 < smoothing < 1:
    raise ValueError(
      "A recipe with smoothed labels is named `smoothed-SMOOTHING`, which is "
      "above 0 and below 1, and takes a number of epochs, as in "
      f"`smoothed-0.1-e40`. Received: {name!r}"
    )
  if base != f"smoothed-{smoothing:.10g}":  # one recipe, one name
    raise ValueError(
      f"This smoothing is written {smoothing:.10g}. Received: {name!r}"
    )
  return SmoothedRecipe(name=name, smoothing=smoothing, **settings)
