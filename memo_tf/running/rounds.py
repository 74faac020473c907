"""The rounds of a launch, each with one plan.

A round runs what is pending and scores it. A further one follows if runs were
damaged, the study is extended, or a removal was selected.
"""

from collections.abc import Mapping
import dataclasses

from memo_tf.cli import program
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import storage
from memo_tf.experiment import work_units
from memo_tf.running import accelerators
from memo_tf.running import dispatch
from memo_tf.running import peers
from memo_tf.running import planning
from memo_tf.running import preparation
from memo_tf.running import progress as progress_lib
from memo_tf.running import worker_pool
from memo_tf.store import checkup
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import environments
from memo_tf.store import opening
from memo_tf.store import selections
from memo_tf.store import survey as survey_lib
from memo_tf.store import time_left

# Most rounds of a plan; each moves damaged runs aside and repeats them. A disk
# that still damages runs after that needs attention.
MAX_ROUNDS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
  """What the rounds of a launch share.

  Attributes:
    directory: of the study.
    pool: the workers that run the units.
    workers: the number of workers.
    is_first: whether this process writes the results (`peers`).
  """

  directory: directory_lib.StudyDirectory
  pool: worker_pool.WorkerPool
  workers: int
  is_first: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
  """The result of a round.

  Attributes:
    outcome: of the units that were pending.
    damaged: runs found damaged when they were read, each with the reason.
    scores: of every group; None if runs are damaged, or if this launch is not
      the one that scores.
  """

  outcome: dispatch.Outcome
  damaged: dict[work_units.WorkUnit, str]
  scores: list | None = None


def run_rounds(
  started: Launch, plan: plan_lib.Plan
) -> tuple[plan_lib.Plan, Round]:
  """Runs rounds until no further one is needed.

  Returns:
    The last plan, and the result of its round.

  Raises:
    DamagedRunError: if runs are still damaged after `MAX_ROUNDS`.
  """
  is_alone = plan.config.running.strategy != "multi_worker"
  rounds_left, scores = MAX_ROUNDS, None
  while True:
    finished = _run_round(started, plan, scores)
    opening.check_extensible(started.directory, finished.damaged)
    if started.is_first:
      dispatch.move_damaged_aside(
        started.directory, finished.damaged, program.say
      )
    following = _next_plan(started.directory, plan, finished)
    if following is None:
      return plan, finished
    rounds_left = rounds_left - 1 if finished.damaged else MAX_ROUNDS
    if not rounds_left or (finished.damaged and not is_alone):
      raise errors.DamagedRunError(*next(iter(finished.damaged.items())))
    scores = None
    if not finished.damaged:
      if not is_alone:  # the other processes cannot know of the new plan
        program.say("Rerun the same command for the runs of the removal.")
        return plan, finished
      prepare(started, following)
      if set(following.scored_groups()) == set(plan.scored_groups()) and (
        following.config.subsets == plan.config.subsets
      ):  # only runs that are not scored are added
        scores = finished.scores
    plan = following


def prepare(started: Launch, plan: plan_lib.Plan) -> None:
  """Makes the data set and the subsets, or waits for the process that does."""
  config, directory = plan.config, started.directory
  log = directory.root / "work" / "workers.log"
  what = f"Preparing the data set {config.data.dataset}"
  waited = progress_lib.Waiting(what, log, program.say)
  if config.running.strategy == "multi_worker":
    preparation.join_peers(started.pool)
  is_new = not directory.dataset_dir.exists()
  if started.is_first:
    # Tasks that run at the same time must not each write their own settings.
    record = plan.is_whole or not opening.is_recorded(directory, config)
    preparation.prepare(directory, plan, started.pool, waited, record=record)
  else:
    peers.wait_for_first(directory, config, waited)
  info = dataset_info.read_info(directory)
  for note in info.get("notes", []) if is_new and started.is_first else []:
    program.say(note)
  size = dataset_info.decoded_bytes(info)
  if storage.is_streamed(config.running, size):
    program.say(
      f"Images are streamed from disk; decoded they take {size / 1e9:.3g} GB."
    )


def _next_plan(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  finished: Round,
) -> plan_lib.Plan | None:
  """The plan of the next round; None if the study has what it asks for."""
  if finished.damaged:
    return plan
  if finished.scores is None:
    return None
  return following_plan(
    directory, plan, finished.scores, finished.outcome.failures
  )


