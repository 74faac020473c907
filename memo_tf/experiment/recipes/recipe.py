"""How a model is trained: the frozen dataclass that all recipes are."""

import dataclasses
import hashlib
import json

import numpy as np

SCHEDULES = ("step", "cosine", "linear")
WEIGHT_DECAYS = ("gradient", "loss", "decoupled")
WEIGHT_DECAY_COVERAGES = ("kernels", "all")
# In `required`: the model of the unit itself.
SAME_MODEL = ""
PRECISIONS = ("float32", "bfloat16", "float64")
AUGMENTATIONS = ("none", "pad_crop_flip")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """How a model is trained; fields as in `settings.TrainingConfig`.

  Attributes:
    name: of the recipe.
    required: (model, recipe) names of units that must be finished first,
      trained on subset `required_index` of `required_family`; `SAME_MODEL`
      for the model of the unit itself. Empty for `one_hot`.
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

  def required_of(self, model: str) -> tuple[tuple[str, str], ...]:
    """`required` of a unit of this model, every model named."""
    return tuple((name or model, recipe) for name, recipe in self.required)

  def digest(self) -> str:
    """16 hex digits that change with any field."""
    text = json.dumps(dataclasses.asdict(self), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  def required_family(self, family: str) -> str:
    """The subset family of the required units; the unit's own, if not named.

    Args:
      family: of the unit.

    Raises:
      ValueError: if the recipe names another that the family does not have.
    """
    return family

  def required_index(self, index: int) -> int:
    """The index of the required units; the unit's own, if not named.

    Args:
      index: of the unit.
    """
    return index

  def required_mask(self, in_mask: np.ndarray) -> np.ndarray:
    """bool `[N]`: what the required units were trained on.

    Args:
      in_mask: bool `[N]`, the unit's own subset.
    """
    return in_mask

  def check_subset_size(self, size: int) -> None:
    """Raises a `ValueError` if a subset does not fill one batch."""
    if self.batch_size > size:
      raise ValueError(
        f"--batch_size must be at most the size of a subset, {size}. "
        f"Received: --batch_size={self.batch_size}"
      )
