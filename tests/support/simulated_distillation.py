"""Simulated studies of two recipes on the same subsets, with known changes."""

import dataclasses

import numpy as np

from memo_tf.analysis.distillation import paired
from memo_tf.analysis.distillation import sets
from memo_tf.analysis.trajectories import classify
from tests.support import beta_trajectories

# The sets that a finding is about; the last is compared with the first.
INCREASING = "increasing"
OTHERS = "changing otherwise"
SETS = {name: (name,) for name in classify.SHAPE_CLASSES} | {
  OTHERS: tuple(
    name
    for name in classify.SHAPE_CLASSES
    if name not in ("constant", INCREASING)
  )
}
# Most trajectories are constant, at any height, and the others change by not
# much more than the rule's 0.2: noise fills the classes, as in real studies.
SHARES = {
  "constant": 0.7,
  "increasing": 0.08,
  "decreasing": 0.12,
  "cap": 0.06,
  "u": 0.04,
}
BETA, CLEAR_CHANGE = (1.5, 1.5), 0.25


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoRecipes:
  """Runs of a one-hot study, and of a second recipe on its subsets.

  Attributes:
    study: the one-hot study with its truth.
    other: bool `[S, M, N]`, correctness of the second recipe's runs.
    change: `[S, N]`, the true change of memorization.
  """

  study: beta_trajectories.SimulatedStudy
  other: np.ndarray
  change: np.ndarray

  @property
  def block(self) -> np.ndarray:
    """Block of each run, int `[M]`."""
    return np.arange(len(self.study.in_mask)) // self.study.block


def simulate(
  *,
  lowered: float = 0.0,
  num_subsets: int = 100,
  num_examples: int = 1000,
  num_sizes: int = 3,
  shares: dict[str, float] | None = None,
  run_correlation: float = 0.0,
  seed: int = 0,
) -> TwoRecipes:
  """Simulates two recipes that differ in one shape class, if at all.

  Args:
    lowered: how much lower the second recipe's memorization is for examples
      whose trajectory is increasing; at most their memorization itself. Their
      held-out probability rises by as much.
    num_subsets, num_examples, num_sizes, shares, run_correlation, seed: as in
      `beta_trajectories.simulate_study`; shares are `SHARES` by default.
  """
  study = beta_trajectories.simulate_study(
    num_sizes=num_sizes,
    num_examples=num_examples,
    num_subsets=num_subsets,
    shares=shares or SHARES,
    beta=BETA,
    clear_change=CLEAR_CHANGE,
    run_correlation=run_correlation,
    seed=seed,
  )
  is_lowered = study.shape_class == INCREASING
  change = np.where(is_lowered, -np.minimum(lowered, study.memorization), 0.0)
  other = beta_trajectories.draw_runs(
    study.in_probability,
    study.out_probability - change,
    study.in_mask,
    run_correlation,
    np.random.default_rng([seed, 1]),
  )
  return TwoRecipes(study=study, other=other, change=change)


def labels_of(simulated: TwoRecipes, rows: np.ndarray) -> np.ndarray:
  """`[N]` str: shape classes by the one-hot runs `rows`, bool `[M]`."""
  study = simulated.study
  found = paired.scores(study.correct[:, rows], study.in_mask[rows])
  return classify.classify_trajectories(found).shape_class


def cross_fitted(simulated: TwoRecipes) -> tuple[sets.SetChanges, np.ndarray]:
  """Changes by class from halves, and the true ones of the same sets, `[K]`."""
  halves = sets.halves(simulated.block)
  return _changes(
    simulated,
    [labels_of(simulated, half.sets) for half in halves],
    [half.change for half in halves],
  )


def naive(simulated: TwoRecipes) -> tuple[sets.SetChanges, np.ndarray]:
  """The same with classes and changes from the same runs, all of them."""
  every = np.ones(len(simulated.study.in_mask), bool)
  return _changes(simulated, [labels_of(simulated, every)], [every])


def _changes(simulated, labels, rows):
  study = simulated.study
  found = sets.set_changes(
    study.correct,
    simulated.other,
    study.in_mask,
    names=list(SETS),
    members=[
      np.stack([np.isin(label, parts) for parts in SETS.values()])
      for label in labels
    ],
    rows=rows,
    block=simulated.block,
  )
  mean = simulated.change.mean(axis=0)
  truth = [
    np.mean([_mean(mean[np.isin(label, parts)]) for label in labels])
    for parts in SETS.values()
  ]
  return found, np.array(truth)


def _mean(values: np.ndarray) -> float:
  return float(values.mean()) if len(values) else float("nan")