def following_plan(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  scores: list,
  failures: Mapping[str, str],
) -> plan_lib.Plan | None:
  """The plan of a further round: with more subsets, or then a removal."""
  following = extended(directory, plan, scores, failures)
  if following is not None or not plan.config.removal.is_asked:
    return following
  from memo_tf.running import removing

  following, lines = removing.next_plan(directory, plan, scores)
  for line in lines:
    program.say(line)
  return following


def extended(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  scores: list,
  failures: Mapping[str, str],
) -> plan_lib.Plan | None:
  """The plan with the subsets that `--target_ci_width` needs, and says so.

  Args:
    directory: of the study.
    plan: of the round that is finished.
    scores: of every group.
    failures: by unit; the runs that failed are tried again before any is added.

  Returns:
    None if there is no target, it is reached, or it cannot be.
  """
  from memo_tf.scoring import spending

  found = spending.progress(plan.config, scores)
  for group in found:
    program.say(f"{group.group.name}: {group.text()}")
  count = spending.next_subsets(plan.config, found)
  if count is None or opening.is_old(directory):
    return None
  if failures:
    program.say("The study is not extended, since runs failed.")
    return None
  before = plan.config.subsets
  config = dataclasses.replace(
    plan.config, subsets=dataclasses.replace(before, num_subsets=count)
  )
  program.say(f"Extended from {before.num_subsets} to {count} subsets.")
  checkup.record_digests(directory)  # of these scores, which stay for a while
  # Another launch may have extended it further.
  config = opening.recorded_config(directory, config)
  return selections.plan(directory, config)


def _run_round(
  started: Launch, plan: plan_lib.Plan, scores: list | None = None
) -> Round:
  """Runs the pending units of a plan and, if no run is damaged, scores it.

  Args:
    started: the launch.
    plan: of the round.
    scores: of the round before, whose scored runs are all the same; None: to be
      computed.
  """
  directory = started.directory
  found = survey_lib.usable(directory, plan)
  if started.is_first:
    dispatch.move_damaged_aside(directory, found.damaged, program.say)
  for unit, names in found.lost.items():
    program.say(f"{unit.name} has lost {', '.join(names)}: will be run again.")
  planning.check_requirements(directory, plan, found.pending)
  if found.pending and started.is_first:
    _check_environment(directory, plan.config)
  program.say(_opening(plan, found, started.workers))
  outcome = dispatch.run_units(
    directory, plan, found, started.pool, started.workers
  )
  if outcome.num_elsewhere:
    program.say(f"{outcome.num_elsewhere} runs were done by another launch.")
  if outcome.damaged or not started.is_first or not plan.is_whole:
    return Round(outcome=outcome, damaged=outcome.damaged)
  from memo_tf.running import results

  program.say("Scoring …")
  try:
    scores = results.score(directory, plan, scores)
  except errors.DamagedRunError as error:
    # Where one is, others may be: all are read before any is repeated.
    thorough = survey_lib.survey(directory, plan, check_digests=True)
    damaged = {error.unit: error.problem, **thorough.damaged}
    return Round(outcome=outcome, damaged=damaged)
  except errors.StudyError:
    say_failures(directory, outcome, len(plan.wanted))
    raise
  return Round(outcome=outcome, damaged={}, scores=scores)


def say_failures(directory, outcome, total: int) -> None:
  """Prints a table of the failed runs, if there are any."""
  if outcome.failures:
    for line in outcome.table():
      program.say(line)
    program.say(
      f"{len(outcome.failures)} of {total} runs failed; their logs and "
      f"tracebacks are under {directory.root / 'work'}. Rerun the same command "
      "to retry them."
    )


def _check_environment(directory, config) -> None:
  """Says, or refuses, that other versions or machines trained earlier runs."""
  environment = environments.current(accelerators.gpu_models())
  text = environments.check_change(directory, environment, config)
  if text:
    program.say(f"Warning: {text}")
  environments.note(directory, environment, has_trained=True)


def _opening(plan, found, workers) -> str:
  """The first line of a round: how many runs there are to do."""
  total = len(found.done) + len(found.pending)
  text = f"{total} runs: {len(found.done)} done, {len(found.pending)} to run"
  text += f" on {workers} worker{'s' if workers > 1 else ''}"
  recording = time_left.seconds_of_recording(found.done)
  left = time_left.remaining_seconds(
    plan,
    found.pending,
    time_left.seconds_a_run(found.done),
    workers,
    time_left.seconds_beside(plan, found.pending, recording),
  )
  if found.pending and left is not None:
    is_least = (
      plan.recorded_outputs
      and not recording
      and any(map(plan.does_record, found.pending))
    )
    text += f", {'at least' if is_least else 'about'} "
    text += time_left.duration(left)
  return text + "."
