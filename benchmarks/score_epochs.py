"""Whether memorization over training is right where the truth is known.

    python benchmarks/score_epochs.py --studies=400

Simulated studies of two sizes (`tests.support.epoch_laws`). Where the sizes do
not differ: how often the 95 % intervals of which size is first hold 0. Where
the larger is earlier by an epoch and a half: how often that is found, and the
true lead held. Of single images: how often the epochs between which an image is
memorized hold the true one, and how often the runs tell. Not a timing. The last
line is JSON.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from memo_tf.analysis import epochs as epochs_lib  # noqa: E402
from tests.support import epoch_laws  # noqa: E402

EARLIER = 1.5


def of_sizes(studies: int, num_runs: int, earlier: float) -> dict:
  """Shares of studies, for one number of runs and one truth."""
  rows = []
  for seed in range(studies):
    study = epoch_laws.simulate(num_runs=num_runs, earlier=earlier, seed=seed)
    found, truth = study.order(), study.lead()
    rows.append(
      {
        "lead_held": found.lead_low <= truth <= found.lead_high,
        "lead_above_0": found.lead_low > 0,
        "lead_below_0": found.lead_high < 0,
        "error_of_lead": found.lead - truth,
        "difference_holds_0": found.difference_low
        <= 0
        <= found.difference_high,
        "difference_above_0": found.difference_low > 0,
        "width_of_lead": found.lead_high - found.lead_low,
      }
    )
  return {
    "num_runs": num_runs,
    "earlier": earlier,
    **{
      name: round(float(np.mean([row[name] for row in rows])), 4)
      for name in rows[0]
    },
  }


def of_images(studies: int, num_runs: int) -> dict:
  """How often single images' epochs are right, over the memorized ones."""
  held, told, right = [], [], []
  names = np.array([*epoch_laws.EPOCHS, np.inf])
  for seed in range(studies):
    study = epoch_laws.simulate(num_runs=num_runs, seed=seed)
    found = epochs_lib.example_epochs(
      study.correct[0], study.in_mask, epoch_laws.EPOCHS
    )
    true = names[epochs_lib.lasting_from(study.scores[0] >= 0.5)]
    early, late, plain = (
      np.where(np.isnan(values), np.inf, values)
      for values in (found.earliest, found.latest, found.epoch)
    )
    some = study.memorized
    held.append(((early <= true) & (true <= late))[some])
    told.append(found.is_told[some])
    right.append((plain == true)[some])
  told_all = np.concatenate(told)
  return {
    "num_runs": num_runs,
    "epochs_hold_the_true_one": round(float(np.concatenate(held).mean()), 4),
    "told": round(float(told_all.mean()), 4),
    "right_where_told": round(float(np.concatenate(right)[told_all].mean()), 4),
    "plain_right": round(float(np.concatenate(right).mean()), 4),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--studies", type=int, default=400)
  parser.add_argument("--runs", default="20,40,100")
  arguments = parser.parse_args()
  counts = [int(count) for count in arguments.runs.split(",")]
  rows = [
    of_sizes(arguments.studies, count, earlier)
    for count in counts
    for earlier in (0.0, EARLIER)
  ]
  images = [of_images(arguments.studies, count) for count in counts]
  for row in [*rows, *images]:
    print(row)
  print(
    json.dumps(
      {
        "benchmark": "score_epochs",
        "studies": arguments.studies,
        "sizes": rows,
        "images": images,
      }
    )
  )


if __name__ == "__main__":
  main()
