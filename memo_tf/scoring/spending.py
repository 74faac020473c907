"""How far a study is from its `--target_ci_width`, and how far to extend it.

Every asked model and recipe counts, and the one that is farthest decides; what
they require (a teacher that nobody asked for) does not.
"""

from collections.abc import Sequence
import dataclasses
import math

from memo_tf.estimators import margins as margins_lib
from memo_tf.estimators import memorization
from memo_tf.estimators import stopping
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.scoring import groups
from memo_tf.scoring import margin_columns
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions

REACHED, NOT_YET, AT_MOST = "reached", "not yet", "max_subsets"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
  """How far a group is from the target.

  Attributes:
    group: (model, recipe, subsets).
    num_runs: finished runs, from which the rest is.
    look: mean width, and runs that seem to be missing.
    config: of the study.
  """

  group: work_units.Group
  num_runs: int
  look: stopping.Look
  config: config_lib.StudyConfig

  @property
  def state(self) -> str:
    """`REACHED`; `AT_MOST` if no block fits below --max_subsets; `NOT_YET`."""
    if self.look.runs_needed == 0:
      return REACHED
    subsets = self.config.subsets
    is_last = subsets.num_subsets + _block(self.config) > subsets.max_subsets
    return AT_MOST if is_last else NOT_YET

  @property
  def predicted_runs(self) -> int | None:
    """Number of runs that seems to be enough; None if nothing is known."""
    needed = self.look.runs_needed
    return None if needed is None else self.num_runs + needed

  def text(self) -> str:
    """The same in a sentence or two."""
    subsets = self.config.subsets
    images = (
      "all" if subsets.target_examples == "all" else "ambiguous"
    ) + " images"
    target = f"{subsets.target_ci_width:g}"
    if math.isnan(self.look.width):
      now = f"no interval is known from {self.num_runs} runs"
    else:
      now = (
        f"with {self.num_runs} runs intervals of {images} are "
        f"{self.look.width:.3f} wide on average"
      )
    if self.state == REACHED:
      return f"The target of {target} is reached: {now}."
    likely = self.predicted_runs
    predicted = f", which seems to take {likely} runs" if likely else ""
    if self.state == AT_MOST:
      return (
        f"The target of {target} is not reached{predicted}: {now}, and "
        f"--max_subsets={subsets.max_subsets} ends the study."
      )
    return f"The target of {target} is not reached yet{predicted}: {now}."

  def summary(self) -> dict:
    """What `scores/summary.json` says."""
    subsets = self.config.subsets
    width = self.look.width
    return {
      "ci_width": subsets.target_ci_width,
      "examples": subsets.target_examples,
      "state": self.state,
      "width": None if math.isnan(width) else width,
      "num_runs": self.num_runs,
      "predicted_runs": self.predicted_runs,
      "max_subsets": subsets.max_subsets,
      "text": self.text(),
    }


def progress(
  config: config_lib.StudyConfig, results: Sequence[groups.GroupScores]
) -> list[Progress]:
  """The progress of every group that counts; empty without a target."""
  return [
    _progress(config, r.group, len(r.stack.units), r.scores, r.margin)
    for r in results
    if counts(config, r.group)
  ]


def progress_of_runs(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  done: set[work_units.WorkUnit],
) -> list[Progress]:
  """The same from the runs that are done, before they are scored.

  Groups without a whole block of runs are left out.

  Raises:
    StudyError: if a run is damaged.
  """
  found: list[Progress] = []
  examples = None
  for group, units in plan.scored_groups().items():
    chosen = [unit for unit in units if unit in done]
    if not counts(plan.config, group) or len(chosen) < _block(plan.config):
      continue
    stack = predictions.stack_runs(directory, chosen)
    family = subsets_lib.parse_family(group.subsets)
    scores = groups.scores_of(stack, family, "correctness")
    margin = None
    tally = margin_columns.tally_of(stack, scores)
    if tally is not None and plan.config.outputs.estimator != "plain":
      if examples is None:
        examples = predictions.read_examples(directory)
        examples = examples[examples["split"] == "train"]
      margin = tally.scores(
        use_counts=margin_columns.has_copies(examples.reset_index(drop=True))
      )
    found.append(_progress(plan.config, group, len(chosen), scores, margin))
  return found


def next_subsets(
  config: config_lib.StudyConfig, found: Sequence[Progress]
) -> int | None:
  """Number of subsets of the next round; None if this one was the last.

  Args:
    config: of the study.
    found: the progress of the groups that count.
  """
  missing = [p.look.runs_needed for p in found if p.state == NOT_YET]
  if not missing:
    return None
  block, subsets = _block(config), config.subsets
  more = max(stopping.next_runs(needed, block) for needed in missing)
  most = subsets.max_subsets // block * block
  return min(subsets.num_subsets // block * block + more, most)


def predicted_subsets(
  config: config_lib.StudyConfig, found: Sequence[Progress]
) -> int | None:
  """Where the study seems to stop; None if that is not known.

  At most `--max_subsets`, and at least what it has.
  """
  likely = [p.predicted_runs for p in found]
  if not likely or None in likely:
    return None
  subsets = config.subsets
  block = _block(config)
  count = -(-max(n for n in likely if n is not None) // block) * block
  return max(subsets.num_subsets, min(count, subsets.max_subsets))


def counts(config: config_lib.StudyConfig, group: work_units.Group) -> bool:
  """Whether the target is about a group's scores."""
  return bool(
    config.subsets.target_ci_width
    and group.model in config.models.models
    and group.recipe in config.models.recipes
    and group.subsets == config.family_names()[0]
  )


def _block(config: config_lib.StudyConfig) -> int:
  return subsets_lib.parse_family(config.family_names()[0]).block


def _progress(
  config: config_lib.StudyConfig,
  group: work_units.Group,
  num_runs: int,
  scores: memorization.MemorizationScores,
  margin: margins_lib.MarginScores | None,
) -> Progress:
  is_plain = config.outputs.estimator == "plain"
  return Progress(
    group=group,
    num_runs=num_runs,
    look=stopping.look(
      scores,
      None if is_plain else margin,
      config.subsets.target_ci_width,
      examples=config.subsets.target_examples,
      block=_block(config),
    ),
    config=config,
  )
