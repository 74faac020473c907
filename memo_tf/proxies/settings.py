"""Settings of formulas: where published code disagrees, by name.

    el2n.at=none,cartography_variability.finite_sample=true

Only of what is computed from records, so that it may be changed at any time;
what a run records has flags of its own (`settings_lib.ProxiesConfig`). docs/method.md
says what each means.
"""

from collections.abc import Callable
from collections.abc import Iterable
import math

from memo_tf.proxies import ensembles


def _boolean(text: str) -> bool:
  if text not in ("true", "false"):
    raise ValueError("true or false")
  return text == "true"


def _part(text: str) -> float | None:
  """A part of training; None: the mean over all of it."""
  try:
    value = None if text == "none" else float(text)
  except ValueError:
    value = math.nan
  if value is not None and not 0 < value <= 1:
    raise ValueError("in (0, 1], or none")
  return value


def _divergence(text: str) -> str:
  if text not in ensembles.DIVERGENCES:
    raise ValueError(f"of: {', '.join(ensembles.DIVERGENCES)}")
  return text


# (proxy, keyword of its function) and how the value is read.
SETTINGS: dict[tuple[str, str], Callable[[str], object]] = {
  ("cartography_variability", "finite_sample"): _boolean,
  ("el2n", "at"): _part,
  ("ensemble_disagreement", "divergence"): _divergence,
  ("grand", "at"): _part,
  ("grand_last_layer", "at"): _part,
  ("variance_of_gradients", "class_standardized"): _boolean,
}


def parse(texts: Iterable[str]) -> dict[str, dict[str, object]]:
  """Keywords of each proxy, from `PROXY.SETTING=VALUE`; the last one counts.

  Raises:
    ValueError: that says what there is, or what a value may be.
  """
  found: dict[str, dict[str, object]] = {}
  for text in texts:
    place, equals, value = text.partition("=")
    proxy, _, keyword = place.partition(".")
    if not equals or (proxy, keyword) not in SETTINGS:
      known = ", ".join(f"{p}.{k}" for p, k in SETTINGS)
      raise ValueError(
        f"must be PROXY.SETTING=VALUE, of: {known}. Received: {text!r}"
      )
    try:
      read = SETTINGS[proxy, keyword](value)
    except ValueError as error:
      raise ValueError(
        f"{place} must be {error}. Received: {value!r}"
      ) from error
    found.setdefault(proxy, {})[keyword] = read
  return found
