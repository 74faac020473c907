"""What a study over sizes shows, in sentences with intervals.

Each sentence is computed: it says that something rises or falls only if the
95 % interval excludes 0, and else that nothing is shown.
"""

import dataclasses

import numpy as np
import pandas as pd

from memo_tf.analysis import trajectory_shares


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
  """One sentence.

  Attributes:
    question: what was asked, as in Lukasik et al. (2024).
    answer: yes, no or open (the interval holds both).
    text: the sentence.
  """

  question: str
  answer: str
  text: str


def findings(
  names: list[str],
  by_size: pd.DataFrame,
  changes: pd.DataFrame,
  modes: pd.DataFrame,
  shares: list[trajectory_shares.ShapeShare],
) -> list[Finding]:
  """The findings of one family of sizes.

  Args:
    names: of the S models, ascending.
    by_size, changes: `distribution.mean_trends`.
    modes: `distribution.bimodality`, by size.
    shares: `trajectory_shares.shape_shares`.
  """
  found = []
  for row in changes.to_dict("records"):
    here, there = names[row["from_size"]], names[row["to_size"]]
    low, high = row["memorization_low"], row["memorization_high"]
    verb, answer = _verb(low, high)
    saturated = (
      by_size["saturated"].iloc[row["from_size"]]
      and by_size["saturated"].iloc[row["to_size"]]
    )
    text = (
      f"Mean memorization {verb} from {here} to {there}: "
      f"{_change(row, 'memorization')}; in-accuracy "
      f"{_change(row, 'in_accuracy')}, held-out accuracy "
      f"{_change(row, 'out_accuracy')}."
    )
    if saturated:
      text += (
        " In-accuracy is saturated at both, so this is held-out accuracy alone."
      )
    question = f"Does memorization grow from {here} to {there}?"
    found.append(Finding(question=question, answer=answer, text=text))
  found.append(_peak(names, by_size))
  found += _modes(names, modes)
  found += _largest(shares)
  return found


def _verb(low: float, high: float) -> tuple[str, str]:
  if low > 0:
    return "rises", "yes"
  if high < 0:
    return "falls", "no"
  return "is not shown to change", "open"


def _change(row: dict, name: str) -> str:
  return (
    f"{row[name]:+.4f} [{row[f'{name}_low']:+.4f}, {row[f'{name}_high']:+.4f}]"
  )


def _peak(names, by_size) -> Finding:
  """Where mean memorization is highest."""
  means = by_size["memorization"].to_numpy()
  if np.isnan(means).any():
    return Finding(
      question="Which size memorizes most?", answer="open", text="Not known."
    )
  place = int(means.argmax())
  row = by_size.iloc[place]
  text = (
    f"Mean memorization is highest for {names[place]}: {means[place]:.4f} "
    f"[{row['memorization_low']:.4f}, {row['memorization_high']:.4f}]"
  )
  text += ", an inner size." if 0 < place < len(names) - 1 else "."
  where = [n for n, s in zip(names, by_size["saturated"]) if s]
  text += (
    f" In-accuracy is saturated (at least 0.99) at {', '.join(where)}."
    if where
    else " In-accuracy is saturated (0.99) at no size."
  )
  return Finding(
    question="Which size memorizes most?", answer=names[place], text=text
  )


def _modes(names, modes) -> list[Finding]:
  """Whether mass near 0 and near 1 grows from the first to the last size."""
  found = []
  for column, what in (("low_mass", "below 0.1"), ("high_mass", "of 0.9 on")):
    first, last = modes[column].iloc[0], modes[column].iloc[-1]
    low = modes[f"{column}_change_low"].iloc[-1]
    high = modes[f"{column}_change_high"].iloc[-1]
    verb, answer = _verb(low, high)
    found.append(
      Finding(
        question=f"Does the share of scores {what} grow with size?",
        answer=answer,
        text=f"The share of scores {what} {verb}: {first:.4f} at {names[0]}, "
        f"{last:.4f} at {names[-1]}; {last - first:+.4f} [{low:+.4f}, "
        f"{high:+.4f}].",
      )
    )
  return found


def _largest(shares) -> list[Finding]:
  """Whether decreasing is the largest class of those that change."""
  changing = [s for s in shares if s.shape_class != "constant"]
  known = [s for s in changing if not np.isnan(s.share)]
  if not known:
    return []
  ordered = sorted(known, key=lambda s: -s.share)
  first, second = ordered[0], ordered[1]
  clear = first.ci_low > second.ci_high
  constant = next(s for s in shares if s.shape_class == "constant")
  text = (
    f"Of the trajectories {_share(constant)} are constant; of those that "
    f"change most are {first.shape_class}: {_share(first)}, then "
    f"{second.shape_class}: {_share(second)}"
    + ("." if clear else "; the intervals overlap, so the order is open.")
  )
  answer = "open"
  if clear:
    answer = "yes" if first.shape_class == "decreasing" else "no"
  return [
    Finding(
      question="Is decreasing the largest class of those that change?",
      answer=answer,
      text=text,
    )
  ]


