"""Where `--target_ci_width` stops, and how often intervals hold after it.

    PYTHONPATH=. python benchmarks/stopping.py --experiment_dir=DIR

*Real runs*: a finished study of many runs; each repeat puts its blocks in
another order and lets a study grow from 20 runs until the mean width of the
ambiguous images' intervals is at most the target. The smallest sufficient
number is the first in that order whose width is; every whole block is looked at
to find it. The truth is the plain score of the runs that the stopped study did
not use; its own interval is added (Newcombe's, by the method of variance
estimates recovery).

*Simulated runs*: normal margins of known rates, so that the truth is exact; few
ambiguous images are where a stopping rule could do most harm.

Coverage of four kinds of image: all; ambiguous in truth (held-out accuracy of
0.3 to 0.7); near the rule (within 0.1 of either end); and those that are
ambiguous as the stopped study estimates. Beside it the coverage of the same
repeats at a fixed number of runs, the median of where they stopped, and the
paired difference with its 95 % interval (Student's t over repeats).

Not a timing. The last line is JSON. Over 350 lines, since real and simulated
runs go through the same steps.
"""

import argparse
from collections.abc import Callable
import dataclasses
import functools
import itertools
import json
import math

import numpy as np
from scipy import special
from scipy import stats

from memo_tf.estimators import margins
from memo_tf.estimators import memorization
from memo_tf.estimators import stopping
from memo_tf.estimators import widths
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets
from memo_tf.scoring import margin_columns
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import predictions

START = 20
KINDS = ("all", "ambiguous", "near the rule", "ambiguous as estimated")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runs:
  """Runs in whole blocks.

  Attributes:
    margin: `[M, N]`.
    in_mask: bool `[M, N]`.
    correct: bool `[M, N]`.
    use_counts: bool `[N]`, images with copies.
    block: length of a block.
  """

  margin: np.ndarray
  in_mask: np.ndarray
  correct: np.ndarray
  use_counts: np.ndarray
  block: int

  def of(self, rows: np.ndarray) -> "Runs":
    """Those of some rows."""
    return dataclasses.replace(
      self,
      margin=self.margin[rows],
      in_mask=self.in_mask[rows],
      correct=self.correct[rows],
    )


class Growing:
  """A study that grows block by block, in one order of the runs."""

  def __init__(self, runs: Runs, target: float, estimator: str, examples: str):
    self.runs, self.target, self.estimator = runs, target, estimator
    self.examples = examples
    self._scores: dict[int, tuple] = {}

  def scores(self, count: int) -> tuple:
    """Plain scores of the first `count` runs, and those from margins."""
    if count not in self._scores:
      self._scores[count] = self._of_first(count)
    return self._scores[count]

  def _of_first(self, count: int) -> tuple:
    first = self.runs.of(np.arange(count))
    plain = memorization.memorization_scores(first.correct, first.in_mask)
    if self.estimator == "plain":
      return plain, None
    return plain, margins.margin_scores(
      first.margin,
      first.in_mask,
      correct=first.correct,
      use_counts=first.use_counts,
    )

  def look(self, count: int) -> stopping.Look:
    """A look at the first `count` runs."""
    return stopping.look(
      *self.scores(count),
      self.target,
      examples=self.examples,
      block=self.runs.block,
    )

  def stop(self, most: int) -> tuple[int, int]:
    """Where it stops, at most at `most`, and after how many looks."""
    count, looks = START, 1
    while (seen := self.look(count)).runs_needed != 0 and count < most:
      more = stopping.next_runs(seen.runs_needed, self.runs.block)
      count, looks = min(count + more, most), looks + 1
    return count, looks

  def smallest(self, most: int) -> int:
    """The smallest number of runs of a width that is at most the target."""
    for count in range(START, most, self.runs.block):
      if self.look(count).runs_needed == 0:
        return count
    return most


def covered(growing: Growing, count: int, truth: "Truth") -> dict[str, float]:
  """Share of the intervals of the first `count` runs that hold, by kind."""
  plain, margin = growing.scores(count)
  found = plain if margin is None else margin
  low, high, out = truth(count)
  points = found.memorization
  middle = (low + high) / 2 if truth.is_exact else truth.points(count)
  difference = points - middle
  holds = (difference <= np.hypot(points - found.ci_low, high - middle)) & (
    -difference <= np.hypot(found.ci_high - points, middle - low)
  )
  first, last = widths.AMBIGUOUS
  members = {
    "all": np.ones(len(out), bool),
    "ambiguous": (out >= first) & (out <= last),
    "near the rule": np.minimum(np.abs(out - first), np.abs(out - last)) <= 0.1,
    "ambiguous as estimated": (found.out_accuracy >= first)
    & (found.out_accuracy <= last),
  }
  return {
    kind: float(holds[rows].mean()) if rows.any() else math.nan
    for kind, rows in members.items()
  }


