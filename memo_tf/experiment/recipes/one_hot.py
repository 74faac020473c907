"""`one_hot`: cross-entropy with the given label."""

from memo_tf.experiment.recipes import recipe


def parse(name: str, settings: dict) -> recipe.Recipe:
  """The recipe `one_hot`; raises a `ValueError` for options."""
  if name != "one_hot":
    raise ValueError(f"`one_hot` takes no options. Received: {name!r}")
  return recipe.Recipe(name=name, **settings)
