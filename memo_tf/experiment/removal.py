"""Subsets that leave out what a model memorizes, or as much at random.

    without-memorized-t0.25-cifar_resnet-8    memorization of at least 0.25
    without-same_classes-t0.25-cifar_resnet-8 as many of the same classes
    without-random-t0.25-cifar_resnet-8       as many of any class
    without-targeted-cifar_resnet-8           those of high-influence pairs
    without-targeted_random-cifar_resnet-8    as many of the same classes

    r0.70-without-memorized-t0.25-cifar_resnet-8     of every subset of r0.70
    r0.70-without-same_classes-t0.25-cifar_resnet-8  as many of the same classes

The experiments of Feldman & Zhang (2020, arXiv:2008.03703, section 3). What is
left out depends on scores: a family's `Selection` is written down before its
first run, and never computed again (`store.selections`). Repeat m of a control
draws its own examples; the other arms leave out the same ones in every repeat,
and differ in the initial weights. Repeat m has the same initial weights, order
and augmentation in all arms, so that differences are paired.

The last two are of the onion (Carlini et al., 2022, arXiv:2206.10469). All
subsets of a family lack the same examples, those of the control too, so that
all others have scores. Initial weights, order and augmentation of run m are
those of run m of the family itself.
"""

from collections.abc import Mapping
import dataclasses
import math
import re

import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import random_streams
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units

