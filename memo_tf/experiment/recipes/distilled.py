"""`distilled-TEACHER-tT`: a student learns from a teacher of its own subset.

distilled-cifar_resnet-56-t3        learns from the softened predictions of
                                    cifar_resnet-56/one_hot, at T = 3
distilled-cifar_resnet-56-t3-a0.5   half of the loss is the label's
distilled-cifar_resnet-56-t3-scaled multiplies the teacher's term by T^2
"""

import dataclasses
import re

from memo_tf.experiment import model_names
from memo_tf.experiment import subsets
from memo_tf.experiment.recipes import recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistilledRecipe(recipe.Recipe):
  """How a student is trained (`memo_tf.distillation` has the loss).

  Attributes:
    teacher: name of the teacher's model, trained `one_hot` on the student's
      own subset.
    temperature: T, above 0.
    alpha: weight of the teacher's term, in (0, 1]; 1 - alpha is that of the
      given label.
    scale_by_temperature_squared: whether T^2 multiplies the teacher's term.
  """

  teacher: str
  temperature: float
  alpha: float
  scale_by_temperature_squared: bool


_NUMBER = r"([0-9]{1,4}(?:\.[0-9]{1,4})?)"
_DISTILLED = re.compile(
  rf"distilled-(?P<teacher>.+?)-t{_NUMBER}(?:-a{_NUMBER})?(?P<scaled>-scaled)?"
  r"(?P<rest>-.*)?"
)


def parse(name: str, settings: dict) -> recipe.Recipe:
  """The recipe of a name; raises a `ValueError` that states the rule."""
  match = _DISTILLED.fullmatch(name)
  if not match:
    raise ValueError(
      "A distilled recipe is named `distilled-TEACHER-tTEMPERATURE`, then "
      "`-aALPHA` for an alpha other than 1 and `-scaled` for T^2, as in "
      f"`distilled-cifar_resnet-56-t3-a0.5`. Received: {name!r}"
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
  if name != canonical:  # a name is a folder: one recipe, one name
    raise ValueError(
      f"This recipe is written {canonical!r}. Received: {name!r}"
    )
  return DistilledRecipe(
    name=name,
    required=((teacher, "one_hot"),),
    teacher=teacher,
    temperature=temperature,
    alpha=alpha,
    scale_by_temperature_squared=bool(match["scaled"]),
    **settings,
  )


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
    "held-out examples would reach the student through it: no other "
    f"subsets can be named. Received: {name!r}, with a teacher on {rest[1:]!r}"
  )
