"""Units of work: one trained model each, and its name.

    cifar_resnet-20 / one_hot / r0.70 / 00007
    model             recipe    subsets index

The name is the unit's folder. `experiment.plan` lists the units of a study.
"""

import dataclasses
import re
from typing import NamedTuple

from memo_tf.experiment import model_names

_PART = r"[A-Za-z0-9][A-Za-z0-9_.\-]*"


class Group(NamedTuple):
  """The runs of one score: those that differ in the index m only."""

  model: str
  recipe: str
  subsets: str

  @property
  def name(self) -> str:
    """The name, as in `cifar_resnet-20/one_hot/r0.70`."""
    return "/".join(self)

  @property
  def label(self) -> str:
    """The model as tables and figures show it."""
    return model_names.label(self.model)


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class WorkUnit:
  """One trained model, named by model, recipe, subset family and index m."""

  model: str
  recipe: str
  subsets: str
  index: int

  @property
  def name(self) -> str:
    return f"{self.model}/{self.recipe}/{self.subsets}/{self.folder}"

  @property
  def folder(self) -> str:
    """The last part of the name."""
    return f"{self.index:05d}"

  @property
  def group(self) -> Group:
    """The group that the unit's run is scored in."""
    return Group(self.model, self.recipe, self.subsets)


def parse_unit(name: str) -> WorkUnit:
  """Parses a unit's name, or raises a `ValueError` that states the form."""
  match = re.fullmatch(rf"({_PART})/({_PART})/({_PART})/([0-9]{{5,9}})", name)
  unit = (
    WorkUnit(match[1], match[2], match[3], int(match[4])) if match else None
  )
  if unit is None or unit.name != name:
    raise ValueError(
      "A unit of work is named MODEL/RECIPE/SUBSETS/INDEX with five digits, as "
      f"in cifar_resnet-20/one_hot/r0.70/00007. Received: {name!r}"
    )
  return unit