class Truth:
  """What a study should find: exact rates, or the runs that it did not use."""

  def __init__(self, runs: Runs, rates: np.ndarray | None = None):
    self._runs, self._rates = runs, rates

  @property
  def is_exact(self) -> bool:
    return self._rates is not None

  def _rest(self, count: int) -> memorization.MemorizationScores:
    rest = self._runs.of(np.arange(count, len(self._runs.margin)))
    return memorization.memorization_scores(rest.correct, rest.in_mask)

  def points(self, count: int) -> np.ndarray:
    return self._rest(count).memorization

  def __call__(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of the truth's interval, and held-out accuracies, `[N]` each."""
    if self._rates is not None:
      inside, outside = self._rates
      return inside - outside, inside - outside, outside
    rest = self._rest(count)
    return rest.ci_low, rest.ci_high, rest.out_accuracy


def interval(values: np.ndarray) -> list[float]:
  """[low, mean, high] by Student's t."""
  values = values[~np.isnan(values)]
  if len(values) < 3:
    return [math.nan] * 3
  half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
  return [values.mean() - half, values.mean(), values.mean() + half]


def evaluate(
  name: str,
  draw: Callable[[int], tuple[Runs, Truth]],
  repeats: int,
  target: float,
  estimator: str,
  *,
  most: int,
  find_smallest: bool,
  examples: str = "ambiguous",
) -> dict:
  """Lets studies grow, prints a table, and returns its figures.

  Args:
    name: of the row.
    draw: the runs of a repeat, and its truth.
    repeats: how many.
    target: mean width to reach.
    estimator: "plain" or "margin".
    most: most runs of a study.
    find_smallest: look at every block for the smallest sufficient number.
    examples: those whose intervals count, as --target_examples.
  """
  stops, looks, smallest, kept = [], [], [], []
  for repeat in range(repeats):
    runs, truth = draw(repeat)
    growing = Growing(runs, target, estimator, examples)
    stopped, count = growing.stop(most)
    stops.append(stopped)
    looks.append(count)
    if find_smallest:
      smallest.append(growing.smallest(most))
    kept.append((growing, truth))
  fixed = int(np.median(stops)) // runs.block * runs.block
  row: dict = {
    "name": name,
    "estimator": estimator,
    "target": target,
    "examples": examples,
    "repeats": repeats,
    "stopped": [min(stops), fixed, max(stops)],
    "looks": float(np.mean(looks)),
    "ended by most": int(np.sum(np.array(stops) >= most)),
  }
  print(
    f"{name}, {estimator}, target {target} ({examples}): stopped at "
    f"{min(stops)} to {max(stops)} runs, median {fixed}, after "
    f"{np.mean(looks):.1f} looks"
  )
  if find_smallest:
    beyond = (np.array(stops) - smallest) // runs.block
    row["blocks beyond the smallest"] = np.bincount(beyond).tolist()
    print(
      f"  blocks beyond the smallest sufficient number: {beyond.min()} to "
      f"{beyond.max()}; more than one in {np.sum(beyond > 1)} of {repeats}"
    )
  row["coverage"] = coverages(kept, stops, fixed)
  return row


def coverages(
  kept: list[tuple[Growing, Truth]], stops: list[int], fixed: int
) -> dict:
  """Prints and returns coverage after stopping and at `fixed` runs, by kind."""
  after = [covered(g, s, t) for (g, t), s in zip(kept, stops)]
  before = [covered(g, fixed, t) for g, t in kept]
  result = {}
  for kind in KINDS:
    values = np.array([[a[kind], b[kind]] for a, b in zip(after, before)])
    found = interval(values[:, 0])
    difference = interval(values[:, 0] - values[:, 1])
    result[kind] = {
      "after stopping": found,
      "fixed": float(np.nanmean(values[:, 1])),
      "difference": difference,
    }
    print(
      f"  coverage {kind:23} {100 * found[1]:5.1f} % [{100 * found[0]:.1f}, "
      f"{100 * found[2]:.1f}]; fixed {100 * np.nanmean(values[:, 1]):5.1f} %; "
      f"difference {100 * difference[1]:+.2f} [{100 * difference[0]:+.2f}, "
      f"{100 * difference[2]:+.2f}]",
      flush=True,
    )
  return result


def read_runs(root: str, model: str, limit: int) -> Runs:
  """The finished runs of a study's model, in whole blocks."""
  directory = directory_lib.StudyDirectory(root)
  config = opening.read_config(directory.config_path.read_bytes())
  plan = plan_lib.Plan.of(config)
  family = plan.first_family
  units = [
    unit
    for unit in plan.units
    if unit.model == model and unit.subsets == family
  ]
  done = itertools.takewhile(
    lambda unit: directory.run_state(unit, check_digests=False).record, units
  )
  block = subsets.parse_family(family).block
  chosen = list(itertools.islice(done, limit))
  chosen = chosen[: len(chosen) // block * block]
  stack = predictions.stack_runs(directory, chosen)
  examples = predictions.read_examples(directory)
  train = examples[examples["split"] == "train"].reset_index(drop=True)
  return Runs(
    margin=stack.margin,
    in_mask=stack.in_mask,
    correct=stack.correct,
    use_counts=margin_columns.has_copies(train),
    block=block,
  )


def reordered(runs: Runs, repeat: int) -> tuple[Runs, Truth]:
  """The blocks in another order."""
  order = np.random.default_rng(repeat).permutation(
    len(runs.margin) // runs.block
  )
  rows = (order[:, None] * runs.block + np.arange(runs.block)).ravel()
  mixed = runs.of(rows)
  return mixed, Truth(mixed)


def simulated(
  num_ambiguous: int, repeat: int, *, most: int, others: int = 120
) -> tuple[Runs, Truth]:
  """Runs of normal margins: ambiguous images, near ones, and clear ones."""
  rng = np.random.default_rng([num_ambiguous, repeat])
  near = max(num_ambiguous // 2, 1)
  outside = np.concatenate(
    [
      rng.uniform(0.3, 0.7, num_ambiguous),
      rng.choice([0.25, 0.75], near) + rng.uniform(-0.05, 0.05, near),
      rng.choice([0.005, 0.05, 0.9, 0.99, 0.999], others),
    ]
  )
  inside = np.maximum(rng.choice([0.97, 0.995, 0.9999], len(outside)), outside)
  block, count = 10, len(outside)
  keys = rng.random((most // block, block, count))
  in_mask = (keys.argsort(axis=1).argsort(axis=1) < 7).reshape(most, count)
  mean = np.where(in_mask, special.ndtri(inside), special.ndtri(outside))
  # Standard deviations differ between images, and cancel in the rates.
  scale = np.exp(rng.normal(0, 0.25, count))
  margin = scale * (mean + rng.normal(size=(most, count)))
  runs = Runs(
    margin=margin,
    in_mask=in_mask,
    correct=margin > 0,
    use_counts=np.zeros(count, bool),
    block=block,
  )
  return runs, Truth(runs, np.stack([inside, outside]))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--experiment_dir", help="default: simulated runs alone")
  parser.add_argument("--model", default="cifar_resnet-8")
  parser.add_argument("--max_runs", type=int, default=10_000)
  parser.add_argument("--repeats", type=int, default=20)
  parser.add_argument("--simulated", type=int, default=200)
  arguments = parser.parse_args()
  rows = []
  if arguments.experiment_dir:
    runs = read_runs(
      arguments.experiment_dir, arguments.model, arguments.max_runs
    )
    count = len(runs.margin)
    print(f"{count} runs of {arguments.model}, {runs.margin.shape[1]} images")
    for estimator, target, examples in (
      ("plain", 0.3, "ambiguous"),
      ("plain", 0.2, "ambiguous"),
      ("plain", 0.1, "all"),
      ("margin", 0.3, "ambiguous"),
      ("margin", 0.2, "ambiguous"),
    ):
      rows.append(
        evaluate(
          f"{count} real runs",
          functools.partial(reordered, runs),
          arguments.repeats,
          target,
          estimator,
          # Half of the runs at least are the truth.
          most=count // 2 // runs.block * runs.block,
          find_smallest=True,
          examples=examples,
        )
      )
  for estimator, num in itertools.product(("plain", "margin"), (2, 10, 50)):
    most = 400
    rows.append(
      evaluate(
        f"simulated, {num} ambiguous images",
        functools.partial(simulated, num, most=most),
        arguments.simulated,
        0.25,
        estimator,
        most=most,
        find_smallest=False,
      )
    )
  print(json.dumps({"benchmark": "stopping", "rows": rows}))


if __name__ == "__main__":
  main()
