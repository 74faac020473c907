"""The strip at the top: what is memorized for certain; can it be trusted?"""

from typing import Any

import numpy as np

from memo_tf.analysis import evidence
from memo_tf.estimators import intervals
from memo_tf.report import assets
from memo_tf.report import material as material_lib
from memo_tf.report import names
from memo_tf.report import sprites
from memo_tf.report import worklist
from memo_tf.scoring import groups
from memo_tf.scoring import spending

NUM_IMAGES = 8
GOOD, CARE, BAD = "good", "care", "bad"


def sentence(result: groups.GroupScores, model: str, num_examples: int) -> str:
  """The answer in one sentence: how many images are memorized for certain."""
  count = int(evidence.is_memorized(result.scores.ci_low).sum())
  verb = "is" if count == 1 else "are"
  return (
    f"{count:,} of {names.counted(num_examples, 'image')} {verb} memorized for "
    f"certain by {model} (lower end of the 95 % interval above "
    f"{evidence.MEMORIZED:g})"
  )


def content(study: material_lib.Material) -> dict[str, Any]:
  """What the template shows."""
  primary = study.primary
  found: dict[str, Any] = {
    "lights": lights(study),
    "warnings": warnings(study),
    "images": [],
  }
  if primary is None:
    return found
  low = primary.scores.ci_low
  found |= {
    "count": int(evidence.is_memorized(low).sum()),
    "best": best_lower_end(primary),
    "model": study.title(primary),
    "share": study.share(primary),
    "num_runs": len(primary.stack.units),
    "others": [
      {
        "model": study.title(r),
        "count": int(evidence.is_memorized(r.scores.ci_low).sum()),
        "runs": len(r.stack.units),
        # Of the same scores as the images, whatever --estimator says.
        "mean": float(np.nanmean(r.scores.memorization)),
      }
      for r in study.scored
    ],
    "images": _images(study),
  }
  return found


def lights(study: material_lib.Material) -> list[dict[str, str]]:
  """Four questions, each with an answer, a colour and a reason."""
  if not study.results:
    return [
      _light("All files read?", BAD, "no run is finished"),
    ]
  return [_fitted(study), _enough(study), _read(study), _stuck(study)]


def _light(question: str, state: str, text: str) -> dict[str, str]:
  return {"question": question, "state": state, "text": text}


def _fitted(study) -> dict[str, str]:
  question, unfitted = "Fitted?", study.unfitted()
  if not unfitted:
    least = min(study.figures(r)["in_accuracy"] for r in study.results)
    # Rounded down, since it says "at least".
    least = np.floor(1000 * least) / 1000
    text = f"Yes: accuracy on their own subsets is at least {least:.3f}."
    return _light(question, GOOD, text)
  text = ", ".join(
    f"{study.title(r)} {study.figures(r)['in_accuracy']:.3f}" for r in unfitted
  )
  return _light(
    question, BAD, f"No: accuracy on their own subsets is under 0.9: {text}."
  )


def _enough(study) -> dict[str, str]:
  question, primary = "Enough runs?", study.primary
  if primary is None or np.isnan(primary.widths.ambiguous):
    return _light(question, BAD, "No: no image was both in and out of subsets.")
  targets = spending.progress(study.config, study.results)
  for target in targets:
    if target.state != spending.REACHED:
      return _light(question, CARE, f"For clear cases: {target.text()}")
  if targets:
    return _light(question, GOOD, f"Yes: {targets[0].text()}")
  wanted, width = study.config.outputs.interval_width, primary.widths.ambiguous
  text = f"an ambiguous image's interval is {width:.2f} wide"
  if width <= wanted:
    return _light(question, GOOD, f"Yes: {text}; asked for: {wanted:g}.")
  if primary.runs_needed:
    more = names.counted(primary.runs_needed, "more run")
    text += f"; {wanted:g} takes {more}"
  if not best_lower_end(primary) > evidence.MEMORIZED:
    return _light(question, BAD, f"No: {text}.")
  return _light(question, CARE, f"For clear cases: {text}.")


def best_lower_end(result: groups.GroupScores) -> float:
  """The lower end that a score of 1 has with this many runs."""
  scores = result.scores
  one, nothing = np.ones(1), np.zeros(1)
  low, _ = intervals.newcombe_interval(
    one,
    np.atleast_1d(np.median(scores.num_in)),
    nothing,
    np.atleast_1d(np.median(scores.num_out)),
  )
  return float(low[0])


def _read(study) -> dict[str, str]:
  question = "All files read?"
  missing = sum(r.num_missing for r in study.results)
  runs = sum(len(r.stack.units) for r in study.results)
  if study.failures or missing:
    text = f"No: {names.counted(missing, 'run')} missing"
    if study.failures:
      text += f", {len(study.failures)} of them failed in this launch"
    return _light(question, BAD, f"{text}. The same command resumes.")
  return _light(question, GOOD, f"Yes: {names.counted(runs, 'run')}.")


def _stuck(study) -> dict[str, str]:
  question = "Stuck runs?"
  flagged = [name for r in study.results for name, _ in r.flagged]
  if not flagged:
    return _light(question, GOOD, "None: no run is far below the others.")
  excluded = study.config.outputs.exclude_flagged_runs
  text = "left out of the scores" if excluded else "they are in the scores"
  return _light(
    question, CARE, f"{names.counted(len(flagged), 'run')}; {text}."
  )


def warnings(study: material_lib.Material) -> list[str]:
  """What a reader must know before anything else."""
  found = []
  unfitted = study.unfitted()
  if unfitted:
    titles = names.listed([study.title(r) for r in unfitted])
    how = "" if study.config.is_made_elsewhere else " (--epochs)"
    found.append(
      f"Accuracy on the training subset is under 0.9 for {titles}: these "
      "models have not learned what they were shown, so their scores say "
      "little about what a fitted model memorizes. Train for longer"
      f"{how} before relying on them."
    )
  for name, error in study.failures.items():
    found.append(f"{name} failed: {error}")
  return found


def _images(study) -> list[dict[str, Any]]:
  """The images with the highest lower ends, large."""
  scores = study.primary.scores
  low = np.nan_to_num(scores.ci_low, nan=-2.0)
  stack, suspects = study.primary.stack, study.suspects
  outside = ~stack.in_mask
  # Ties are in order of the label's held-out probability, lowest first.
  prob = np.where(outside, stack.label_prob, 0).sum(axis=0)
  prob = prob / np.maximum(outside.sum(axis=0), 1)
  order = np.lexsort((prob, -scores.memorization, -low))[:NUM_IMAGES]
  found = []
  for n in order[low[order] > -2].tolist():
    entry = worklist.card(study, n, suspects)
    if study.images is not None:
      image = sprites.single(study.images[n], study.info["max_pixel"])
      entry["uri"] = assets.data_uri(image)
    found.append(entry)
  return found
