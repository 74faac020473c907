"""`one_hot`: cross-entropy with the given label; `one_hot-e40`: 40 epochs."""

from memo_tf.experiment.recipes import epochs
from memo_tf.experiment.recipes import recipe


def parse(name: str, settings: dict) -> recipe.Recipe:
  """The recipe of a name; raises a `ValueError` that states the rule."""
  base, settings = epochs.split(name, settings)
  if base != "one_hot":
    raise ValueError(
      "`one_hot` takes no options but a number of epochs, as in "
      f"`one_hot-e40`. Received: {name!r}"
    )
  return recipe.Recipe(name=name, **settings)
