"""How often the verdicts on proxies are right, on simulated studies.

    PYTHONPATH=. python benchmarks/proxy_trends.py --studies=60

A perfect proxy, a useless one and one from the runs of memorization
(`tests.support.proxy_laws`), with changes of memorization of several
reliabilities. Not a timing. The last line is JSON.
"""

import argparse
import json

import numpy as np

from memo_tf import analysis
from memo_tf.analysis.proxies import criteria
from memo_tf.analysis.proxies import verdicts
from tests.support import proxy_laws

SETTINGS = criteria.ComparisonSettings(kendall_resamples=1)  # it is slow


def one_case(num_subsets: int, spread: float, studies: int) -> dict:
  """Shares of the answers on the trend over studies."""
  reliability, stated, answers = [], [], []
  shared = np.zeros(2)
  for seed in range(studies):
    study = proxy_laws.draw(num_subsets=num_subsets, spread=spread, seed=seed)
    found = analysis.compare_proxies(
      study.memorization,
      {"perfect": study.perfect, "useless": study.useless},
      {"perfect": 1, "useless": 1},
      settings=SETTINGS,
    )
    table = found.verdicts.set_index("proxy")
    answers.append(table["tracks_trend"])
    rows = found.criteria.set_index(["proxy", "criterion"])
    stated.append(rows.loc[("perfect", "change_spearman"), "reliability"])
    reliability.append(study.reliability)
    other = analysis.compare_proxies(
      study.even,
      {"shared": study.shared},
      {"shared": 1},
      settings=SETTINGS,
    )
    row = other.criteria.set_index("criterion").loc["change_spearman"]
    has_verdict = other.verdicts.iloc[0]["verdict"] != verdicts.SHARES_RUNS
    shared += has_verdict, row["estimate"]
  return {
    "num_subsets": num_subsets,
    "spread": spread,
    "reliability": float(np.mean(reliability)),
    "stated_reliability": float(np.mean(stated)),
    "perfect_yes": _share(answers, "perfect", verdicts.YES),
    "perfect_no": _share(answers, "perfect", verdicts.NO),
    "useless_yes": _share(answers, "useless", verdicts.YES),
    "useless_no": _share(answers, "useless", verdicts.NO),
    "shared_verdicts": float(shared[0] / studies),
    "shared_correlation": float(shared[1] / studies),
  }


def _share(answers, name, answer) -> float:
  return float(np.mean([row[name] == answer for row in answers]))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--studies", type=int, default=60)
  parser.add_argument("--subsets", type=int, nargs="*", default=[40, 100, 400])
  parser.add_argument(
    "--spreads", type=float, nargs="*", default=[0.02, 0.05, 0.1, 0.2]
  )
  arguments = parser.parse_args()
  rows = []
  for num_subsets in arguments.subsets:
    for spread in arguments.spreads:
      rows.append(one_case(num_subsets, spread, arguments.studies))
      print(
        " ".join(f"{key}={value:.3g}" for key, value in rows[-1].items()),
        flush=True,
      )
  print(json.dumps({"benchmark": "proxy_trends", "rows": rows}))


if __name__ == "__main__":
  main()
