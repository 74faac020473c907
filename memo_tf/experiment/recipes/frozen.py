"""`frozen`: only the last layer is trained, on features that saw everything.

The negative control of Feldman & Zhang (2020, arXiv:2008.03703): the layers
before it are those of one run of the same model on *all* examples, the same for
every subset. A run that holds an example out has seen it through its features,
so scores must be far lower than those of models trained on subsets alone: they
are no memorization scores, and only show what such a shortcut misses.

frozen                from the weights of the same model's one_hot run on all
                      examples, index 0
frozen-e40            trains the last layer, not that run, for 40 epochs
"""

import dataclasses

import numpy as np

from memo_tf.experiment import subsets
from memo_tf.experiment.recipes import epochs
from memo_tf.experiment.recipes import recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenRecipe(recipe.Recipe):
  """How the last layer is trained; everything before it is kept."""

  def required_family(self, family: str) -> str:
    """`full`, whatever the unit's own; see the base class."""
    return subsets.FULL

  def required_index(self, index: int) -> int:
    """0: one run serves all subsets; see the base class."""
    return 0

  def required_mask(self, in_mask: np.ndarray) -> np.ndarray:
    """bool `[N]`, all True; see the base class."""
    return np.ones_like(in_mask)


def parse(name: str, settings: dict) -> recipe.Recipe:
  """The recipe of a name; raises a `ValueError` that states the rule."""
  base, settings = epochs.split(name, settings)
  if base != "frozen":
    raise ValueError(
      "`frozen` takes no options but a number of epochs, as in `frozen-e40`. "
      f"Received: {name!r}"
    )
  required = ((recipe.SAME_MODEL, "one_hot"),)
  return FrozenRecipe(name=name, required=required, **settings)
