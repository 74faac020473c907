"""Memorization, influence and consistency of examples, from any runs.

NumPy arrays in, frozen dataclasses out; imports nothing else of memo_tf. Names
are loaded on first use: planning a study takes the in/out mean from here and
does without SciPy, which takes longer to import than all the rest.
"""

import importlib
from typing import Any

_PUBLIC = {
  "consistency": (
    "consistency_profile",
    "consistency_scores",
    "ConsistencyProfile",
    "ConsistencyScores",
  ),
  "influence": (
    "influence_scores",
    "InfluencePairs",
    "InfluenceScores",
    "influential_pairs",
  ),
  "influence_tally": ("InfluenceTally",),
  "margin_influence": ("margin_influence", "MarginInfluence"),
  "margin_sizes": ("margin_scores_sizes",),
  "margins": ("margin_scores", "MarginScores", "MarginTally"),
  "memorization": (
    "memorization_scores",
    "MemorizationScores",
    "MemorizationTally",
  ),
  "reliability": (
    "reliability_curve",
    "split_half_reliability",
  ),
  "split_halves": ("SplitHalfReliability",),
  "widths": (
    "interval_widths",
    "IntervalWidths",
    "runs_needed",
  ),
}
_MODULE_OF = {
  name: module for module, names in _PUBLIC.items() for name in names
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
  if name not in _MODULE_OF:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
  return getattr(module, name)


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})