MEMORIZED, TARGETED = "memorized", "targeted"
RANDOM, SAME_CLASSES = "random", "same_classes"
TARGETED_RANDOM = "targeted_random"
# What each comparison trains: without the selection, and its control.
ARMS = {
  SAME_CLASSES: (MEMORIZED, SAME_CLASSES),
  RANDOM: (MEMORIZED, RANDOM),
  TARGETED: (TARGETED, TARGETED_RANDOM),
}
_PREFIX = "without"
_NAME = re.compile(
  rf"(?:(r0\.\d+(?:-[a-z]+)?)-)?{_PREFIX}-"
  rf"(?:({MEMORIZED}|{SAME_CLASSES}|{RANDOM})-t([01]\.\d{{2,6}})"
  rf"|({TARGETED}|{TARGETED_RANDOM}))-(.+)"
)
# Subsets whose size varies are hardly ever smaller by more standard deviations.
_FAR = 6.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemovalFamily:
  """A family of subsets without some examples.

  Attributes:
    arm: which ones are left out; a key or a value of `ARMS`.
    model: whose scores say so.
    threshold: the least memorization; None for targeted removal.
    base: the family whose subsets lack them; "": all the data do.
  """

  arm: str
  model: str
  threshold: float | None = None
  base: str = ""

  @property
  def name(self) -> str:
    """Also the name of its folder."""
    parts = [self.base] if self.base else []
    parts += [_PREFIX, self.arm]
    if self.threshold is not None:
      text = f"{self.threshold:.6f}".rstrip("0")
      parts.append(f"t{text.ljust(4, '0')}")
    return "-".join([*parts, self.model])

  @property
  def is_drawn(self) -> bool:
    """Whether random examples are left out: a control."""
    return self.arm in (RANDOM, SAME_CLASSES, TARGETED_RANDOM)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
  """What a family leaves out, or what it draws as many of.

  Attributes:
    family: its name.
    ids: the selected examples, ascending: those with high memorization, or
      those of high-influence pairs.
    num_examples: N.
    test_ids: the test examples of the pairs, ascending; of targeted arms.
    about: where the selection comes from: JSON values by name.
  """

  family: str
  ids: tuple[int, ...]
  num_examples: int
  test_ids: tuple[int, ...] = ()
  about: Mapping[str, object] = dataclasses.field(default_factory=dict)

  @property
  def share(self) -> float:
    """The fraction of the examples that is left out."""
    return len(self.ids) / self.num_examples

  def can_train(self, batch_size: int) -> bool:
    """Whether anything is left out, and the rest fills a batch."""
    return bool(self.ids) and self._smallest_subset() >= batch_size

  def _smallest_subset(self) -> int:
    """What is left at least, if a subset holds all that is left out."""
    size = float(self.num_examples)
    if base := parse(self.family).base:
      family = subsets_lib.parse_family(base)
      size *= family.ratio
      if family.estimand == "bernoulli":
        size -= _FAR * math.sqrt(size * (1 - family.ratio))
    return int(size) - len(self.ids)

  def in_mask(self, labels: np.ndarray, repeats: int, seed: int) -> np.ndarray:
    """bool `[repeats, N]`: which examples each repeat trains on.

    Args:
      labels: `[N]`, the given labels.
      repeats: number of rows; the first rows do not depend on it.
      seed: of the study.
    """
    family = parse(self.family)
    if family.base:
      base = subsets_lib.parse_family(family.base)
      mask = base.in_mask(self.num_examples, repeats, seed)
      mask[:, self.left_out(labels, seed)] = False
      return mask
    mask = np.ones((repeats, self.num_examples), bool)
    if not family.is_drawn:
      mask[:, list(self.ids)] = False
      return mask
    for m, row in enumerate(mask):
      rng = random_streams.generator(seed, "removal", self.family, m)
      row[self._drawn(labels, rng)] = False
    return mask

  def left_out(self, labels: np.ndarray, seed: int) -> np.ndarray:
    """int `[k]`, ascending: what every subset of an onion's family lacks.

    Args:
      labels: `[N]`, the given labels.
      seed: of the study.
    """
    if not parse(self.family).is_drawn:
      return np.array(self.ids, int)
    rng = random_streams.generator(seed, "onion", self.family)
    return np.sort(self._drawn(labels, rng))

  def _drawn(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int `[k]`: as many random examples, of the same classes if asked for."""
    counts: dict = {None: len(self.ids)}
    members = {None: np.arange(self.num_examples)}
    if parse(self.family).arm != RANDOM:
      classes, found = np.unique(labels[list(self.ids)], return_counts=True)
      counts = dict(zip(classes.tolist(), found.tolist()))
      members = {c: np.flatnonzero(labels == c) for c in counts}
    parts = [rng.permutation(members[c])[:n] for c, n in counts.items()]
    return np.concatenate([np.array([], int), *parts])


def is_removal(family: str) -> bool:
  """Whether a subset family's name is one of this module."""
  return f"-{_PREFIX}-" in f"-{family}"


def is_onion(family: str) -> bool:
  """Whether it is of subsets without some examples, rather than of all data."""
  return is_removal(family) and not family.startswith(f"{_PREFIX}-")


def num_subsets(config: config_lib.StudyConfig, family: str) -> int:
  """M, the number of subsets of one of these families."""
  asked = config.removal
  return asked.onion_subsets if is_onion(family) else asked.removal_repeats


def parse(name: str) -> RemovalFamily:
  """Parses a family's name, or raises a `ValueError` that states the form."""
  found = _NAME.fullmatch(name)
  if found:
    threshold = None if found[3] is None else float(found[3])
    family = RemovalFamily(
      arm=found[2] or found[4],
      model=found[5],
      threshold=threshold,
      base=found[1] or "",
    )
    if family.name == name:
      return family
  raise ValueError(
    "A family without some examples is named without-ARM-tTHRESHOLD-MODEL, as "
    f"in without-random-t0.25-cifar_resnet-8. Received: {name!r}"
  )


def families(config: config_lib.StudyConfig) -> list[RemovalFamily]:
  """The families that a study asks for, model by model; none by default."""
  asked = config.removal
  if not asked.is_asked:
    return []
  found: dict[RemovalFamily, None] = {}
  comparisons = asked.removal_comparisons if asked.removal_repeats else ()
  onions = asked.removal_thresholds if asked.onion_subsets else ()
  base = config.family_names()[0]
  for model in asked.removal_models or config.models.models:
    for comparison in comparisons:
      is_targeted = comparison == TARGETED
      for threshold in [None] if is_targeted else asked.removal_thresholds:
        for arm in ARMS[comparison]:
          found[RemovalFamily(arm=arm, model=model, threshold=threshold)] = None
    for threshold in onions:
      for arm in ARMS[SAME_CLASSES]:
        family = RemovalFamily(
          arm=arm, model=model, threshold=threshold, base=base
        )
        found[family] = None
  return list(found)


def source(family: RemovalFamily) -> RemovalFamily:
  """The family whose selection a control draws as many of."""
  is_targeted = family.arm == TARGETED_RANDOM
  return dataclasses.replace(family, arm=TARGETED if is_targeted else MEMORIZED)


def recipe(config: config_lib.StudyConfig) -> str:
  """The recipe whose scores select, and by which models are trained again."""
  return config.models.recipes[0]


def stream_unit(unit: work_units.WorkUnit) -> work_units.WorkUnit:
  """The unit whose name keys the random streams of a unit's training.

  Itself; but units that leave out examples share those of one name, whatever
  they leave out: their initial weights are the same. Those of an onion are the
  ones of the family whose subsets they reduce.
  """
  if not is_removal(unit.subsets):
    return unit
  family = parse(unit.subsets).base if is_onion(unit.subsets) else _PREFIX
  return dataclasses.replace(unit, subsets=family)
