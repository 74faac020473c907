"""Computes scores from runs, for each model, recipe and subset family.

`scoring.files` describes the files.

Imports no TensorFlow: whoever has the predictions can score them.
"""

import dataclasses
import functools

import numpy as np
import pandas as pd

from memo_tf.analysis import planted_truth
from memo_tf.analysis import ranking
from memo_tf.estimators import influence as influence_lib
from memo_tf.estimators import margin_influence as margin_influence_lib
from memo_tf.estimators import margins
from memo_tf.estimators import memorization
from memo_tf.estimators import reliability as reliability_lib
from memo_tf.estimators import split_halves
from memo_tf.estimators import widths as widths_lib
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.scoring import margin_columns
from memo_tf.scoring import run_figures
from memo_tf.scoring import stuck_runs
from memo_tf.store import directory as directory_lib
from memo_tf.store import origins
from memo_tf.store import predictions


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupScores:
  """The scores and figures of one model, recipe and subset family.

  Attributes:
    group: (model, recipe, subsets).
    parameters: of the model, trainable.
    scores: over the N training examples, of correctness.
    further_scores: of each further outcome that was asked for.
    stack: the runs behind them.
    examples: one row per training example: label, clean_label, is_noisy, ….
    flagged: stuck units, each with the reason.
    num_missing: runs that are not finished.
    seconds: of all the runs together.
    influence: the pairs kept; None for whole data or without test examples.
    margin_influence: of the same pairs from margins; None as `influence` is,
      for subsets of two sizes, and without margins.
    reliability_curve: of two halves, over numbers of runs up to all; empty with
      fewer than two blocks.
    runs_needed: how many more make the intervals of ambiguous examples as
      narrow as asked for; None if no example has one.
    margin_tally: the margins of the runs; None for whole data, and where they
      are not known, as then are the next two.
    margin: scores from margins; None for whole data.
    margin_sizes: the same of all sizes of the ladder together; None with one.
    estimator: `--estimator`, see `chosen`.
  """

  group: work_units.Group
  parameters: int
  scores: memorization.MemorizationScores
  stack: predictions.RunStack
  examples: pd.DataFrame
  flagged: tuple[tuple[str, str], ...]
  num_missing: int
  seconds: float
  further_scores: tuple[memorization.MemorizationScores, ...] = ()
  influence: influence_lib.InfluencePairs | None = None
  margin_influence: margin_influence_lib.MarginInfluence | None = None
  reliability_curve: tuple[split_halves.SplitHalfReliability, ...] = ()
  runs_needed: int | None = None
  margin_tally: margins.MarginTally | None = None
  margin: margins.MarginScores | None = None
  margin_sizes: margins.MarginScores | None = None
  estimator: str = "plain"

  @functools.cached_property
  def widths(self) -> widths_lib.IntervalWidths:
    """Mean widths of the plain intervals."""
    return widths_lib.interval_widths(self.scores)

  @property
  def chosen(self) -> memorization.MemorizationScores | margins.MarginScores:
    """The scores of `--estimator`; of what there is, the nearest to it."""
    if self.estimator == "plain" or self.margin is None:
      return self.scores
    if self.estimator == "margin_sizes" and self.margin_sizes is not None:
      return self.margin_sizes
    return self.margin

  @property
  def chosen_estimator(self) -> str:
    """The `--estimator` that `chosen` is of."""
    if self.chosen is self.scores:
      return "plain"
    return "margin" if self.chosen is self.margin else "margin_sizes"

  @property
  def reliability(self) -> split_halves.SplitHalfReliability | None:
    """Of all runs, from two halves of their blocks."""
    return self.reliability_curve[-1] if self.reliability_curve else None

  def certainty(self, width: float) -> str:
    """In words: how sure the scores are, and what narrower ones would take."""
    widths = self.widths
    if np.isnan(widths.mean):
      return "No example was both in and out of subsets: there are no scores."
    text = f"An interval is {widths.mean:.2f} wide on average"
    if self.scores.outcome == "correctness":
      text += (
        f", and {widths.ambiguous:.2f} for an ambiguous image (held-out "
        f"accuracy of 0.3 to 0.7; there are {widths.num_ambiguous})"
      )
    if self.runs_needed:
      text += (
        f"; {width:.2f} for ambiguous images takes about {self.runs_needed} "
        "more runs"
      )
    text += "." + self._reliability_text()
    if self.margin is not None:
      text += margin_columns.in_words(self.margin, self.scores)
    if self.chosen is not self.scores:
      text += f" Figures are those of --estimator={self.chosen_estimator}."
    return text

  def _reliability_text(self) -> str:
    """The same of the reliability; empty if it is unknown."""
    found = self.reliability
    if not found or np.isnan(found.reliability):
      return ""
    count = len(found.correlations)
    splits = f"mean over {count} splits"
    if found.is_every_split:
      splits = f"mean over all {count} different splits"
      if count == 1:
        splits = "the only split"
    text = (
      " Scores from two halves of the blocks of runs correlate "
      f"{found.correlation:.3f} ({splits}): an estimated "
      f"{100 * found.reliability:.0f} %"
    )
    if not np.isnan(found.ci_low):
      text += f" [{100 * found.ci_low:.0f}, {100 * found.ci_high:.0f}]"
    return (
      f"{text} of the variance of the scores from all {found.num_runs} runs is "
      "not noise."
    )

  def plant(self) -> np.ndarray:
    """`[N]` str, the column `plant`; "" where only labels are recorded."""
    if "plant" not in self.examples:
      return np.full(len(self.examples), "")
    return self.examples["plant"].to_numpy(dtype=str)

  def kinds(self) -> tuple[np.ndarray, np.ndarray]:
    """`planted_truth.kinds` of the training examples."""
    noisy = self.examples["is_noisy"].to_numpy(dtype=bool)
    if "origin_id" not in self.examples:  # only labels are known
      kind = np.where(noisy, planted_truth.WRONG, planted_truth.CLEAN)
      return kind, np.ones(len(noisy), int)
    return planted_truth.kinds(
      self.plant(),
      noisy,
      self.examples["origin_id"].to_numpy(),
    )

  def planted_summary(self) -> list[planted_truth.KindSummary]:
    """Expected and measured scores by kind; empty if nothing was planted."""
    kind, copies = self.kinds()
    if set(kind) <= {planted_truth.CLEAN}:
      return []
    ids = np.arange(len(kind))
    return planted_truth.summarize(
      self.stack.correct,
      self.stack.in_mask,
      kind,
      copies,
      self.examples.get("origin_id", pd.Series(ids)).to_numpy(),
      ratio=subsets_lib.parse_family(self.group.subsets).ratio,
      num_classes=self.examples["clean_label"].nunique(),
    )

  def summary(self) -> dict[str, float]:
    """The group's figures: accuracies, mean memorization, detection."""
    stack, scores = self.stack, self.chosen
    widths = self.widths
    if isinstance(scores, margins.MarginScores):
      widths = widths_lib.margin_widths(scores)
    clean = self.examples["clean_label"].to_numpy()
    clean_hits = stack.predicted == clean
    inside, outside = stack.in_mask, ~stack.in_mask
    # Leaves out copies, which score differently, and noise images, which are
    # not negatives.
    kind, _ = self.kinds()
    noisy = kind == planted_truth.WRONG
    plain = noisy | (kind == planted_truth.CLEAN)
    return {
      "num_runs": len(stack.units),
      "parameters": self.parameters,
      "in_accuracy": _mean(scores.in_accuracy),
      "out_accuracy": _mean(scores.out_accuracy),
      "test_accuracy": _mean(stack.test_correct),
      "in_accuracy_clean": _mean(clean_hits[inside]),
      "out_accuracy_clean": _mean(clean_hits[outside]),
      "mean_memorization": _mean(scores.memorization),
      "mean_interval_width": widths.mean,
      "ambiguous_interval_width": widths.ambiguous,
      "num_ambiguous": widths.num_ambiguous,
      "num_planted": int(noisy.sum()),
      "planted_auroc": ranking.auroc(scores.memorization[plain], noisy[plain]),
      "planted_precision": ranking.precision(
        scores.memorization[plain], noisy[plain]
      ),
      "planted_memorization": _mean(scores.memorization[noisy]),
      "other_memorization": _mean(scores.memorization[plain & ~noisy]),
    }


