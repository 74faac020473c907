"""Intervals and gains of scores from margins, under known laws of margins.

    PYTHONPATH=. python benchmarks/margin_laws.py --repeats=30

Simulated studies of 2,000 examples in balanced subsets at 70 %: normal margins,
and laws for which the estimator was not made (heavy tails, two modes, a size
that says nothing of the sign, skewed), with nearly all runs right inside the
subset or most of them. Prints the gain in squared error over plain scores and
the coverage of both intervals, of all and of ambiguous examples (held-out
accuracy of 0.3 to 0.7), and of those rarely right when held out (below 0.05).
Not a timing. The last line is JSON.
"""

import argparse
import json

import numpy as np
from scipy import special
from scipy import stats

from memo_tf.estimators import margins
from memo_tf.estimators import memorization

LAWS = (
  "normal",
  "heavy tails",
  "two modes",
  "two modes in a tenth",
  "sign alone",
  "skewed",
)


def simulated(law: str, num_runs: int, seed: int, in_level: float):
  """(margin, in_mask, memorization, out-accuracy) of 2,000 examples."""
  rng = np.random.default_rng([seed, num_runs])
  num = 2000
  sd = np.exp(rng.normal(0.8, 0.15, num))
  level = {
    False: rng.normal(1.5, 1.8, num),
    True: rng.normal(in_level, 1.2, num),
  }
  mask = np.concatenate(
    [
      np.argsort(rng.random((10, num)), axis=0) < 7
      for _ in range(num_runs // 10)
    ]
  )
  drawn = {}
  for inside, mean in level.items():
    noise, right = rng.normal(size=mask.shape), special.ndtr(mean)
    if law == "heavy tails":
      noise = rng.standard_t(3, size=mask.shape)
      right = stats.t.cdf(mean, 3)
    elif law == "two modes":
      noise += np.where(rng.random(mask.shape) < 0.4, 2.4, -1.6)
      right = 0.4 * special.ndtr(mean + 2.4) + 0.6 * special.ndtr(mean - 1.6)
    elif law == "two modes in a tenth":
      some = rng.random(num) < 0.1
      step = np.where(rng.random(mask.shape) < 0.4, 2.4, -1.6) * some
      noise += step
      mixed = 0.4 * special.ndtr(mean + 2.4) + 0.6 * special.ndtr(mean - 1.6)
      right = np.where(some, mixed, right)
    elif law == "skewed":
      noise = rng.exponential(size=mask.shape) - 1
      right = np.exp(-np.maximum(1 - mean, 0))
    values = mean + noise
    if law == "sign alone":
      sign = np.where(rng.random(mask.shape) < right, 1, -1)
      values = sign * rng.gamma(2, 2, mask.shape)
    drawn[inside] = values * sd, right
  margin = np.where(mask, drawn[True][0], drawn[False][0]).astype(np.float32)
  return margin, mask, drawn[True][1] - drawn[False][1], drawn[False][1]


def simulate(repeats: int) -> dict:
  """Prints coverage and gain under each law; returns them."""
  report: dict = {}
  for law in LAWS:
    for in_level in (4.0, 1.0):
      for size in (20, 40, 80, 160, 400):
        rows = []
        for seed in range(repeats):
          margin, mask, truth, out = simulated(law, size, seed, in_level)
          plain = memorization.memorization_scores(margin > 0, mask)
          found = margins.margin_scores(margin, mask)
          near = (out >= 0.3) & (out <= 0.7)
          row = []
          for part in (slice(None), near):
            errors = [
              np.square(s.memorization - truth)[part].mean()
              for s in (plain, found)
            ]
            row.append(errors[0] / errors[1])
            row += [
              100 * ((s.ci_low <= truth) & (truth <= s.ci_high))[part].mean()
              for s in (plain, found)
            ]
          rare = out < 0.05
          row += [
            100 * ((s.ci_low <= truth) & (truth <= s.ci_high))[rare].mean()
            for s in (plain, found)
          ]
          rows.append(row)
        # Of rarely right examples a repeat may have none.
        mean = np.nanmean(rows, axis=0)
        key = f"{law}, in-level {in_level:g}, M={size}"
        report[key] = mean.round(2).tolist()
        print(
          f"{law:20} in-level {in_level:g} M={size:3d}: gain {mean[0]:.2f} / "
          f"{mean[3]:.2f}; coverage plain {mean[1]:.1f} / {mean[4]:.1f}, "
          f"margin {mean[2]:.1f} / {mean[5]:.1f}; rarely right {mean[6]:.1f}, "
          f"{mean[7]:.1f}",
          flush=True,
        )
  return report


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--repeats", type=int, default=30)
  arguments = parser.parse_args()
  if arguments.repeats < 1:
    parser.error(f"--repeats must be at least 1. Received: {arguments.repeats}")
  report = simulate(arguments.repeats)
  print(json.dumps({"benchmark": "margin_laws", "ratios": report}))


if __name__ == "__main__":
  main()
