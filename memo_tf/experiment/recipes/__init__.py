"""Recipes: how a model is trained, as a named, hashed, frozen dataclass.

A recipe's name is a folder's name. `KINDS` maps the first word of a name to
the function that makes the recipe from the study's training settings, one
module a kind; a kind of recipe may require another unit of the same subset (a
student its teacher; of another subset only if its name says so), which
`Plan.requires` reads from here.
"""

from collections.abc import Callable
import dataclasses
import functools

from memo_tf.experiment.recipes import compressed
from memo_tf.experiment.recipes import distilled
from memo_tf.experiment.recipes import frozen
from memo_tf.experiment.recipes import given
from memo_tf.experiment.recipes import one_hot
from memo_tf.experiment.recipes import smoothed
from memo_tf.experiment.recipes.compressed import CompressedRecipe
from memo_tf.experiment.recipes.distilled import DistilledRecipe
from memo_tf.experiment.recipes.distilled import OtherTeacherRecipe
from memo_tf.experiment.recipes.epochs import shortened
from memo_tf.experiment.recipes.frozen import FrozenRecipe
from memo_tf.experiment.recipes.given import GivenRecipe
from memo_tf.experiment.recipes.recipe import AUGMENTATIONS
from memo_tf.experiment.recipes.recipe import PRECISIONS
from memo_tf.experiment.recipes.recipe import Recipe
from memo_tf.experiment.recipes.recipe import SCHEDULES
from memo_tf.experiment.recipes.recipe import WEIGHT_DECAY_COVERAGES
from memo_tf.experiment.recipes.recipe import WEIGHT_DECAYS
from memo_tf.experiment.recipes.smoothed import SmoothedRecipe

KINDS: dict[str, Callable[[str, dict], Recipe]] = {
  "clustered": compressed.parse,
  "distilled": distilled.parse,
  "frozen": frozen.parse,
  "given": given.parse,
  "int8": compressed.parse,
  "one_hot": one_hot.parse,
  "pruned": compressed.parse,
  "smoothed": smoothed.parse,
}


@functools.lru_cache(maxsize=1024)  # called for every unit of a study
def parse(name: str, training) -> Recipe:
  """The recipe of a name under the study's training settings.

  Args:
    name: such as `one_hot`.
    training: a `config.TrainingConfig`.

  Raises:
    ValueError: for an unknown recipe.
  """
  kind = name.partition("-")[0]
  if kind not in KINDS:
    raise ValueError(
      f"Unknown recipe. Known: {', '.join(sorted(KINDS))}. Received: {name!r}"
    )
  return KINDS[kind](name, dataclasses.asdict(training))


__all__ = (
  "AUGMENTATIONS",
  "KINDS",
  "PRECISIONS",
  "SCHEDULES",
  "WEIGHT_DECAYS",
  "WEIGHT_DECAY_COVERAGES",
  "CompressedRecipe",
  "DistilledRecipe",
  "FrozenRecipe",
  "GivenRecipe",
  "OtherTeacherRecipe",
  "Recipe",
  "SmoothedRecipe",
  "parse",
  "shortened",
)
