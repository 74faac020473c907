"""How every benchmark times: interleaved slices of peers, as paired ratios.

The speed of a machine can vary by a factor of two within a minute, so seconds
alone mean little. Each contender stays alive in its own processes and works, in
turn, for a slice of a few seconds. The rate of a peer's slice is compared with
the mean of our slices just before and just after it. We report the median of
the paired ratios and its 95 % interval from the order statistics of the pairs
(binomial), for which at least 15 pairs are needed.
"""

from collections.abc import Callable
import dataclasses
import json
import os
import subprocess
import sys
import threading

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Contender:
  """One way of doing the work.

  Attributes:
    name: name of the peer and of the way it is run.
    command: command of one process. It reads lines `SECONDS` and answers each
      with `ITEMS SECONDS` after working for about that long.
    processes: number of processes that run it concurrently.
    environment: environment variables to set in addition.
  """

  name: str
  command: list[str]
  processes: int
  environment: dict[str, str]


class Running:
  """The live processes of a contender."""

  def __init__(self, contender: Contender):
    self.contender = contender
    self._processes = [
      subprocess.Popen(
        contender.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **contender.environment},
      )
      for _ in range(contender.processes)
    ]

  def slice(self, seconds: float) -> float:
    """Items per second over one slice, of all processes together."""
    rates = [0.0] * len(self._processes)

    def ask(i: int) -> None:
      process = self._processes[i]
      process.stdin.write(f"{seconds}\n")
      process.stdin.flush()
      answer = process.stdout.readline().split()
      if len(answer) != 2:
        raise RuntimeError(f"{self.contender.name} died")
      rates[i] = float(answer[0]) / float(answer[1])

    threads = [
      threading.Thread(target=ask, args=(i,)) for i in range(len(rates))
    ]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    if not all(rates):
      raise RuntimeError(f"{self.contender.name} died")
    return sum(rates)

  def close(self) -> None:
    for process in self._processes:
      process.stdin.close()
      process.wait()


def serve(work: Callable[[float], tuple[float, float]]) -> None:
  """Main loop of a contender; `work(seconds)` returns (items, seconds)."""
  for line in sys.stdin:
    items, seconds = work(float(line))
    print(items, seconds, flush=True)


def compare(
  ours: Contender, peers: list[Contender], *, rounds: int, seconds: float
) -> dict[str, dict]:
  """Interleaves slices of ours with slices of every peer.

  Returns:
    For each peer `ratios` (ours / peer, one per round), and `rate` and
    `our_rate`, the medians in items per second.
  """
  running = [Running(contender) for contender in (ours, *peers)]
  first, others = running[0], running[1:]
  for contender in running:  # starts, traces and compiles
    contender.slice(0.1)
    contender.slice(seconds)
  rates = {peer.name: [] for peer in peers}
  paired = {peer.name: [] for peer in peers}
  try:
    for number in range(rounds):
      before = first.slice(seconds)
      for other in others:
        rate = other.slice(seconds)
        after = first.slice(seconds)
        rates[other.contender.name].append(rate)
        paired[other.contender.name].append((before + after) / 2)
        before = after
      print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
  finally:
    for contender in running:
      contender.close()
  return {
    name: {
      "ratios": np.divide(paired[name], rates[name]),
      "rate": float(np.median(rates[name])),
      "our_rate": float(np.median(paired[name])),
    }
    for name in rates
  }


def interval(ratios: np.ndarray) -> list[float]:
  """[low, median, high]: the median and its 95 % interval."""
  ordered = np.sort(np.asarray(ratios, np.float64))
  count = len(ordered)
  rank = int(stats.binom.ppf(0.025, count, 0.5))
  low, high = ordered[max(rank - 1, 0)], ordered[min(count - rank, count - 1)]
  return [round(float(v), 3) for v in (low, np.median(ordered), high)]


def report(
  benchmark: str,
  found: dict[str, dict],
  unit: str,
  scale: float = 1.0,
  extra: dict | None = None,
) -> None:
  """Prints a table and, as the last line, the JSON that `run_all.py` reads.

  Args:
    benchmark: name of the benchmark.
    found: result of `compare`.
    unit: unit of the printed rates.
    scale: factor from items per second to that unit.
    extra: further entries of the JSON line.
  """
  print(f"{'peer':44} {unit:>14} {'ours':>10} {'ours / peer [95 %]':>24}")
  ratios = {}
  for name, result in found.items():
    low, median, high = ratios[name] = interval(result["ratios"])
    print(
      f"{name:44} {scale * result['rate']:14.0f} "
      f"{scale * result['our_rate']:10.0f} "
      f"{median:10.2f} [{low:.2f}, {high:.2f}]"
    )
  rates = {
    name: round(scale * result["rate"], 1) for name, result in found.items()
  }
  print(
    json.dumps(
      {
        "benchmark": benchmark,
        "ratios": ratios,
        "unit": unit,
        "rates": rates,
        **(extra or {}),
      }
    )
  )
