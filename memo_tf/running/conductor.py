"""Conducts a study: plans, runs what is pending, scores, and writes the page."""

from memo_tf.cli import program
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan
from memo_tf.experiment import storage
from memo_tf.experiment import work_units
from memo_tf.running import dispatch
from memo_tf.running import peers
from memo_tf.running import planning
from memo_tf.running import preparation
from memo_tf.running import progress as progress_lib
from memo_tf.running import worker_pool
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import survey as survey_lib
from memo_tf.store import time_left

# So often runs may turn out to be damaged when they are read, moved aside and
# run again; a disk that is worse should be seen to.
MAX_ROUNDS = 4


def launch(
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
  only: list[work_units.WorkUnit] | None = None,
) -> int:
  """Runs what is pending of a study, then scores it and writes the page.

  Args:
    config: validated.
    directory: new, or of the same study.
    only: run these units and nothing after them.

  Returns:
    The exit code: 0, or 1 if units failed.

  Raises:
    UsageError: if config, units and directory do not fit together.
    StudyError, OSError: if the directory cannot be used.
  """
  config = opening.recorded_config(directory, config)
  planned = plan.plan(config)
  wanted = plan.wanted_outputs(config, planned)
  if only:
    wanted = {unit: wanted[unit] for unit in planning.selected(only, planned)}
  first = config.running.strategy != "multi_worker" or peers.is_first()
  if first:
    # One of thousands of tasks leaves what is not its own to the others.
    opening.open_directory(directory, tidy=not only)
  workers = worker_pool.number_of_workers(config.running)
  setup = {"config": config.to_json(), "experiment_dir": str(directory.root)}
  log, dataset = directory.root / "work" / "workers.log", config.data.dataset
  with worker_pool.WorkerPool(
    workers,
    setup,
    threads=config.running.threads_per_unit,
    log_path=log,
    strategy=config.running.strategy,
  ) as pool:
    waited = progress_lib.Waiting(
      f"Preparing the data set {dataset}", log, program.say
    )
    if config.running.strategy == "multi_worker":
      preparation.join_peers(pool)
    if first:
      # One of many tasks at the same time must not write down its own settings.
      record = not only or not opening.is_recorded(directory, config)
      preparation.prepare(directory, config, pool, waited, record=record)
    else:
      peers.wait_for_first(directory, config, waited)
    size = dataset_info.decoded_bytes(dataset_info.read_info(directory))
    if storage.is_streamed(config.running, size):
      program.say(
        f"Images are streamed from disk; decoded they take {size / 1e9:.3g} GB."
      )
    outcome, scores = _rounds(
      directory, config, wanted, pool, workers, first, does_score=not only
    )
  if scores is not None:
    from memo_tf.running import results

    results.show(directory, config, scores, outcome.failures)
    # What was killed right before this launch may have died during it.
    directory.clean_private()
  _say_failures(directory, outcome, len(wanted))
  return program.FAILED if outcome.failures else 0


def _say_failures(directory, outcome, total: int) -> None:
  """A table of what failed, if anything did."""
  if outcome.failures:
    for line in outcome.table():
      program.say(line)
    program.say(
      f"{len(outcome.failures)} of {total} runs failed; their logs and "
      f"tracebacks are under {directory.root / 'work'}. The same command tries "
      "them again."
    )


def score_and_show(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
  failures: dict[str, str],
) -> None:
  """What follows the runs where a launcher sent them: scores, page, a summary.

  Args:
    directory: of the study.
    config: of the directory.
    failures: the names of units that failed, with why.

  Raises:
    DamagedRunError: if a run is damaged.
  """
  from memo_tf.running import results

  program.say("Scoring …")
  scores = results.score(directory, config)
  results.show(directory, config, scores, failures)


def _rounds(directory, config, wanted, pool, workers, first, *, does_score):
  """Runs and scores until no run is found damaged when it is read.

  Returns:
    The outcome, and the scores (None if not wanted here).
  """
  for is_last in (*[False] * (MAX_ROUNDS - 1), True):
    found = survey_lib.survey(directory, wanted)
    if first:
      dispatch.move_damaged_aside(directory, found.damaged, program.say)
    for unit, names in found.lost.items():
      program.say(f"{unit.name} has lost {', '.join(names)}: run again for it.")
    planning.check_requirements(directory, found.pending, config)
    known = time_left.seconds_a_run(found.done)
    more = time_left.seconds_beside(
      config, found.pending, time_left.seconds_of_recording(found.done)
    )
    program.say(_opening(found, known, workers, more))
    outcome = dispatch.run_units(
      directory, config, found, wanted, pool, workers
    )
    damaged, scores = outcome.damaged, None
    if outcome.num_elsewhere:
      program.say(f"{outcome.num_elsewhere} runs were done by another launch.")
    if not damaged and first and does_score:
      from memo_tf.running import results

      program.say("Scoring …")
      try:
        scores = results.score(directory, config)
      except errors.DamagedRunError as error:
        # Where one is, others may be: all are read before any is repeated.
        thorough = survey_lib.survey(directory, wanted, check_digests=True)
        damaged = {error.unit: error.problem, **thorough.damaged}
      except errors.StudyError:
        _say_failures(directory, outcome, len(wanted))
        raise
    if not damaged:
      return outcome, scores
    if first:
      dispatch.move_damaged_aside(directory, damaged, program.say)
    if is_last or config.running.strategy == "multi_worker":
      raise errors.DamagedRunError(*next(iter(damaged.items())))


def _opening(found, known, workers, more) -> str:
  """The first line: what there is to do."""
  total = len(found.done) + len(found.pending)
  text = f"{total} runs: {len(found.done)} done, {len(found.pending)} to run"
  text += f" on {workers} worker{'s' if workers > 1 else ''}"
  left = time_left.remaining_seconds(found.pending, known, workers, more)
  if found.pending and left is not None:
    text += f", about {time_left.duration(left)}"
  return text + "."
