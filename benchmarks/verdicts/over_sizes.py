"""Findings 1 to 6 and 11 of docs/studies/plan.md: what changes with size."""

import numpy as np
from scipy import stats

from benchmarks.verdicts import rules
from benchmarks.verdicts import study as study_lib
from memo_tf.analysis.trajectories import classify
from memo_tf.estimators import in_out
from memo_tf.findings import sizes

BASE = "cifar_resnet-8"
WIDTHS = tuple(f"{BASE}-w{w}" for w in ("0.125", "0.25", "0.5")) + (
  BASE,
  f"{BASE}-w2",
)
UPPER = WIDTHS[2:]
DIGITS_WIDTHS = WIDTHS[:4]
STUDENT = f"distilled-{BASE}-w2-t3"
# In-accuracy that both sizes of finding 1 need, and that C2 asks of width 2.
NEARLY_FITTED, FITTED = 0.98, 0.99


def conditions(study: study_lib.Study) -> tuple[bool, str]:
  """C1 and C2 in study (a): section 4.7."""
  ladder = study.ladder(WIDTHS)
  by_size, changes = ladder.trends
  rises = (changes["out_accuracy_low"] > 0).tolist()
  fitted = by_size["in_accuracy"].tolist()
  holds = all(rises) and fitted[0] < FITTED <= fitted[-1]
  text = (
    f"C1: held-out accuracy rises at {sum(rises)} of {len(rises)} steps; C2: "
    f"in-accuracy {fitted[0]:.3f} at width 0.125, {fitted[-1]:.3f} at width 2"
  )
  return holds, text


def falls_with_size(
  study: study_lib.Study, name: str, smaller: str, larger: str, holds: bool
) -> rules.Verdict:
  """1: mean memorization falls once the training data are fitted."""
  ladder = study.ladder((smaller, larger))
  by_size, changes = ladder.trends
  row = changes.iloc[0]
  part = rules.Part(
    name=f"fall of mean memorization from {smaller} to {larger}",
    theta=-row["memorization"],
    low=-row["memorization_high"],
    high=-row["memorization_low"],
    delta=0.005,
  )
  fitted = by_size["in_accuracy"].tolist()
  holds = holds and min(fitted) >= NEARLY_FITTED
  return rules.Verdict(
    finding="1 mean memorization falls with size",
    study=name,
    verdict=part.answer if holds else rules.CANNOT_TELL,
    parts=(part,),
    beside=(
      f"in-accuracy {fitted[0]:.4f} and {fitted[1]:.4f}, change "
      f"{row['in_accuracy']:+.4f} [{row['in_accuracy_low']:+.4f}, "
      f"{row['in_accuracy_high']:+.4f}]",
      f"held-out accuracy {row['out_accuracy']:+.4f} "
      f"[{row['out_accuracy_low']:+.4f}, {row['out_accuracy_high']:+.4f}]",
    ),
  )


def decreasing_is_largest(
  ladder: sizes.SizeStudy, name: str, holds: bool
) -> rules.Verdict:
  """2: most of the images that change memorize less with size."""
  found = next(f for f in ladder.findings if f.question.startswith("Is decre"))
  answer = {
    "yes": rules.SHOWN,
    "no": rules.NOT_SHOWN,
    "open": rules.CANNOT_TELL,
  }[found.answer]
  return rules.Verdict(
    finding="2 most images that change memorize less with size",
    study=name,
    verdict=answer if holds else rules.CANNOT_TELL,
    beside=(found.text,),
  )


def shapes_are_diverse(ladder: sizes.SizeStudy, name: str) -> rules.Verdict:
  """3: increasing, decreasing and cap-shaped trajectories all occur."""
  least = 0.005
  parts = tuple(
    rules.Part(
      name=f"share {share.shape_class}, less {least:.3f}",
      theta=share.share - least,
      low=share.ci_low - least,
      high=share.ci_high - least,
    )
    for share in ladder.shares
    if share.shape_class in ("increasing", "decreasing", "cap")
  )
  return rules.Verdict(
    finding="3 shapes are diverse",
    study=name,
    verdict=rules.all_of(parts),
    parts=parts,
    beside=(ladder.named_statement,),
  )