def _share(share) -> str:
  return (
    f"{100 * share.share:.1f} % [{100 * share.ci_low:.1f}, "
    f"{100 * share.ci_high:.1f}]"
  )


def what_the_runs_carry(
  memorization: np.ndarray,
  standard_error: np.ndarray,
  correlation: np.ndarray,
  min_change: float,
  shares: list[trajectory_shares.ShapeShare],
  *,
  seed: int = 0,
) -> dict[str, float]:
  """What the plain rule makes of noise alone, from the measured errors.

  Each example's trajectory is replaced by a flat one and given its own measured
  noise; what is then called changing is noise.

  Returns:
    `typical_error` (median standard error), `difference_error` (of a difference
    between two sizes, mean over pairs of sizes, median over examples),
    `false_changes` (share of all examples that would be called changing if none
    did), `unsure` (share of the examples whose standard error is at least half
    of `min_change` / 2, so ambiguous), `false_changes_unsure` (among them), and
    `measured_constant`, `constant`: the share before and after noise is taken
    out.
  """
  from memo_tf.analysis import trajectory_noise
  from memo_tf.analysis import trajectory_rules

  known = ~(np.isnan(memorization) | np.isnan(standard_error)).any(axis=0)
  errors = standard_error[:, known]
  result = dict.fromkeys(
    (
      "typical_error",
      "difference_error",
      "false_changes",
      "unsure",
      "false_changes_unsure",
    ),
    float("nan"),
  )
  constant = next(s for s in shares if s.shape_class == "constant")
  result["measured_constant"] = constant.measured
  result["constant"] = constant.share
  if not known.any():
    return result
  correlation = trajectory_noise.positive_definite(correlation)
  num_sizes = len(errors)
  root = np.linalg.cholesky(correlation)
  rng = np.random.default_rng(seed)
  changed = np.zeros(errors.shape[1])
  rounds = max(4, min(50, 200_000 // errors.shape[1]))
  for _ in range(rounds):
    noise = errors * (root @ rng.standard_normal(errors.shape))
    places = trajectory_rules.default(noise, min_change)
    changed += places != trajectory_rules.CONSTANT
  changed /= rounds
  pairs = [
    np.sqrt(
      errors[s] ** 2
      + errors[t] ** 2
      - 2 * correlation[s, t] * errors[s] * errors[t]
    )
    for s in range(num_sizes)
    for t in range(s + 1, num_sizes)
  ]
  unsure = errors.mean(axis=0) >= min_change / 4
  result |= {
    "typical_error": float(np.median(errors)),
    "difference_error": float(np.median(np.mean(pairs, axis=0))),
    "false_changes": float(changed.mean()),
    "unsure": float(unsure.mean()),
    "false_changes_unsure": (
      float(changed[unsure].mean()) if unsure.any() else 0.0
    ),
  }
  return result


def noise_statement(
  carried: dict[str, float], num_runs: int, min_change: float
) -> str:
  """What these runs can and cannot carry, in words."""
  if np.isnan(carried["typical_error"]):
    return "No example has scores at every size: nothing can be said."
  text = (
    f"With {num_runs} runs a size, a score's standard error is "
    f"{carried['typical_error']:.3f} (median over images and sizes) and that "
    f"of its change between two sizes {carried['difference_error']:.3f}. If no "
    f"image changed at all, the plain rule at {min_change:g} would still call "
    f"{100 * carried['false_changes']:.0f} % of them changing"
  )
  if carried["unsure"] > 0:
    text += (
      f"; of the {100 * carried['unsure']:.0f} % that are neither always right "
      f"nor always wrong (standard error of {min_change / 4:g} or more) "
      f"{100 * carried['false_changes_unsure']:.0f} %"
    )
  text += ". "
  if carried["false_changes"] <= 0.01:
    text += (
      "So single trajectories can be read as they are, apart from those near "
      "the threshold."
    )
  elif carried["false_changes_unsure"] <= 0.1:
    text += (
      "So most single trajectories can be read as they are; of the ambiguous "
      "ones trust the probability of a class, not its name."
    )
  else:
    text += (
      "So the name of a single ambiguous image's class is not to be trusted: "
      "use the probabilities, and the shares with the noise taken out. Means "
      "over images are far more certain."
    )
  text += (
    f" Constant: {100 * carried['measured_constant']:.1f} % by the plain rule, "
    f"{100 * carried['constant']:.1f} % with the noise taken out."
  )
  return text