def score_group(
  directory: directory_lib.StudyDirectory,
  units: list[work_units.WorkUnit],
  examples: pd.DataFrame,
  *,
  exclude_flagged: bool = False,
  outputs: settings_lib.OutputsConfig | None = None,
  origin: origins.Origin | None = None,
) -> GroupScores | None:
  """Scores the finished runs among `units`, which share a group.

  Args:
    directory: of the study.
    units: of one model, recipe and subset family.
    examples: `predictions.read_examples`.
    exclude_flagged: leave out runs that got stuck.
    outputs: thresholds of the pairs and width of the intervals.
    origin: what the runs must have been made with; None: not compared.

  Returns:
    None if no run is finished.
  """
  records = run_figures.read(directory, units, origin)
  if not records:
    return None
  flagged = stuck_runs.find_stuck(
    {unit.name: record["in_accuracy"] for unit, record in records.items()}
  )
  excluded = {name for name, _ in flagged} if exclude_flagged else set()
  used = [unit for unit in records if unit.name not in excluded]
  stack = predictions.stack_runs(directory, used)
  run_figures.check(stack, records)
  train = examples[examples["split"] == "train"].reset_index(drop=True)
  if not np.array_equal(train["label"], stack.labels):
    raise errors.StudyError(
      f"the runs of {units[0].group.name} were trained with other labels than "
      "dataset/examples.parquet has"
    )
  outputs = outputs or settings_lib.OutputsConfig()
  family = subsets_lib.parse_family(units[0].subsets)
  scores = scores_of(stack, family, "correctness")
  is_full = family.scheme == "full"
  tally = None if is_full else margin_columns.tally_of(stack, scores)
  pairs = None if is_full else _pairs(stack, scores, outputs)
  return GroupScores(
    group=units[0].group,
    parameters=next(iter(records.values()))["parameters"],
    scores=scores,
    further_scores=tuple(
      scores_of(stack, family, outcome)
      for outcome in outputs.outcomes
      if outcome != "correctness"
    ),
    stack=stack,
    examples=train,
    flagged=tuple(flagged),
    num_missing=len(units) - len(records),
    seconds=sum(record["seconds"] for record in records.values()),
    influence=pairs,
    margin_influence=margin_columns.of_pairs(stack, pairs),
    reliability_curve=_curve(stack, family),
    runs_needed=widths_lib.runs_needed(
      scores, outputs.interval_width, block=family.block
    ),
    margin_tally=tally,
    margin=tally.scores(use_counts=margin_columns.has_copies(train))
    if tally
    else None,
    estimator=outputs.estimator,
  )


