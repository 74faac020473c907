"""Errors of the comparisons of an onion, in simulation; not a timing.

    PYTHONPATH=. python benchmarks/onion.py --studies=1000

1. No onion: how often the interval of the change against the control excludes
   0, more examples newly reach the threshold than noise alone gives, and an
   example is named, although nothing depends on what is left out.
2. An onion: some of the examples that remain are right less often when held
   out, as without a twin that was memorized. How often each of these finds it.
3. The naive way: the runs that selected are the runs before. The change that it
   shows where there is none, beside that of runs that did not select.

The last line is JSON.
"""

import argparse
import json

import numpy as np

from memo_tf.analysis import evidence
from memo_tf.analysis import onion
from memo_tf.estimators import memorization
from memo_tf.estimators import q_values
from memo_tf.experiment import subsets

NUM_EXAMPLES, THRESHOLD, NUM_SELECTING = 1000, 0.25, 100
BLOCK = 10


class Law:
  """Outcomes of a made-up data set, most of which is easy.

  A model is right on an example if its level, plus what the subset does to it
  (the same in all arms), plus the noise of its training, is above 0. Training
  on the example raises the level.
  """

  def __init__(self, rng: np.random.Generator):
    self._rng = rng
    self.level = np.where(
      rng.random(NUM_EXAMPLES) < 0.15,
      rng.normal(0.5, 1.2, NUM_EXAMPLES),
      rng.normal(3.5, 0.7, NUM_EXAMPLES),
    )

  def of_subsets(self, num_runs: int, seed: int):
    """Subsets, and what they do to the examples."""
    in_mask = subsets.in_masks(NUM_EXAMPLES, num_runs, 0.7, seed=seed)
    shared = self._rng.normal(size=in_mask.shape)
    shared += 0.5 * self._rng.normal(size=(num_runs, 1))
    return in_mask, shared

  def outcomes(self, in_mask, shared, lower=0.0) -> np.ndarray:
    """bool `[M, N]`; `lower` `[N]` is taken from the level when held out."""
    level = self.level - lower * ~in_mask + 4.0 * in_mask
    noise = self._rng.normal(size=in_mask.shape)
    return level + 0.7 * shared + 0.7 * noise > 0


def study(num_runs: int, lowered: int, seed: int, *, naive: bool) -> dict:
  """One study.

  Args:
    num_runs: of each arm.
    lowered: how many of the remaining examples are lowered by 1.5.
    seed: of everything.
    naive: the runs before are those that select.
  """
  rng = np.random.default_rng(seed)
  law = Law(rng)
  selecting = law.of_subsets(num_runs if naive else NUM_SELECTING, 2 * seed)
  right = law.outcomes(*selecting)
  scores = memorization.memorization_scores(right, selecting[0])
  chosen = scores.memorization >= THRESHOLD
  in_mask, shared = selecting
  before = right
  if not naive:
    in_mask, shared = law.of_subsets(num_runs, 2 * seed + 1)
    before = law.outcomes(in_mask, shared)
  kept = ~chosen
  kept[rng.permutation(NUM_EXAMPLES)[: chosen.sum()]] = False
  middle = np.flatnonzero(kept & (np.abs(law.level - 1.8) < 1.0))
  lower = np.zeros(NUM_EXAMPLES)
  lower[rng.permutation(middle)[:lowered]] = 1.5
  arms = {
    "before": before,
    "memorized": law.outcomes(in_mask, shared, lower),
    "control": law.outcomes(in_mask, shared),
  }
  arms = {name: arm[:, kept] for name, arm in arms.items()}
  in_mask = in_mask[:, kept]
  pairs = (("before", "memorized"), ("control", "memorized"))
  _, changes = onion.mean_changes(
    arms, in_mask, np.arange(num_runs) // BLOCK, pairs
  )
  layer = onion.layer(
    arms["before"], arms["memorized"], in_mask, THRESHOLD, num_swaps=400
  )
  _, p = onion.changes_of_examples(arms["control"], arms["memorized"], in_mask)
  named = evidence.is_named(q_values.q_values(p, len(p)))
  since, against = changes.to_dict("records")
  truly = lower[kept] > 0
  return {
    "excludes_0": not against["memorization_low"]
    <= 0
    <= against["memorization_high"],
    "rises": against["memorization_low"] > 0,
    "change": against["memorization"],
    "detectable": against["detectable"],
    "since_before": since["memorization"],
    "above_noise": layer.newly > layer.noise_high,
    "newly": layer.newly,
    "noise": layer.noise_mean,
    "any_named": bool(named.any()),
    "named": int(named.sum()),
    "named_falsely": int((named & ~truly).sum()),
    "selected": int(chosen.sum()),
  }


def mean_of(found: list[dict]) -> dict:
  return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--studies", type=int, default=1000)
  arguments = parser.parse_args()
  rows = []
  for name, num_runs, lowered, naive in (
    ("no onion", 40, 0, False),
    ("no onion", 100, 0, False),
    ("onion of 5", 40, 5, False),
    ("onion of 10", 40, 10, False),
    ("onion of 20", 40, 20, False),
    ("onion of 5", 100, 5, False),
    ("onion of 10", 100, 10, False),
    ("onion of 20", 100, 20, False),
    ("naive, no onion", 40, 0, True),
    ("naive, no onion", 100, 0, True),
  ):
    # The bias of the naive way is seen in fewer.
    count = max(1, arguments.studies // 5) if naive else arguments.studies
    found = [
      study(num_runs, lowered, seed, naive=naive) for seed in range(count)
    ]
    figures = {k: round(v, 5) for k, v in mean_of(found).items()}
    rows.append({"case": name, "runs": num_runs, **figures})
    print(rows[-1], flush=True)
  print(json.dumps({"benchmark": "onion", "cases": rows}))


if __name__ == "__main__":
  main()
