"""Comparison of proxies with memorization, as tidy tables."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

import numpy as np
import pandas as pd

from memo_tf.analysis.proxies import criteria as criteria_lib
from memo_tf.analysis.proxies import measured
from memo_tf.analysis.proxies import shapes as shapes_lib
from memo_tf.analysis.proxies import trends
from memo_tf.analysis.proxies import verdicts as verdicts_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProxyFindings:
  """Tidy tables; the functions named here document their columns.

  Attributes:
    criteria: one row per proxy, size and criterion (`criteria.compare_sizes`),
      and the rows of `trends.changes`, whose size is "LAST - FIRST".
    distributions: one row per score and size (`trends.distributions`).
    steps: one row per score and pair of neighbouring sizes (`trends.steps`).
    shapes: one row per proxy and pair of shape classes (`shapes.shapes`).
    shape_agreement: one row per proxy (`shapes.shape_agreement`).
    verdicts: one row per proxy (`verdicts.verdicts`).
  """

  criteria: pd.DataFrame
  distributions: pd.DataFrame
  steps: pd.DataFrame
  shapes: pd.DataFrame
  shape_agreement: pd.DataFrame
  verdicts: pd.DataFrame


def compare_proxies(
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  planted: np.ndarray | None = None,
  memorization_classes: np.ndarray | None = None,
  classify: Callable[[np.ndarray], np.ndarray] | None = None,
  normalization: str = "min_max",
  settings: criteria_lib.ComparisonSettings | None = None,
  verdict_settings: verdicts_lib.VerdictSettings | None = None,
  memorization_steps: pd.DataFrame | None = None,
) -> ProxyFindings:
  """Comparison of every proxy with memorization, at each size and over sizes.

  Args:
    memorization: by size, from small to large, of the same N examples.
    proxies: by name, then by size: values that are not oriented, with "never"
      already replaced (`proxies.with_never`). A proxy may lack sizes.
    signs: by proxy: +1 if larger should mean more memorized, -1 if less, None
      for an unsigned one, which is compared as it is.
    planted: `[N]` bool, planted wrong labels; None if there are none.
    memorization_classes: `[N]` str, shapes of memorization's trajectories; None
      leaves shapes out.
    classify: maps `[S, N]` on [0, 1] to `[N]` str; needed for shapes.
    normalization: of proxies before `classify`, see `shapes.normalized`.
    settings, verdict_settings: None for the defaults.
    memorization_steps: changes of mean memorization as the study over sizes has
      them, columns of `trends.steps`. They replace memorization's own rows, so
      that both say the same of a step; a step that it lacks is unsure. None:
      memorization's own.

  Returns:
    A `ProxyFindings`.

  Raises:
    ValueError: if a proxy has no entry in `signs`, a size that memorization
      lacks, or another number of examples.
  """
  lengths = {len(m.values) for m in memorization.values()}
  for name, by_size in proxies.items():
    if name not in signs:
      raise ValueError(f"`signs` must have every proxy. Missing: {name}")
    if not set(by_size) <= set(memorization):
      raise ValueError(
        f"Proxy {name} has sizes that memorization lacks: "
        f"{sorted(set(by_size) - set(memorization))}"
      )
    lengths |= {len(p.values) for p in by_size.values()}
  if len(lengths) != 1:
    raise ValueError(
      "All scores must be of the same examples. Received: "
      f"{sorted(lengths)} examples"
    )
  settings = settings or criteria_lib.ComparisonSettings()
  scores = (memorization, proxies, signs)
  criteria = criteria_lib.compare_sizes(
    *scores, planted=planted, settings=settings
  )
  changes = trends.changes(*scores, settings=settings)
  steps = trends.steps(*scores, confidence=settings.confidence)
  if memorization_steps is not None:
    steps = trends.with_steps(steps, memorization_steps)
  shapes = pd.DataFrame(columns=shapes_lib.COLUMNS)
  if classify is not None and memorization_classes is not None:
    shapes = shapes_lib.shapes(
      memorization_classes, *scores, classify=classify, how=normalization
    )
  return ProxyFindings(
    criteria=pd.concat(
      [table for table in (criteria, changes) if len(table)] or [criteria],
      ignore_index=True,
    ),
    distributions=trends.distributions(*scores, confidence=settings.confidence),
    steps=steps,
    shapes=shapes,
    shape_agreement=shapes_lib.shape_agreement(shapes),
    verdicts=verdicts_lib.verdicts(
      criteria, steps, changes, settings=verdict_settings
    ),
  )
