"""Two recipes of one model family on the same subsets, with every table.

See `findings.distillation`, which finds what is compared and writes the tables.
Imports no TensorFlow.
"""

# Over 350 lines: one comparison with its tables, each by its own method.

import dataclasses
import functools

import numpy as np
import pandas as pd

from memo_tf.analysis.distillation import paired
from memo_tf.analysis.distillation import sentences
from memo_tf.analysis.distillation import sets as sets_lib
from memo_tf.analysis.sizes import sentences as sizes_sentences
from memo_tf.analysis.sizes import trends
from memo_tf.analysis.trajectories import changes as changes_lib
from memo_tf.analysis.trajectories import classify
from memo_tf.analysis.trajectories import shares as shares_lib
from memo_tf.estimators import exposure as exposure_lib
from memo_tf.estimators import in_out
from memo_tf.estimators import resampling
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.scoring import groups

INCREASING = "increasing"
OTHERWISE = "changing otherwise"
# Sets by origin: wrong labels that were planted; other images whose baseline
# memorization, averaged over sizes, is at least `MEMORIZED`; the rest.
PLANTED, NATURAL, REST = (
  "wrong label",
  "memorized, right label",
  "not memorized",
)
MEMORIZED = 0.25  # that of Feldman & Zhang (2020)
# Sets by what the change is in the other half of the runs.
LOWERED, RAISED, SAME = "lowered", "raised", "about the same"
MIN_LOWERED = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeComparison:
  """Two recipes of one model family on the same subsets.

  Attributes:
    family, subsets: the names of what is compared.
    recipe: the second recipe, parsed.
    baseline: name of the first recipe.
    groups: `(baseline, recipe)` groups of each of the S models, ascending.
    rows: of each of the S models the runs of the two groups that are compared,
      int `[2, M]`.
    block: int `[M]`, the block of each subset.
    min_change, rule: settings of the shape classes.
    matched: `matched_accuracy.table`; no rows where it is not asked.
  """

  family: str
  subsets: str
  recipe: recipes_lib.Recipe
  baseline: str
  groups: tuple[tuple[groups.GroupScores, groups.GroupScores], ...]
  rows: tuple[np.ndarray, ...]
  block: np.ndarray
  min_change: float = 0.2
  rule: str = "default"
  matched: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)

  @property
  def models(self) -> tuple[str, ...]:
    """The S names, ascending by size."""
    return tuple(base.group.label for base, _ in self.groups)

  @property
  def num_runs(self) -> int:
    return len(self.block)

  @functools.cached_property
  def is_noisy(self) -> np.ndarray:
    """`[N]` bool: the planted wrong labels."""
    return self.groups[0][0].examples["is_noisy"].to_numpy(dtype=bool)

  @functools.cached_property
  def in_mask(self) -> np.ndarray:
    """`[M, N]` bool."""
    return self.groups[0][0].stack.in_mask[self.rows[0][0]]

  @functools.cached_property
  def correct(self) -> tuple[np.ndarray, np.ndarray]:
    """Bool `[S, M, N]` of the baseline and of the recipe."""
    return self._stacked("correct")

  def _stacked(self, name: str) -> tuple[np.ndarray, np.ndarray]:
    """An attribute of the run stacks, of the baseline and of the recipe."""
    one, two = (
      np.stack(
        [
          getattr(pair[side].stack, name)[rows[side]]
          for pair, rows in zip(self.groups, self.rows)
        ]
      )
      for side in (0, 1)
    )
    return one, two

  @functools.cached_property
  def confidences(self) -> tuple[np.ndarray, np.ndarray] | None:
    """`[S, M, N]` logits of the label's probability; None if not known."""
    probability, margin = self._stacked("label_prob"), self._stacked("margin")
    if any(np.isnan(values).any() for values in probability):
      return None
    stack = self.groups[0][0].stack
    num_classes = 1 + int(max(stack.predicted.max(), stack.labels.max()))
    one, two = (
      exposure_lib.logit_confidence(p, m, num_classes)
      for p, m in zip(probability, margin)
    )
    return one, two

  @functools.cached_property
  def bootstrap(self) -> resampling.PairedBootstrap:
    found = resampling.paired_bootstrap(self.num_runs, block=self.block)
    if found is None:
      raise ValueError(
        f"A comparison needs two runs. Received: {self.num_runs}"
      )
    return found

  @functools.cached_property
  def changes(self) -> pd.DataFrame:
    """`paired.mean_changes`, with the model's name."""
    found = paired.mean_changes(
      *self.correct,
      self.in_mask,
      *self._stacked("test_correct"),
      self.bootstrap,
    )
    return self._with_models(found)

  @functools.cached_property
  def accuracies(self) -> pd.DataFrame:
    """Tables 5 and 6 of Lukasik et al.: accuracies of both by size."""
    tests = self._stacked("test_correct")
    frames = []
    for name, correct, test in zip(
      (self.baseline, self.recipe.name), self.correct, tests
    ):
      frame = trends.run_accuracies(correct, self.in_mask, test)
      frame.insert(0, "of", name)
      frame.insert(1, "size", np.arange(len(frame)))
      frames.append(self._with_models(frame))
    return pd.concat(frames, ignore_index=True)

  @functools.cached_property
  def sets(self) -> sets_lib.SetChanges | None:
    """Changes by set of images; None with fewer than two blocks of runs."""
    halves = sets_lib.halves(self.block)
    if not halves or min(h.change.sum() for h in halves) < 2:
      return None
    by_half = [self._sets_of(half.sets) for half in halves]
    return sets_lib.set_changes(
      *self.correct,
      self.in_mask,
      names=list(by_half[0]),
      members=[np.stack(list(found.values())) for found in by_half],
      rows=[half.change for half in halves],
      block=self.block,
      confidences=self.confidences,
    )

  def _sets_of(self, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Which images are in each set by some runs, bool `[M]`: `[N]` each."""
    mask = self.in_mask[rows]
    base, other = (paired.scores(c[:, rows], mask) for c in self.correct)
    found: dict[str, np.ndarray] = {}
    if len(base) > 1:
      evidence = shares_lib.evidence(self.correct[0][:, rows], mask)
      shape = classify.classify_trajectories(
        evidence.memorization,
        evidence.standard_error,
        correlation=evidence.correlation,
        min_change=self.min_change,
        rule=self.rule,
      ).shape_class
      found = {name: shape == name for name in classify.SHAPE_CLASSES}
      changing = ~np.isin(shape, ("constant", INCREASING))
      found[OTHERWISE] = changing & ~np.isnan(base).any(axis=0)
    level = base.mean(axis=0)
    found[PLANTED] = self.is_noisy
    found[NATURAL] = ~self.is_noisy & (level >= MEMORIZED)
    found[REST] = ~self.is_noisy & (level < MEMORIZED)
    change = (other - base).mean(axis=0)
    found[LOWERED] = change <= -MIN_LOWERED
    found[RAISED] = change >= MIN_LOWERED
    found[SAME] = np.abs(change) < MIN_LOWERED
    return found

  @functools.cached_property
  def set_table(self) -> pd.DataFrame:
    """`SetChanges.table`; no rows where there are no halves."""
    if self.sets is None:
      return pd.DataFrame()
    return self._with_models(self.sets.table())

  @functools.cached_property
  def example_changes(self) -> list[changes_lib.ExampleChanges]:
    """Of each size the change of every image, with its q-value."""
    return [
      changes_lib.example_changes(np.stack(pair), self.in_mask)
      for pair in zip(*self.correct)
    ]

  @functools.cached_property
  def named(self) -> pd.DataFrame:
    """How many images change for certain, one row per size."""
    rows = []
    for model, found in zip(self.models, self.example_changes):
      named = found.named()
      rows.append(
        {
          "model": model,
          "falls": len(named["falls"]),
          "rises": len(named["rises"]),
          "planted": int(self.is_noisy.sum()),
          "falls_planted": int(self.is_noisy[named["falls"]].sum()),
          "rises_planted": int(self.is_noisy[named["rises"]].sum()),
        }
      )
    return pd.DataFrame(rows)

  @functools.cached_property
  def _attacks(self) -> list[tuple] | None:
    """Of each size the exposures of baseline and recipe; None if not known."""
    if self.confidences is None:
      return None
    return [
      tuple(exposure_lib.exposure(c, self.in_mask) for c in pair)
      for pair in zip(*self.confidences)
    ]

  @functools.cached_property
  def exposure(self) -> pd.DataFrame:
    """How well runs can be attacked, one row per size and figure.

    Columns size (-1: mean over sizes), figure (run_auc, or
    true_positives_RATE), and baseline_value, value and change, each with its
    interval. No rows of a figure that some run does not have.
    """
    if self._attacks is None:
      return pd.DataFrame()
    rates = self._attacks[0][0].rates
    figures = {"run_auc": lambda attack: attack.run_auc}
    for place, rate in enumerate(rates):
      figures[f"true_positives_{rate:g}"] = functools.partial(
        lambda place, attack: attack.true_positives[:, place], place
      )
    frames = []
    for name, figure in figures.items():
      values = [[figure(attack) for attack in pair] for pair in self._attacks]
      # With few runs no other run tells of some run's examples.
      if not np.isnan(values).any():
        frames.append(self._by_run("figure", name, values))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

  @functools.cached_property
  def held_out(self) -> pd.DataFrame:
    """How much of a held-out label reaches the models: one row per size, kind.

    The mean probability of the label in the runs that hold an image out, over
    planted wrong labels, and over all other images. Columns as in `exposure`.
    """
    probability = self._stacked("label_prob")
    frames = []
    for kind, chosen in (("wrong", self.is_noisy), ("right", ~self.is_noisy)):
      values = [
        [
          paired.held_out_probability(p[size], self.in_mask, chosen)
          for p in probability
        ]
        for size in range(len(self.models))
      ]
      if not np.isnan(values).any():
        frames.append(self._by_run("labels", kind, values))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

  def _by_run(self, column: str, name: str, values) -> pd.DataFrame:
    """A figure of every run, `[S, 2, M]`, by size and for their mean."""
    values = paired.with_mean(np.asarray(values)[None])[0]
    rows = []
    for size, (base, other) in enumerate(values):
      found = paired.by_run(base, other, self.bootstrap)
      is_mean = size == len(self.models)
      rows.append(
        {"size": paired.ALL_SIZES if is_mean else size, column: name}
        | _columns(found)
      )
    return self._with_models(pd.DataFrame(rows))

  @functools.cached_property
  def joint(self) -> pd.DataFrame:
    """`paired.joint_histogram` of the two recipes' scores."""
    base, other = (paired.scores(c, self.in_mask) for c in self.correct)
    return self._with_models(paired.joint_histogram(base, other))

  @functools.cached_property
  def examples(self) -> pd.DataFrame:
    """One row per size and image: scores, change, exposure, leak."""
    frames = []
    label = self.groups[0][0].examples["label"].to_numpy()
    probability = self._stacked("label_prob")
    for size, found in enumerate(self.example_changes):
      columns = {"example_id": np.arange(len(label)), "label": label}
      columns["is_noisy"] = self.is_noisy
      columns["size"] = np.full(len(label), size)
      for side, suffix in ((0, "_baseline"), (1, "")):
        correct = self.correct[side][size]
        columns[f"memorization{suffix}"] = paired.scores(
          correct[None], self.in_mask
        )[0]
        columns[f"held_out_probability{suffix}"] = in_out.held_out_mean(
          probability[side][size], self.in_mask
        )
        if self._attacks:
          attack = self._attacks[size][side]
          columns[f"separation{suffix}"] = attack.separation
          columns[f"attack_auc{suffix}"] = attack.example_auc
      for name in (
        "change",
        "change_ci_low",
        "change_ci_high",
        "change_q_value",
      ):
        columns[name] = getattr(found, name)
      frames.append(pd.DataFrame(columns))
    return self._with_models(pd.concat(frames, ignore_index=True))

  @functools.cached_property
  def findings(self) -> list[sizes_sentences.Finding]:
    """The sentences, in the order of the paper's claims."""
    found = sentences.mean_findings(self.models, self.changes)
    if len(self.matched):
      found.append(sentences.matched_finding(self.matched))
    if self.sets is not None:
      if len(self.groups) > 1:
        found.append(sentences.class_finding(self.sets, INCREASING, OTHERWISE))
      found += [
        finding
        for question, names, figure in (
          (
            "Does it lower the memorization of wrong labels?",
            (PLANTED, NATURAL, REST),
            "memorization",
          ),
          (
            "Does it lower exposure where it lowers memorization?",
            (LOWERED, RAISED, SAME),
            "separation",
          ),
        )
        if f"{figure}_change" in self.set_table
        and (
          finding := sentences.set_finding(
            self.set_table, question, names, figure
          )
        )
      ]
    found.append(sentences.named_finding(self.named))
    if len(self.exposure):
      rows = self.exposure[self.exposure["figure"] == "run_auc"]
      found.append(
        sentences.exposure_finding(rows["model"].iloc[-1], _array(rows))
      )
    if len(self.held_out):
      # Of right labels a rise is a better guess; of wrong ones, a leak.
      kind = "wrong" if self.is_noisy.any() else "right"
      rows = self.held_out[self.held_out["labels"] == kind]
      found.append(
        sentences.held_out_finding(kind, rows["model"].iloc[-1], _array(rows))
      )
    return found

  def tables(self) -> dict[str, pd.DataFrame]:
    """Every table by its file's name.

    One row per: size, and their mean of size -1 (changes, matched); recipe and
    size (accuracies); set and size (sets); size (named); size and figure
    (exposure); size and kind of image (held_out); size and pair of bins
    (joint); size and image (examples); sentence (findings).
    """
    tables = {
      "changes": self.changes,
      "accuracies": self.accuracies,
      "matched": self.matched,
      "sets": self.set_table,
      "named": self.named,
      "exposure": self.exposure,
      "held_out": self.held_out,
      "joint": self.joint,
      "examples": self.examples,
      "findings": pd.DataFrame(
        [dataclasses.asdict(finding) for finding in self.findings]
      ),
    }
    found = {}
    for name, frame in tables.items():
      if len(frame):
        found[name] = frame.copy()
        found[name].insert(0, "recipe", self.recipe.name)
        found[name].insert(1, "baseline", self.baseline)
    return found

  def _with_models(self, frame: pd.DataFrame) -> pd.DataFrame:
    """A table with the model's name after `size`."""
    frame = frame.copy()
    names = [
      "mean over sizes" if s == paired.ALL_SIZES else self.models[s]
      for s in frame["size"]
    ]
    frame.insert(list(frame.columns).index("size") + 1, "model", names)
    return frame


def _columns(found: np.ndarray) -> dict[str, float]:
  """Columns of a `[3, 3]` from `paired.by_run`."""
  return {
    f"{name}{suffix}": float(found[row, column])
    for row, name in enumerate(_SIDES)
    for column, suffix in enumerate(("", "_low", "_high"))
  }


_SIDES = ("baseline_value", "value", "change")


def _array(rows: pd.DataFrame) -> np.ndarray:
  """The `[3, 3]` that `_columns` made the last row of."""
  row = rows.iloc[-1]
  return np.array(
    [[row[f"{name}{s}"] for s in ("", "_low", "_high")] for name in _SIDES]
  )
