"""What a study over sizes shows, in sentences with intervals.

Each sentence is computed: it says that something rises or falls only if the
95 % interval excludes 0, and otherwise that no change is shown.
"""

import dataclasses

import numpy as np
import pandas as pd

from memo_tf.analysis import evidence
from memo_tf.analysis.trajectories import noise as noise_lib
from memo_tf.analysis.trajectories import rules
from memo_tf.analysis.trajectories import shares as shares_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
  """One sentence.

  Attributes:
    question: as in Lukasik et al. (2024).
    answer: yes, no, open (the interval includes 0), or a model's name.
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
  shares: list[shares_lib.ShapeShare],
) -> list[Finding]:
  """Findings about one ladder of sizes.

  Args:
    names: of the S models, by ascending size.
    by_size, changes: from `trends.mean_trends`.
    modes: from `distribution.bimodality`, by size.
    shares: from `trajectories.shape_shares`.
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
    # Even if saturated, in-accuracy may be shown to change.
    in_stays = row["in_accuracy_low"] <= 0 <= row["in_accuracy_high"]
    if saturated and in_stays:
      text += (
        " In-accuracy is saturated at both, so this is held-out accuracy alone."
      )
    elif saturated:
      text += " In-accuracy is saturated at both, and yet changes."
    question = f"Does memorization grow from {here} to {there}?"
    found.append(Finding(question=question, answer=answer, text=text))
  found.append(_peak(names, by_size))
  found += _modes(names, modes)
  found += _largest(shares)
  return found


def _verb(low: float, high: float) -> tuple[str, str]:
  found = evidence.direction(low, high)
  if found == evidence.UNSURE:
    return "is not shown to change", "open"
  return found, "yes" if found == evidence.RISES else "no"


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
  best = int(means.argmax())
  row = by_size.iloc[best]
  text = (
    f"Mean memorization is highest for {names[best]}: {means[best]:.4f} "
    f"[{row['memorization_low']:.4f}, {row['memorization_high']:.4f}]"
  )
  text += ", an inner size." if 0 < best < len(names) - 1 else "."
  where = [n for n, s in zip(names, by_size["saturated"]) if s]
  text += (
    f" In-accuracy is saturated (at least 0.99) at {', '.join(where)}."
    if where
    else " In-accuracy is saturated (0.99) at no size."
  )
  return Finding(
    question="Which size memorizes most?", answer=names[best], text=text
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
  flat_error: np.ndarray,
  correlation: np.ndarray,
  min_change: float,
  shares: list[shares_lib.ShapeShare],
  *,
  seed: int = 0,
) -> dict[str, float]:
  """How often the plain rule calls noise a change, from the measured errors.

  Each example's trajectory is replaced by a flat one with the measured noise of
  the example. Every one that is then called changing is a false change.

  Args:
    memorization: `[S, N]`.
    flat_error: `[N]`, from `shares.flat_standard_error`.
    correlation: `[S, S]`, of an example's errors over sizes.
    min_change: of the rule.
    shares: of the classes.
    seed: of the noise.

  Returns:
    `ambiguous` (share of the examples whose mean score over sizes is between
    0.2 and 0.8), `typical_error` (their median standard error; that of all
    examples if none is ambiguous), `difference_error` (of a difference between
    two sizes), `false_changes` (share of all examples that would be called
    changing if none changed), `false_changes_ambiguous` (the same among the
    ambiguous), and `measured_constant`, `constant`: the share of constant
    examples before and after the noise is taken out.
  """
  constant = next(s for s in shares if s.shape_class == "constant")
  result = dict.fromkeys(
    (
      "ambiguous",
      "typical_error",
      "difference_error",
      "false_changes",
      "false_changes_ambiguous",
    ),
    float("nan"),
  )
  result["measured_constant"] = constant.measured
  result["constant"] = constant.share
  known = ~np.isnan(memorization).any(axis=0) & ~np.isnan(flat_error)
  if not known.any():
    return result
  level, errors = memorization[:, known].mean(axis=0), flat_error[known]
  ambiguous = (level >= 0.2) & (level <= 0.8)
  correlation = noise_lib.positive_definite(correlation)
  num_sizes = len(correlation)
  root = np.linalg.cholesky(correlation)
  rng = np.random.default_rng(seed)
  changed = np.zeros(len(errors))
  rounds = max(4, min(50, 200_000 // len(errors)))
  for _ in range(rounds):
    noise = errors * (root @ rng.standard_normal((num_sizes, len(errors))))
    classes = rules.default(noise, min_change)
    changed += classes != rules.CONSTANT
  changed /= rounds
  typical = float(np.median(errors[ambiguous] if ambiguous.any() else errors))
  pairs = correlation[np.triu_indices(num_sizes, 1)]
  result |= {
    "ambiguous": float(ambiguous.mean()),
    "typical_error": typical,
    "difference_error": typical * float(np.sqrt(2 - 2 * pairs).mean()),
    "false_changes": float(changed.mean()),
    "false_changes_ambiguous": (
      float(changed[ambiguous].mean()) if ambiguous.any() else 0.0
    ),
  }
  return result


def noise_statement(
  carried: dict[str, float], num_runs: int, min_change: float
) -> str:
  """Sentences on which conclusions these runs support.

  Args:
    carried: from `what_the_runs_carry`.
    num_runs: M.
    min_change: of the rule.
  """
  if np.isnan(carried["typical_error"]):
    return "No example has scores at every size, so no trajectory is known."
  false = carried["false_changes_ambiguous"]
  text = (
    f"With {num_runs} runs per size, {100 * carried['ambiguous']:.0f} % of the "
    "images are ambiguous (mean score between 0.2 and 0.8). Their scores have "
    f"a median standard error of {carried['typical_error']:.3f}, and a change "
    f"between two sizes has one of {carried['difference_error']:.3f}. If no "
    f"image changed at all, the default rule at {min_change:g} would still "
    f"call {100 * carried['false_changes']:.1f} % of all images changing, and "
    f"{100 * false:.0f} % of the ambiguous ones. "
  )
  if false <= 0.05:
    text += "So few of the classes by the plain rule are noise."
  else:
    text += (
      "So the class of a single ambiguous image by the plain rule is no "
      "evidence that it changes. Use the q-values of single images, the shares "
      "with the noise taken out, and means over images."
    )
  text += (
    f" Constant: {100 * carried['measured_constant']:.1f} % by the plain rule, "
    f"{100 * carried['constant']:.1f} % with the noise taken out."
  )
  return text


def named_statement(
  named: dict[str, np.ndarray], num_runs: int, num_sizes: int
) -> str:
  """Sentences on which single images may be named as changing.

  Args:
    named: from `trajectories.changes.ExampleChanges.named`.
    num_runs: M.
    num_sizes: S.
  """
  count = {name: len(ids) for name, ids in named.items()}
  if not sum(count.values()):
    return (
      f"With {num_runs} runs per size no single image can be named as "
      "changing: none has a q-value of at most 0.05."
    )
  text = (
    "Single images with a q-value of at most 0.05: memorization rises from the "
    f"smallest to the largest size for {count['rises']} and falls for "
    f"{count['falls']}"
  )
  if num_sizes > 2:
    text += (
      f"; {count['departs']} more depart from the smallest size at a size "
      "between"
    )
  return text + (
    ". Of the images in each list about 5 % at most are expected to be false "
    "discoveries."
  )
