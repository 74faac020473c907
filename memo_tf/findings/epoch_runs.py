"""What runs have right after chosen epochs (`--score_epochs`), read back.

Kept as bits, and unpacked an epoch at a time: of large studies all epochs at
once would not fit into memory.
"""

from collections.abc import Sequence
import dataclasses
import zipfile

import numpy as np

from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import score_epochs
from memo_tf.experiment import work_units
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import run_records

_UNREADABLE = (
  errors.StudyError,
  OSError,
  ValueError,
  KeyError,
  EOFError,
  zipfile.BadZipFile,
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RunsOverEpochs(Sequence):
  """What runs of one group have right, epoch by epoch: bool `[M, N]` each.

  Attributes:
    result: of the group.
    epochs: E of them, ascending, the recipe's last at the end.
    rows: int `[M]`, the runs of `result` that kept every epoch.
    bits: uint8 `[E - 1, M, …]`, as the epochs' files have them.
  """

  result: groups_lib.GroupScores
  epochs: tuple[int, ...]
  rows: np.ndarray
  bits: np.ndarray

  def __len__(self) -> int:
    return len(self.epochs)

  def __getitem__(self, index):
    return self._right(index)[0]

  def test_correct(self, index: int) -> np.ndarray:
    """bool `[M, T]` after the epoch of this index."""
    return self._right(index)[1]

  @property
  def indices(self) -> list[int]:
    """Index of the subset of each run, M of them."""
    return [self.result.stack.units[row].index for row in self.rows]

  @property
  def in_mask(self) -> np.ndarray:
    """bool `[M, N]`."""
    return self.result.stack.in_mask[self.rows]

  def of(self, indices: Sequence[int]) -> "RunsOverEpochs":
    """The same of the runs on these subsets."""
    own = self.indices
    chosen = [own.index(m) for m in indices]
    return dataclasses.replace(
      self, rows=self.rows[chosen], bits=self.bits[:, chosen]
    )

  def _right(self, index: int) -> tuple[np.ndarray, np.ndarray]:
    stack = self.result.stack
    index = range(len(self))[index]
    if index == len(self.bits):
      return stack.correct[self.rows], stack.test_correct[self.rows]
    num_train = len(stack.labels)
    count = num_train + len(stack.test_labels)
    right = np.unpackbits(self.bits[index], axis=1, count=count).astype(bool)
    return right[:, :num_train], right[:, num_train:]


def read(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: Sequence[groups_lib.GroupScores],
) -> dict[work_units.Group, RunsOverEpochs]:
  """What the runs of each group kept of chosen epochs, if any of them did.

  Raises:
    DamagedRunError: if a file is damaged.
  """
  asked, found = plan.config.outputs.score_epochs, {}
  for result in results if asked else ():
    recipe = plan.recipes[result.group.recipe]
    chosen = score_epochs.recorded(asked, recipe)
    if not chosen or not score_epochs.is_followed(result.group.subsets):
      continue
    wanted = frozenset(map(score_epochs.output, chosen))
    rows, bits = [], []
    for row, unit in enumerate(result.stack.units):
      if directory.run_state(unit, check_digests=False).has(wanted):
        rows.append(row)
        bits.append([_bits(directory, unit, e, result.stack) for e in chosen])
    if rows:
      found[result.group] = RunsOverEpochs(
        result=result,
        epochs=(*chosen, recipe.epochs),
        rows=np.array(rows),
        bits=np.array(bits).swapaxes(0, 1),
      )
  return found


def _bits(directory, unit, epoch: int, stack) -> np.ndarray:
  """The bits of one run's file of an epoch."""
  name = score_epochs.output(epoch)
  try:
    found = run_records.read_records(directory, unit, frozenset({name}))
    bits, count = found["correct"], found["num_examples"]
  except _UNREADABLE as error:
    raise errors.DamagedRunError(unit, f"{name} cannot be read") from error
  size = len(stack.labels) + len(stack.test_labels)
  if (
    count.shape != ()
    or count != size
    or bits.shape != (-(-size // 8),)
    or bits.dtype != np.uint8
  ):
    raise errors.DamagedRunError(unit, f"{name} is not of {size} examples")
  return bits
