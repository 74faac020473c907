"""Whether extra forgetting is found where it is, and only there.

    PYTHONPATH=. python benchmarks/compression_findings.py [--studies=400]

Under the laws of `tests.support.compression_laws`: without extra forgetting
margins alone decide, and what is found then is a false alarm. Prints, for each
law, how often `analysis.forgetting` finds more or less than margins predict
(its 95 % interval excludes 0), and how much of what is forgotten is the
group's, which is what misleads. Not a timing. The last line is JSON.
"""

import argparse
import json

from tests.support import compression_laws

EXTRA = 0.5  # on the scale of log odds


def main() -> None:
  """Prints the rates of every law, with and without extra forgetting."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--studies", type=int, default=400)
  parser.add_argument("--num_subsets", type=int, default=60)
  options = parser.parse_args()
  results = {}
  print(
    f"{'law':20} {'extra':>5} {'more':>6} {'less':>6} {'excess':>8}  group's"
  )
  for name, law in compression_laws.LAWS.items():
    for extra in (0.0, EXTRA):
      found = compression_laws.rates(
        options.studies,
        num_subsets=options.num_subsets,
        extra=extra,
        **law,
      )
      results[f"{name}, extra {extra:g}"] = found
      print(
        f"{name:20} {extra:5.1f} {found['more']:6.3f} {found['less']:6.3f} "
        f"{found['excess']:+8.4f}  {found['share_of_forgotten']:.2f} of the "
        f"forgotten, {found['share_of_right']:.2f} of the right",
        flush=True,
      )
  print(json.dumps({"benchmark": "compression_findings", "rates": results}))


if __name__ == "__main__":
  main()
