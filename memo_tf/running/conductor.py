"""Conducts a launch: runs its rounds and writes the page."""

from memo_tf.cli import program
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.running import peers
from memo_tf.running import rounds
from memo_tf.running import tensorboard_log
from memo_tf.running import worker_pool
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import selections
from memo_tf.store import survey as survey_lib


def launch(
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
  only: list[work_units.WorkUnit] | None = None,
) -> int:
  """Runs the pending units of a study, scores it, and writes the page.

  Args:
    config: validated.
    directory: new, or of the same study.
    only: run only these units, and do not score.

  Returns:
    The exit code: 0, or 1 if units failed.

  Raises:
    UsageError: if config, units and directory do not fit together.
    StudyError, OSError: if the directory cannot be used.
  """
  tensorboard_log.check(config.running)
  config = opening.recorded_config(directory, config)
  whole = selections.plan(directory, config)
  if only:
    from memo_tf.running import removing

    removing.check_selected(only, config, whole)
  plan = whole.selected(only or ())
  is_first = config.running.strategy != "multi_worker" or peers.is_first()
  if is_first:
    # Array tasks skip global cleanup.
    opening.open_directory(directory, tidy=plan.is_whole)
  if opening.is_old(directory):
    # Before anything is written: the subsets, for example, may grow.
    pending = survey_lib.survey(directory, plan).pending
    opening.check_extensible(directory, pending)
  workers = worker_pool.number_of_workers(config.running)
  setup = {"config": config.to_json(), "experiment_dir": str(directory.root)}
  log = directory.root / "work" / "workers.log"
  with worker_pool.WorkerPool(
    workers,
    setup,
    threads=config.running.threads_per_unit,
    log_path=log,
    strategy=config.running.strategy,
  ) as pool:
    started = rounds.Launch(
      directory=directory, pool=pool, workers=workers, is_first=is_first
    )
    rounds.prepare(started, plan)
    plan, last = rounds.run_rounds(started, plan)
  if last.scores is not None:
    from memo_tf.running import results

    results.show(directory, plan, last.scores, last.outcome.failures)
    # Processes killed right before this launch may have ended during it.
    directory.clean_private()
  rounds.say_failures(directory, last.outcome, len(plan.wanted))
  return program.FAILED if last.outcome.failures else 0


def score_and_show(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  failures: dict[str, str],
) -> plan_lib.Plan | None:
  """Scores a study after a launcher ran it; writes the page, prints a summary.

  Args:
    directory: of the study.
    plan: of the study.
    failures: the error of each unit that failed, by its name.

  Returns:
    The plan of the next round, if the study is to be extended or a removal was
    selected, and there is no page yet; None if this round was the last.

  Raises:
    DamagedRunError: if a run is damaged.
  """
  from memo_tf.running import results

  program.say("Scoring …")
  scores = results.score(directory, plan)
  following = rounds.following_plan(directory, plan, scores, failures)
  if following is None:
    results.show(directory, plan, scores, failures)
  return following
