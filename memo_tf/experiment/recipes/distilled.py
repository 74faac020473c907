"""`distilled-TEACHER-tT`: a student learns from a teacher of its own subset.

Held-out labels reach a student through a teacher that saw them: such a teacher
is used only where the recipe's name says so, to measure how much passes.

distilled-cifar_resnet-56-t3        learns from the softened predictions of
                                    cifar_resnet-56/one_hot, at T = 3
distilled-cifar_resnet-56-t3-a0.5   half of the loss is the label's
distilled-cifar_resnet-56-t3-scaled multiplies the teacher's term by T^2
distilled-cifar_resnet-56-t3-e40    trains the student, not the teacher, for 40
                                    epochs
distilled-cifar_resnet-56-t3-sees_all
                                    the teacher saw every example
distilled-cifar_resnet-56-t3-sees_complement
                                    the teacher saw exactly the examples that
                                    are held out of the student
"""

import dataclasses
import re

import numpy as np

from memo_tf.experiment import model_names
from memo_tf.experiment import subsets
from memo_tf.experiment.recipes import epochs
from memo_tf.experiment.recipes import recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistilledRecipe(recipe.Recipe):
  """How a student is trained (`memo_tf.distillation` has the loss).

  Attributes:
    teacher: name of the teacher's model, trained `one_hot` on the student's
      own subset (see `required_mask`).
    temperature: T, above 0.
    alpha: weight of the teacher's term, in (0, 1]; 1 - alpha is that of the
      given label.
    scale_by_temperature_squared: whether T^2 multiplies the teacher's term.
  """

  teacher: str
  temperature: float
  alpha: float
  scale_by_temperature_squared: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class OtherTeacherRecipe(DistilledRecipe):
  """A student whose teacher saw other examples than it, as its name says.

  Attributes:
    teacher_sees: `all` examples, or the `complement` of the student's subset.
  """

  teacher_sees: str

  def required_family(self, family: str) -> str:
    """`full`, or the family of the complements; see the base class."""
    if self.teacher_sees == "all":
      return subsets.FULL
    return subsets.complement_name(family)

  def required_mask(self, in_mask: np.ndarray) -> np.ndarray:
    """bool `[N]`: what the teacher was trained on; see the base class."""
    return np.ones_like(in_mask) if self.teacher_sees == "all" else ~in_mask


_NUMBER = r"([0-9]{1,4}(?:\.[0-9]{1,4})?)"
_DISTILLED = re.compile(
  rf"distilled-(?P<teacher>.+?)-t{_NUMBER}(?:-a{_NUMBER})?(?P<scaled>-scaled)?"
  r"(?:-sees_(?P<sees>all|complement))?(?P<rest>-.*)?"
)


def parse(name: str, settings: dict) -> recipe.Recipe:
  """The recipe of a name; raises a `ValueError` that states the rule."""
  base, settings = epochs.split(name, settings)
  match = _DISTILLED.fullmatch(base)
  if not match:
    raise ValueError(
      "A distilled recipe is named `distilled-TEACHER-tTEMPERATURE`, then "
      "`-aALPHA` for an alpha other than 1, `-scaled` for T^2, `-sees_all` or "
      "`-sees_complement` for a teacher of other examples, and `-eEPOCHS`, as "
      f"in `distilled-cifar_resnet-56-t3-a0.5`. Received: {name!r}"
    )
  teacher, rest = match["teacher"], match["rest"]
  if rest or "/" in teacher:
    _refuse_rest(name, rest or f"-{teacher.rpartition('/')[2]}")
  model_names.parse(teacher)
  temperature, alpha = float(match[2]), float(match[3] or 1)
  if not temperature > 0:
    raise ValueError(f"A temperature must be above 0. Received: {name!r}")
  if not 0 < alpha <= 1:
    raise ValueError(
      "The teacher's weight alpha must be in (0, 1]; without a teacher the "
      f"recipe is `one_hot`. Received: {name!r}"
    )
  canonical = f"distilled-{teacher}-t{temperature:.10g}"
  canonical += f"-a{alpha:.10g}" if alpha != 1 else ""
  canonical += match["scaled"] or ""
  canonical += f"-sees_{match['sees']}" if match["sees"] else ""
  canonical += name[len(base) :]
  if name != canonical:  # a name is a folder: one recipe, one name
    raise ValueError(
      f"This recipe is written {canonical!r}. Received: {name!r}"
    )
  made: dict = dict(
    name=name,
    required=((teacher, "one_hot"),),
    teacher=teacher,
    temperature=temperature,
    alpha=alpha,
    scale_by_temperature_squared=bool(match["scaled"]),
    **settings,
  )
  # Another class: a new field would change the digests of recorded runs.
  if match["sees"]:
    return OtherTeacherRecipe(teacher_sees=match["sees"], **made)
  return DistilledRecipe(**made)


def _refuse_rest(name: str, rest: str) -> None:
  """Raises a `ValueError` about the excess `rest` of a recipe's name."""
  try:
    subsets.parse_family(rest[1:])
  except ValueError:
    raise ValueError(
      f"A distilled recipe's name ends before {rest!r}. Received: {name!r}"
    ) from None
  raise ValueError(
    "A student's teacher is trained on exactly the student's subset, or "
    "held-out examples would reach the student through it: no subsets can be "
    "named, but `-sees_all` and `-sees_complement`, to measure that. "
    f"Received: {name!r}, with a teacher on {rest[1:]!r}"
  )
