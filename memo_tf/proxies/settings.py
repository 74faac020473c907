"""Settings of proxies' formulas, for where published code disagrees.

    el2n.at=none,cartography_variability.finite_sample=true

Only settings of what is computed from run outputs, so that they can be changed
at any time; what a run writes has flags of its own (group `ProxiesConfig` of
the settings). docs/method.md explains each.
"""

from collections.abc import Callable
from collections.abc import Iterable
import math

from memo_tf.proxies import ensembles
from memo_tf.proxies import windows


def _boolean(text: str) -> bool:
  if text not in ("true", "false"):
    raise ValueError("true or false")
  return text == "true"


def _part(text: str) -> float | None:
  """Fraction of training that has passed; None: the mean over all of it."""
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


def _window(proxy: str) -> Callable[[str], int]:
  least = windows.LEAST_WINDOW[proxy]

  def parse_window(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) < least:
      raise ValueError(f"a whole number of epochs, at least {least}")
    return int(text)

  return parse_window


def _decay(text: str) -> float:
  try:
    value = float(text)
  except ValueError:
    value = math.nan
  if not 0 < value < 1:
    raise ValueError("between 0 and 1")
  return value


# Parser of the value, by (proxy, keyword of its function).
SETTINGS: dict[tuple[str, str], Callable[[str], object]] = {
  ("cartography_variability", "finite_sample"): _boolean,
  ("el2n", "at"): _part,
  ("ensemble_disagreement", "divergence"): _divergence,
  ("grand", "at"): _part,
  ("grand_last_layer", "at"): _part,
  ("holdout_retraining", "at"): _part,
  ("temporal_dual_depth", "decay"): _decay,
  ("variance_of_gradients", "class_standardized"): _boolean,
  **{(proxy, "window"): _window(proxy) for proxy in windows.LEAST_WINDOW},
}


def parse(texts: Iterable[str]) -> dict[str, dict[str, object]]:
  """Settings of each proxy, by its name and keyword.

  Args:
    texts: `PROXY.SETTING=VALUE` each; the last one of a setting counts.

  Raises:
    ValueError: if a setting is unknown or its value not allowed.
  """
  found: dict[str, dict[str, object]] = {}
  for text in texts:
    name, equals, value = text.partition("=")
    proxy, _, keyword = name.partition(".")
    if not equals or (proxy, keyword) not in SETTINGS:
      known = ", ".join(f"{p}.{k}" for p, k in SETTINGS)
      raise ValueError(
        f"must be PROXY.SETTING=VALUE, of: {known}. Received: {text!r}"
      )
    try:
      read = SETTINGS[proxy, keyword](value)
    except ValueError as error:
      raise ValueError(
        f"{name} must be {error}. Received: {value!r}"
      ) from error
    found.setdefault(proxy, {})[keyword] = read
  return found