def _curve(stack, family) -> tuple[split_halves.SplitHalfReliability, ...]:
  """Reliability over numbers of runs; empty where halves say nothing."""
  block = np.array([unit.index for unit in stack.units]) // family.block
  if family.scheme in ("full", "two_sizes") or len(np.unique(block)) < 2:
    return ()
  return tuple(
    reliability_lib.reliability_curve(stack.correct, stack.in_mask, block=block)
  )


def scores_of(
  stack: predictions.RunStack, family: subsets_lib.SubsetFamily, outcome: str
) -> memorization.MemorizationScores:
  """Plain scores of an outcome, for the family's estimand."""
  estimand = family.estimand
  if family.scheme == "two_sizes":
    sizes = stack.in_mask.sum(axis=1)
    if sizes.min() == sizes.max():  # only runs of one size are finished so far
      estimand = "conditional"
  return memorization.memorization_scores(
    stack.outcome(outcome),
    stack.in_mask,
    outcome_kind=outcome,
    estimand=estimand,
  )


def _pairs(stack, scores, outputs) -> influence_lib.InfluencePairs | None:
  """The influential pairs: above thresholds, or top k of each test example."""
  if not len(stack.test_labels):  # possible of runs that were made elsewhere
    return None
  if outputs.influence_top_k:
    limits = {"min_influence": None, "top_k": outputs.influence_top_k}
  else:
    limits = {
      "memorization": scores.memorization,
      "min_memorization": outputs.min_memorization,
      "min_influence": outputs.min_influence,
      "train_labels": stack.labels,
      "test_labels": stack.test_labels,
    }
  return influence_lib.influential_pairs(
    stack.test_correct, stack.in_mask, estimand=scores.estimand, **limits
  )


def _mean(values: np.ndarray) -> float:
  values = np.asarray(values, np.float64)
  values = values[~np.isnan(values)]
  return float(values.mean()) if values.size else float("nan")
