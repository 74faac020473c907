"""The lines that end a launch: the answer, the page, and what to do next."""

import pathlib

from memo_tf.report import answer
from memo_tf.report import material as material_lib
from memo_tf.report import names
from memo_tf.report.sections import certainty
from memo_tf.store import time_left


def lines(study: material_lib.Material, path: pathlib.Path) -> list[str]:
  """One sentence, the page's address, and what to do next.

  Args:
    study: as the page shows it.
    path: of the page.
  """
  found = []
  if study.primary is not None:
    found.append(
      answer.sentence(
        study.primary, study.title(study.primary), len(study.train)
      )
      + "."
    )
  found.append(f"Page: {path.resolve().as_uri()}")
  found.append(f"Next: {_next(study)}")
  return found


def _next(study: material_lib.Material) -> str:
  missing = sum(r.num_missing for r in study.results)
  if missing or study.failures or study.primary is None:
    what = names.counted(missing or len(study.failures), "run")
    return f"give the same command again; {what} missing."
  unfitted = study.unfitted()
  if unfitted:
    titles = names.listed([study.title(r) for r in unfitted])
    how = (
      "" if study.config.is_made_elsewhere else " (--epochs, in a new folder)"
    )
    return (
      f"train {titles} for longer{how}: accuracy on their own subsets is under "
      "0.9."
    )
  count = len(study.suspects.ids)
  text = "look at the images"
  if count:
    text = f"look at {names.counted(count, 'suspected wrong label')}"
  cost = certainty.cost(study)
  if cost and study.config.is_made_elsewhere:
    text += f"; {cost['total']} runs per model halve the intervals"
  elif cost:
    text += (
      f"; --num_subsets={cost['total']} halves the intervals, in about "
      f"{time_left.duration(cost['seconds'])} of one worker"
    )
  return f"{text}."
