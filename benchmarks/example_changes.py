"""False discoveries and power of the images named as changing, simulated.

    PYTHONPATH=. python benchmarks/example_changes.py --studies=60

Under the laws of `tests.support.foreign_laws`, none of which is assumed by the
test. Not a timing. The last line is JSON.
"""

import argparse
import json

import numpy as np

from memo_tf.analysis.trajectories import changes
from tests.support import foreign_laws


def one_law(law: str, num_subsets: int, studies: int, examples: int) -> dict:
  """Mean figures of the studies of one law."""
  rows = []
  for seed in range(studies):
    runs = foreign_laws.draw(
      law, num_subsets=num_subsets, num_examples=examples, seed=seed
    )
    found = changes.example_changes(runs.correct, runs.in_mask)
    named = found.change_q_value <= changes.MAX_Q_VALUE
    false = named & (np.sign(found.change) != np.sign(runs.change))
    departs = found.largest_departure_q_value <= changes.MAX_Q_VALUE
    inside = found.change_ci_low <= runs.change
    inside &= runs.change <= found.change_ci_high
    rows.append(
      {
        "named": named.sum(),
        "false": false.sum() / max(named.sum(), 1),
        "false_departures": (departs & ~runs.departs).sum()
        / max(departs.sum(), 1),
        "power": named[np.abs(runs.change) >= 0.4 - 1e-9].mean(),
        "coverage": inside.mean(),
      }
    )
  means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
  return {"law": law, "num_subsets": num_subsets} | means


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--studies", type=int, default=60)
  parser.add_argument("--examples", type=int, default=1000)
  parser.add_argument("--subsets", type=int, nargs="*", default=[40, 100, 400])
  arguments = parser.parse_args()
  rows = []
  for num_subsets in arguments.subsets:
    for law in foreign_laws.LAWS:
      rows.append(
        one_law(law, num_subsets, arguments.studies, arguments.examples)
      )
      print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
  print(json.dumps({"benchmark": "example_changes", "rows": rows}))


if __name__ == "__main__":
  main()
