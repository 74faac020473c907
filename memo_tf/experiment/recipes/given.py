"""`given`: runs that were made elsewhere, in a way that nothing here knows."""

import dataclasses
import hashlib

from memo_tf.experiment.recipes import recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenRecipe(recipe.Recipe):
  """How a run that was made elsewhere was trained: nothing here knows."""

  def digest(self) -> str:
    """16 hex digits, the same for all: its fields mean nothing."""
    return hashlib.sha256(self.name.encode()).hexdigest()[:16]


def parse(name: str, settings: dict) -> recipe.Recipe:
  """The recipe `given`; raises a `ValueError` for options."""
  if name != "given":
    raise ValueError(f"`given` takes no options. Received: {name!r}")
  return GivenRecipe(name=name, **settings)
