"""Trains the runs of a study, scores them, and makes a page to look at.

    python -m memo_tf.launch --flagfile=digits.flags --experiment_dir=DIR

The same command given again goes on where it stopped. Other flags:
"""

# What comes after the runs is imported there: with pandas, SciPy and Matplotlib it
# takes longer than all the rest, which no task of a cluster needs.

import platform
import signal
import sys
import time

from absl import app
from absl import flags

from memo_tf.cli import flags as flags_lib
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
from memo_tf.scoring import study
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import survey as survey_lib
from memo_tf.store import time_left

# Exit codes: docs/programs.md.
FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
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
      f"Preparing the data set {dataset}", log, _say
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
      _say(
        f"Images are streamed from disk; decoded they take {size / 1e9:.3g} GB."
      )
    outcome, scores = _rounds(
      directory, config, wanted, pool, workers, first, does_score=not only
    )
  if scores is not None:
    from memo_tf import results

    results.show(directory, config, scores, outcome.failures)
    # What was killed right before this launch may have died during it.
    directory.clean_private()
  _say_failures(directory, outcome, len(wanted))
  return FAILED if outcome.failures else 0


def _say_failures(directory, outcome, total: int) -> None:
  """A table of what failed, if anything did."""
  if outcome.failures:
    for line in outcome.table():
      _say(line)
    _say(
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
  from memo_tf import results

  _say("Scoring …")
  scores = study.score_study(directory, config)
  results.show(directory, config, scores, failures)


def _rounds(directory, config, wanted, pool, workers, first, *, does_score):
  """Runs and scores until no run is found damaged when it is read.

  Returns:
    The outcome, and the scores (None if not wanted here).
  """
  for is_last in (*[False] * (MAX_ROUNDS - 1), True):
    found = survey_lib.survey(directory, wanted)
    if first:
      dispatch.move_damaged_aside(directory, found.damaged, _say)
    for unit, names in found.lost.items():
      _say(f"{unit.name} has lost {', '.join(names)}: run again for it.")
    planning.check_requirements(directory, found.pending, config)
    known = time_left.seconds_a_run(found.done)
    more = time_left.seconds_beside(
      config, found.pending, time_left.seconds_of_recording(found.done)
    )
    _say(_opening(found, known, workers, more))
    outcome = dispatch.run_units(
      directory, config, found, wanted, pool, workers
    )
    damaged, scores = outcome.damaged, None
    if outcome.num_elsewhere:
      _say(f"{outcome.num_elsewhere} runs were done by another launch.")
    if not damaged and first and does_score:
      _say("Scoring …")
      try:
        scores = study.score_study(directory, config)
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
      dispatch.move_damaged_aside(directory, damaged, _say)
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


def _say(line: str) -> None:
  print(line, file=sys.stderr, flush=True)


class _Signalled(BaseException):
  """A signal asks the program to end."""

  def __init__(self, number: int):
    super().__init__(number)
    self.number = number


def _on_signal(number, frame):
  # Once: a second Ctrl-C must not interrupt the ending.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  raise _Signalled(number)


def main(unused_argv) -> int:
  values = flags.FLAGS
  started = time.monotonic()
  signal.signal(signal.SIGINT, _on_signal)
  signal.signal(signal.SIGTERM, _on_signal)
  try:
    if not values.experiment_dir and not values.dry_run:
      raise errors.UsageError(
        "--experiment_dir must name the study's folder. Received none"
      )
    try:
      config = flags_lib.study_config(values)
      only = [work_units.parse_unit(name) for name in values.work_units]
    except ValueError as error:
      raise errors.UsageError(str(error)) from error
    directory = directory_lib.StudyDirectory(values.experiment_dir or "")
    if values.dry_run:
      has_directory = bool(values.experiment_dir)
      planning.dry_run(config, directory if has_directory else None, only)
      return 0
    code = launch(config, directory, only or None)
    _say(f"Took {time.monotonic() - started:.0f} s.")
    return code
  except errors.UsageError as error:
    _say(f"memo_tf.launch: {error}")
    return WRONG_USE
  except errors.StudyError as error:
    _say(f"memo_tf.launch: {error}")
    return FAILED
  except OSError as error:
    text = errors.describe_os_error(error, values.experiment_dir or "")
    _say(f"memo_tf.launch: {text}")
    return FAILED
  except _Signalled as signalled:
    _say(
      "memo_tf.launch: interrupted. What is finished is kept; the same command "
      "goes on."
    )
    interrupted = signalled.number == signal.SIGINT
    return INTERRUPTED if interrupted else TERMINATED


if __name__ == "__main__":
  if platform.python_version_tuple()[:2] not in (("3", "11"), ("3", "12")):
    _say(
      "memo_tf is tested on Python 3.11 and 3.12; this is "
      f"{platform.python_version()}."
    )
  app.run(
    main,
    flags_parser=flags_lib.flag_parser(
      "memo_tf.launch", flags_lib.define_flags
    ),
  )