def grows_bimodal(ladder: sizes.SizeStudy, name: str) -> rules.Verdict:
  """4: the shares of scores near 0 and near 1 both grow."""
  last = ladder.modes[0].iloc[-1]
  parts = tuple(
    rules.Part(
      name=f"change of the share of scores {what}",
      theta=last[f"{column}_change"],
      low=last[f"{column}_change_low"],
      high=last[f"{column}_change_high"],
      delta=0.005,
    )
    for column, what in (("low_mass", "below 0.1"), ("high_mass", "from 0.9"))
  )
  return rules.Verdict(
    finding="4 scores grow bi-modal",
    study=name,
    verdict=rules.all_of(parts),
    parts=parts,
    beside=(
      f"Sarle's coefficient {last['sarle_change']:+.3f} "
      f"[{last['sarle_change_low']:+.3f}, {last['sarle_change_high']:+.3f}]",
    ),
  )


def misses_the_trend(
  study: study_lib.Study, proxy: str, name: str
) -> rules.Verdict:
  """5: a proxy ranks as memorization does but misses how it changes."""
  table = study.table("comparison/cifar_resnet/one_hot/verdicts.parquet")
  row = table[table["proxy"] == proxy].iloc[0]
  ranks, follows = row["tracks_ranking"], row["tracks_trend"]
  verdict = rules.CANNOT_TELL
  if ranks == "no" or follows == "yes":
    verdict = rules.NOT_SHOWN
  elif ranks == "yes" and follows == "no":
    verdict = rules.SHOWN
  return rules.Verdict(
    finding=f"5 {proxy} ranks but misses the trend",
    study=name,
    verdict=verdict,
    beside=(str(row["reason"]),),
  )


def _memorization(
  ladder: sizes.SizeStudy, weights: np.ndarray, columns: np.ndarray
) -> np.ndarray:
  """Mean memorization over a set of images; `[R + 1, S]`.

  Images that a replicate never trained on, or always did, are left out of it.
  """
  means = []
  for outcome in ladder.correct:
    inside, outside = in_out.in_out_means(
      outcome[:, columns], ladder.in_mask[:, columns], weights
    )
    means.append(np.nanmean(inside - outside, axis=1))
  return np.stack(means, axis=-1)


def _first_runs(ladder: sizes.SizeStudy, rows: np.ndarray) -> sizes.SizeStudy:
  """The same study of some of its runs."""
  return sizes.SizeStudy(
    family=ladder.family,
    recipe=ladder.recipe,
    subsets=ladder.subsets,
    models=ladder.models,
    parameters=ladder.parameters,
    examples=ladder.examples,
    in_mask=ladder.in_mask[rows],
    correct=ladder.correct[:, rows],
    test_correct=ladder.test_correct[:, rows],
    block=ladder.block[rows],
    min_change=ladder.min_change,
    rule=ladder.rule,
  )


def _part(name: str, found: np.ndarray, delta: float) -> rules.Part:
  """A part from a row of `PairedBootstrap.intervals`."""
  return rules.Part(
    name=name,
    theta=float(found[0]),
    low=float(found[1]),
    high=float(found[2]),
    delta=delta,
  )


def distillation(b: study_lib.Study, a: study_lib.Study) -> list[rules.Verdict]:
  """6: distillation lowers memorization, mostly of increasing images."""
  one_hot, student = b.ladder(WIDTHS), b.ladder(WIDTHS, STUDENT)
  num_runs = len(one_hot.in_mask)
  bootstrap = study_lib.drawn(num_runs)
  weights, every = bootstrap.weights, np.ones(one_hot.in_mask.shape[1], bool)
  change = _memorization(student, weights, every)
  change -= _memorization(one_hot, weights, every)
  found = bootstrap.intervals(-np.column_stack([change.mean(axis=1), change]))
  lowers = _part("fall of mean memorization over the sizes", found[0], 0.005)
  beside = []
  for model, row in zip(WIDTHS, found[1:]):
    alone = rules.at_level(
      _part(model, row, 0), 1 - 0.05 / len(WIDTHS), bootstrap.num_blocks
    )
    beside.append(f"fall at {alone.text} (at {1 - 0.05 / len(WIDTHS):.0%})")
  verdicts = [
    rules.Verdict(
      finding="6a distillation lowers memorization",
      study="b",
      verdict=lowers.answer,
      parts=(lowers,),
      beside=tuple(beside),
    )
  ]
  accuracies = _run_means(student, weights) - _run_means(one_hot, weights)
  found = bootstrap.intervals(accuracies * [-1, 1])
  parts = (
    _part("fall of training accuracy", found[0], 0.002),
    _part("rise of test accuracy", found[1], 0.002),
  )
  verdicts.append(
    rules.Verdict(
      finding="6b it lowers training accuracy and raises test accuracy",
      study="b",
      verdict=rules.all_of(parts),
      parts=parts,
    )
  )
  verdicts.append(_mostly_increasing(one_hot, student, a.ladder(WIDTHS)))
  return verdicts


