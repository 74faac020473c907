"""`…-eEPOCHS`: a recipe trained for another number of epochs than the study's.

The learning rate's schedule is stretched with it: cosine ends with the last
epoch, and the epochs of step decays keep their place. The warm-up keeps its
length.
"""

import re

_SUFFIX = re.compile(r"(?P<base>.+)-e(?P<epochs>[1-9][0-9]{0,4})")
# Compressed recipes may have a rate behind it.
_NUMBER = re.compile(_SUFFIX.pattern + r"(?P<rest>-r[0-9.]+)?")


def split(name: str, settings: dict) -> tuple[str, dict]:
  """Takes `-eEPOCHS` off a recipe's name and applies it to the settings.

  Args:
    name: of the recipe, such as `one_hot-e40`.
    settings: of the study, as a `TrainingConfig` has them.

  Returns:
    The name without the suffix, and the settings to train with; both as given
    if there is none.

  Raises:
    ValueError: for the study's own number of epochs, which would be a second
      name for one recipe, or one that is shorter than the warm-up.
  """
  match = _SUFFIX.fullmatch(name)
  if not match:
    return name, settings
  base, epochs = match["base"], int(match["epochs"])
  if epochs == settings["epochs"]:
    raise ValueError(
      f"A recipe with the study's own --epochs={epochs} is written {base!r}. "
      f"Received: {name!r}"
    )
  if epochs < settings["warmup_epochs"]:
    raise ValueError(
      "A recipe must have at least as many epochs as --warmup_epochs="
      f"{settings['warmup_epochs']:g}. Received: {name!r}"
    )
  factor = epochs / settings["epochs"]
  decays = tuple(e * factor for e in settings["decay_epochs"])
  return base, settings | {"epochs": epochs, "decay_epochs": decays}


def shortened(names: tuple[str, ...]) -> tuple[str, ...]:
  """Recipes' names with their numbers of epochs made small but different.

  Args:
    names: of a study's recipes.

  Returns:
    The same names in order, with `-e2`, `-e3` … in place of the numbers.
  """
  matches = [_NUMBER.fullmatch(name) for name in names]
  numbers = sorted({int(m["epochs"]) for m in matches if m})
  return tuple(
    f"{m['base']}-e{numbers.index(int(m['epochs'])) + 2}{m['rest'] or ''}"
    if m
    else name
    for name, m in zip(names, matches)
  )
