"""What a proxy is: a name, what it needs, which way it points, its formula."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools

import numpy as np

SOURCES = ("clean", "batch")
# Records of which the table has two kinds: on clean images after an epoch, and
# (prefix `batch_`) in the training batch before the step.
DYNAMICS = (
  "label_prob",
  "max_prob",
  "entropy",
  "loss",
  "margin",
  "el2n",
  "correct",
)
# A record's prefix says where it was recorded; a formula does not care.
_PREFIXES = ("batch_", "subset_", "second_")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proxy:
  """A cheap score of an example that might follow its memorization.

  Attributes:
    name: of the column and the table's entry.
    needs: names of the records, of `RUN_OUTPUTS`, that `compute` takes.
    sign: +1 if a larger value should mean more memorized, -1 if less, None if
      the proxy is unsigned and is never turned.
    paper: who proposed it.
    function: from arrays, by the names of `needs` without prefix, to `[N]`
      float64, or that and `[N]` bool: see `evaluate`. Further keywords are its
      settings.
  """

  name: str
  needs: tuple[str, ...]
  sign: int | None
  paper: str
  function: Callable[..., np.ndarray | tuple[np.ndarray, np.ndarray]]

  def compute(self, **arrays):
    """Calls `function` with records by their names, and with its settings."""
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

  def with_settings(self, **settings) -> "Proxy":
    """The same proxy with keywords of its function set."""
    return dataclasses.replace(
      self, function=functools.partial(self.function, **settings)
    )


def evaluate(
  proxy: Proxy, records: Mapping[str, object], **settings
) -> tuple[np.ndarray, np.ndarray]:
  """A proxy of one recording run.

  Args:
    proxy: an entry of the table, or one's own.
    records: arrays by the names of `RUN_OUTPUTS`; more than it needs may be there.
    **settings: of the proxy's function.

  Returns:
    `[N]` float64, NaN where the proxy has no value, and `[N]` bool: where that
    is because what it waits for (learning; second-split forgetting) never
    came, not because nothing was recorded.

  Raises:
    ValueError: if a record is missing, or the function returns something else.
  """
  missing = [name for name in proxy.needs if name not in records]
  if missing:
    raise ValueError(
      f"Proxy {proxy.name} needs the records {', '.join(proxy.needs)}. "
      f"Missing: {', '.join(missing)}"
    )
  found = proxy.compute(**{n: records[n] for n in proxy.needs}, **settings)
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
  """Mean over recording runs, of what `evaluate` returned for each.

  Returns:
    `[N]`: the mean over the runs in which the proxy has a value, NaN without
    one; and `[N]` in [0, 1]: of the runs that recorded the example, the share
    in which what it waits for never came. `with_never` puts both together.
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

  Every proxy that waits for something is larger the later it comes; so `never`
  is above all. With shares of runs this is the mean over runs, each `never`
  counted as `bound`.

  Args:
    values: `[N]`, NaN where it never came in any run.
    never: `[N]` bool, or the share of runs in which it never came.
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
  """`sign * values`: larger means more memorized, if the proxy is right.

  Raises:
    ValueError: for an unsigned proxy, which has no such direction.
  """
  if proxy.sign is None:
    raise ValueError(f"Proxy {proxy.name} is unsigned: it is not oriented")
  return proxy.sign * np.asarray(values, np.float64)


def _plain(name: str) -> str:
  """A record's name without the prefix that says where it was recorded."""
  for prefix in _PREFIXES:
    name = name.removeprefix(prefix)
  return name
