"""Recipes: how a model is trained, as a named, hashed, frozen dataclass.

A recipe's name is a folder's name. `KINDS` maps the first word of a name to
the function that makes the recipe from the study's training settings; a kind
of recipe may require another unit of the same subset (a student its teacher),
which `Plan.requires` reads from here.

    one_hot                             cross-entropy with the given label
    distilled-cifar_resnet-56-t3        learns from the softened predictions of
                                        cifar_resnet-56/one_hot, at T = 3
    distilled-cifar_resnet-56-t3-a0.5   half of the loss is the label's
    distilled-cifar_resnet-56-t3-scaled multiplies the teacher's term by T^2
    given                               unknown: the run was trained elsewhere
"""

from collections.abc import Callable
import dataclasses
import functools
import hashlib
import json
import re

from memo_tf.experiment import model_names
from memo_tf.experiment import subsets

SCHEDULES = ("step", "cosine")
WEIGHT_DECAYS = ("gradient", "loss", "decoupled")
WEIGHT_DECAY_COVERAGES = ("kernels", "all")
PRECISIONS = ("float32", "bfloat16", "float64")
AUGMENTATIONS = ("none", "pad_crop_flip")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """How a model is trained; fields as in `settings.TrainingConfig`.

  Attributes:
    name: of the recipe.
    required: (model, recipe) names of units of the same subset family and
      index that must be finished first. Empty for `one_hot`.
  """

  name: str
  required: tuple[tuple[str, str], ...] = ()
  epochs: int
  batch_size: int
  learning_rate: float
  schedule: str
  warmup_epochs: float
  decay_epochs: tuple[float, ...]
  decay_factor: float
  momentum: float
  nesterov: bool
  weight_decay: float
  weight_decay_convention: str
  weight_decay_coverage: str
  batch_norm_momentum: float
  precision: str
  augmentation: str
  synchronized_batch_norm: bool

  def digest(self) -> str:
    """16 hex digits that change with any field."""
    text = json.dumps(dataclasses.asdict(self), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  def check_subset_size(self, size: int) -> None:
    """Raises a `ValueError` if a subset does not fill one batch."""
    if self.batch_size > size:
      raise ValueError(
        f"--batch_size must be at most the size of a subset, {size}. "
        f"Received: --batch_size={self.batch_size}"
      )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistilledRecipe(Recipe):
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


def _one_hot(name: str, settings: dict) -> Recipe:
  if name != "one_hot":
    raise ValueError(f"`one_hot` takes no options. Received: {name!r}")
  return Recipe(name=name, **settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenRecipe(Recipe):
  """How a run that was made elsewhere was trained: nothing here knows."""

  def digest(self) -> str:
    """16 hex digits, the same for all: its fields mean nothing."""
    return hashlib.sha256(self.name.encode()).hexdigest()[:16]


def _given(name: str, settings: dict) -> Recipe:
  if name != "given":
    raise ValueError(f"`given` takes no options. Received: {name!r}")
  return GivenRecipe(name=name, **settings)


_NUMBER = r"([0-9]{1,4}(?:\.[0-9]{1,4})?)"
_DISTILLED = re.compile(
  rf"distilled-(?P<teacher>.+?)-t{_NUMBER}(?:-a{_NUMBER})?(?P<scaled>-scaled)?"
  r"(?P<rest>-.*)?"
)


def _distilled(name: str, settings: dict) -> Recipe:
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


KINDS: dict[str, Callable[[str, dict], Recipe]] = {
  "distilled": _distilled,
  "given": _given,
  "one_hot": _one_hot,
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