def _run_means(ladder: sizes.SizeStudy, weights: np.ndarray) -> np.ndarray:
  """Accuracy on the subset and on test images, over sizes; `[R + 1, 2]`."""
  inside = [
    [c[m].mean() for c, m in zip(outcome, ladder.in_mask)]
    for outcome in ladder.correct
  ]
  test = ladder.test_correct.mean(axis=2)
  total = weights.sum(axis=1)
  means = [np.mean(x, axis=0) @ weights.T / total for x in (inside, test)]
  return np.stack(means, axis=-1)


def _mostly_increasing(
  one_hot: sizes.SizeStudy, student: sizes.SizeStudy, whole: sizes.SizeStudy
) -> rules.Verdict:
  """6c: classes from runs of (a), the reduction from other runs of (b)."""
  num_runs = len(one_hot.in_mask)
  # (blocks of the classes, blocks of the reduction), from 0: section 6c, and
  # 8.4 for 20 runs.
  halves = {
    40: (((0, 1, 4), (2, 3)), ((2, 3, 5), (0, 1))),
    20: (((1, 2, 4), (0,)), ((0, 3, 5), (1,))),
  }[num_runs]
  others = set(classify.SHAPE_CLASSES) - {"constant", "increasing"}
  gains, counts = [], []
  for half, (of_classes, of_change) in enumerate(halves):
    chosen = _first_runs(whole, np.isin(whole.block, of_classes))
    shapes = chosen.classes.shape_class
    increasing = shapes == "increasing"
    changing = np.isin(shapes, sorted(others))
    counts += [int(increasing.sum()), int(changing.sum())]
    if min(counts[-2:]) < 20:
      continue
    rows = np.isin(one_hot.block, of_change)
    drawn = study_lib.drawn(int(rows.sum()), seed=half)
    parts = [_first_runs(ladder, rows) for ladder in (one_hot, student)]
    reduction = [
      np.mean(
        _memorization(parts[0], drawn.weights, columns)
        - _memorization(parts[1], drawn.weights, columns),
        axis=1,
      )
      for columns in (increasing, changing)
    ]
    gains.append(reduction[0] - reduction[1])
  sizes_of_sides = ", ".join(map(str, counts))
  beside = (f"images increasing and others, by half: {sizes_of_sides}",)
  finding = "6c mostly of images with increasing trajectories"
  if len(gains) < len(halves):
    return rules.Verdict(
      finding=finding, study="b", verdict=rules.CANNOT_TELL, beside=beside
    )
  drawn_of_both = np.mean(gains, axis=0)
  runs = num_runs // 2
  error = drawn_of_both[1:].std(ddof=1) * np.sqrt(runs / (runs - 1))
  reach = stats.t.ppf(0.975, 2 * (runs - 1)) * error
  part = rules.Part(
    name="reduction of increasing images less that of the others that change",
    theta=float(drawn_of_both[0]),
    low=float(drawn_of_both[0] - reach),
    high=float(drawn_of_both[0] + reach),
    delta=0.01,
  )
  return rules.Verdict(
    finding=finding,
    study="b",
    verdict=part.answer,
    parts=(part,),
    beside=beside,
  )


def natural_and_planted(
  e: study_lib.Study, a: study_lib.Study
) -> rules.Verdict:
  """11: natural memorization falls with size, planted wrong labels less."""
  models = (UPPER[0], UPPER[2])
  ladder = e.ladder(models)
  planted = ladder.examples["is_noisy"].to_numpy(bool)
  before = a.scores(models[0]).scores.memorization
  natural = ~planted & (before >= 0.25)
  bootstrap = study_lib.drawn(len(ladder.in_mask))
  changes = []
  for columns in (planted, natural, ~planted):
    means = _memorization(ladder, bootstrap.weights, columns)
    changes.append(means[:, 1] - means[:, 0])
  p, q, correct = changes
  found = bootstrap.intervals(np.column_stack([-q, p - q, p, correct]))
  parts = (
    _part("fall of natural memorization", found[0], 0.01),
    _part("change of the planted less that of the natural", found[1], 0.01),
  )
  return rules.Verdict(
    finding="11 natural and planted memorization behave differently",
    study="e",
    verdict=rules.all_of(parts),
    parts=parts,
    beside=(
      _part("planted", found[2], 0).text,
      _part("all correctly labelled", found[3], 0).text,
      f"{planted.sum()} planted, {natural.sum()} natural images",
    ),
  )
