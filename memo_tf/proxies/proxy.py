"""What a proxy is: a name, what it needs, its sign, its formula."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools

import numpy as np

SOURCES = ("clean", "batch")
# Run outputs that exist twice: from clean images after an epoch, and (prefix
# `batch_`) from the training batch before the step.
DYNAMICS = (
  "label_prob",
  "max_prob",
  "entropy",
  "loss",
  "margin",
  "el2n",
  "correct",
)
# Prefixes say where a run output comes from; formulas do not depend on it.
_PREFIXES = ("batch_", "subset_", "second_")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proxy:
  """A cheap score of an example that might follow its memorization.

  Attributes:
    name: of the column and the table's entry.
    needs: names in `RUN_OUTPUTS` that `compute` takes.
    sign: +1 if a larger value should mean more memorized, -1 if less, None if
      the proxy is unsigned and is never oriented.
    paper: who proposed it.
    function: maps arrays, as keywords by the names of `needs` without prefix,
      to `[N]` float64, or to that and `[N]` bool: see `evaluate`. Further
      keywords are its settings.
  """

  name: str
  needs: tuple[str, ...]
  sign: int | None
  paper: str
  function: Callable[..., np.ndarray | tuple[np.ndarray, np.ndarray]]

  def compute(
    self, **arrays: object
  ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Result of `function` on run outputs by name, and settings."""
    return self.function(**{_plain(name): v for name, v in arrays.items()})

  def from_source(self, source: str) -> "Proxy":
    """The same proxy from clean images or from the training batches.

    Raises:
      ValueError: if there is no such source, or the proxy needs no dynamics.
    """
    if source not in SOURCES or not any(
      _plain(n) in DYNAMICS for n in self.needs
    ):
      raise ValueError(
        "`source` is `clean` or `batch`, of a proxy that needs training "
        f"dynamics. Received: {source!r} for {self.name}"
      )
    prefix = "batch_" if source == "batch" else ""
    return dataclasses.replace(
      self,
      needs=tuple(
        prefix + _plain(n) if _plain(n) in DYNAMICS else n for n in self.needs
      ),
    )

  def with_settings(self, **settings: object) -> "Proxy":
    """The same proxy with settings of its function."""
    return dataclasses.replace(
      self, function=functools.partial(self.function, **settings)
    )


def evaluate(
  proxy: Proxy, outputs: Mapping[str, object], **settings: object
) -> tuple[np.ndarray, np.ndarray]:
  """Values of a proxy for one recording run.

  Args:
    proxy: an entry of the table, or a custom one.
    outputs: arrays by the names of `RUN_OUTPUTS`; may hold more than needed.
    **settings: of the proxy's function.

  Returns:
    `[N]` float64, NaN where the proxy has no value, and `[N]` bool, true where
    it has none because the event that it dates (being learned, being forgotten
    in the second split) never happened, not because nothing was recorded.

  Raises:
    ValueError: if a run output is missing, or the function's result has a wrong
      dtype or shape.
  """
  missing = [name for name in proxy.needs if name not in outputs]
  if missing:
    raise ValueError(
      f"Proxy {proxy.name} needs the run outputs {', '.join(proxy.needs)}. "
      f"Missing: {', '.join(missing)}"
    )
  found = proxy.compute(**{n: outputs[n] for n in proxy.needs}, **settings)
  values, never = found if isinstance(found, tuple) else (found, None)
  values = np.asarray(values)
  never = np.zeros(values.shape, bool) if never is None else np.asarray(never)
  if (
    values.ndim != 1
    or values.dtype != np.float64
    or never.dtype != bool
    or never.shape != values.shape
    or not np.isnan(values[never]).all()
  ):
    raise ValueError(
      f"Proxy {proxy.name} must return [N] float64, or that and [N] bool with "
      f"NaN where it is true. Received: {values.dtype} {values.shape} and "
      f"{never.dtype} {never.shape}"
    )
  return values, never


def average(
  found: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
  """Mean of a proxy over recording runs.

  Args:
    found: the result of `evaluate` for each run.

  Returns:
    `[N]`, the mean over the runs in which the proxy has a value, NaN without
    any; and `[N]` in [0, 1], among the runs that recorded the example the share
    in which the event never happened. `with_never` combines both.
  """
  if not found:
    raise ValueError("An average takes one recording run or more. Received: 0")
  values = np.stack([v for v, _ in found]).astype(np.float64)
  never = np.stack([n for _, n in found])
  known = ~np.isnan(values)
  with np.errstate(invalid="ignore"):
    mean = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    share = never.sum(axis=0) / (known | never).sum(axis=0)
  return mean, np.nan_to_num(share, nan=0.0)


def with_never(
  values: np.ndarray, never: np.ndarray, bound: float | None = None
) -> np.ndarray:
  """Values in which `never` counts as `bound`, so that all can be ranked.

  Every proxy that dates an event is larger the later the event happens, so
  `never` is above all values. With shares of runs this is the mean over runs,
  each `never` counted as `bound`.

  Args:
    values: `[N]`, NaN where the event never happened in any run.
    never: `[N]` bool, or the share of runs in which it never happened.
    bound: None takes one more than the largest value.

  Returns:
    `[N]` float64; NaN where nothing was recorded.
  """
  values = np.asarray(values, np.float64)
  share = np.asarray(never, np.float64)
  if bound is None:
    known = values[~np.isnan(values)]
    bound = float(known.max()) + 1 if len(known) else 1.0
  partly = (1 - share) * np.nan_to_num(values) + share * bound
  return np.where(np.isnan(values) & (share == 0), np.nan, partly)


def oriented(proxy: Proxy, values: np.ndarray) -> np.ndarray:
  """`sign * values`, so that larger should mean more memorized.

  Raises:
    ValueError: for an unsigned proxy, which has no such direction.
  """
  if proxy.sign is None:
    raise ValueError(f"Proxy {proxy.name} is unsigned: it is not oriented")
  return proxy.sign * np.asarray(values, np.float64)


def _plain(name: str) -> str:
  """Name of a run output without the prefix that says where it comes from."""
  for prefix in _PREFIXES:
    name = name.removeprefix(prefix)
  return name
