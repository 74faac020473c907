"""At which epochs a run keeps what it has right (`--score_epochs`).

    after_epoch_5.npz   correct        uint8, the bits of bool [N + T]
                        num_examples   N + T

One file per epoch: epochs can be added to a finished study, whose runs are then
repeated and must reproduce their predictions. The last epoch of a run has no
file, since its predictions have it. Test examples follow training examples.
"""

from collections.abc import Iterable
import re

from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import removal
from memo_tf.experiment import subsets

_OUTPUT = re.compile(r"after_epoch_([1-9][0-9]*)\.npz")
# Schemes of subsets whose scores are not followed over epochs: without scores,
# or with scores whose terms come from different runs.
WITHOUT = ("full", "two_sizes")
# Of an npz file that holds next to nothing.
_OVERHEAD = 512


def recorded(
  asked: Iterable[int], recipe: recipes_lib.Recipe
) -> tuple[int, ...]:
  """The epochs, from 1, ascending, after which runs of a recipe keep a file.

  Those asked for before the recipe's last. None of models that are compressed,
  or were trained elsewhere: their epochs are not those of training.

  Args:
    asked: `--score_epochs`.
    recipe: of the runs.
  """
  if isinstance(recipe, recipes_lib.CompressedRecipe | recipes_lib.GivenRecipe):
    return ()
  return tuple(sorted(e for e in set(asked) if e < recipe.epochs))


def outputs(asked: Iterable[int], recipe: recipes_lib.Recipe) -> frozenset[str]:
  """The output files of `recorded`."""
  return frozenset(map(output, recorded(asked, recipe)))


def output(epoch: int) -> str:
  """The name of an epoch's output file."""
  return f"after_epoch_{epoch}.npz"


def epoch_of(name: str) -> int | None:
  """The epoch of an output file; None of other files."""
  match = _OUTPUT.fullmatch(name)
  return int(match[1]) if match else None


def is_followed(family: str) -> bool:
  """Whether runs of a subset family have scores to follow over epochs."""
  if removal.is_removal(family):
    return False
  return subsets.parse_family(family).scheme not in WITHOUT


def estimated_bytes(num_epochs: int, num_examples: int) -> int:
  """The size, in bytes, of one run's files of so many epochs."""
  return num_epochs * (num_examples // 8 + _OVERHEAD)
