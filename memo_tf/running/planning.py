"""Estimates what a launch would run and cost, without running it."""

import collections
from collections.abc import Mapping
import dataclasses

import numpy as np

from memo_tf.data.sources import custom_files
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import score_epochs
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.running import estimating
from memo_tf.running import worker_pool
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import selections
from memo_tf.store import survey as survey_lib
from memo_tf.store import time_left

# Bytes per prediction in a run's Parquet file, used until a run is finished.
BYTES_A_PREDICTION = 12
# Subsets of which a dry run looks at the sizes.
FEW_SUBSETS = 10


def check_requirements(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  pending: list[work_units.WorkUnit],
) -> None:
  """Checks that what pending units require is done or pending too.

  Raises:
    UsageError: names a unit and what it lacks.
  """
  members = set(pending)
  for unit in pending:
    for needed in plan.requires(unit):
      if needed in members:
        continue
      state = directory.run_state(needed, check_digests=False)
      if not state.has(frozenset({plan_lib.WEIGHTS})):
        raise errors.UsageError(
          f"{unit.name} needs the weights of {needed.name}, which is not "
          f"finished. Received: --work_units without {needed.name}"
        )


def dry_run(
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory | None,
  only: list[work_units.WorkUnit],
) -> None:
  """Prints what would run, and its cost from runs or from measured steps.

  Nothing is written: groups without a finished run are timed on arbitrary
  batches of the real data, on every worker at once.

  Args:
    config: validated.
    directory: of the study, or None.
    only: the units of `--work_units`; empty for all.
  """
  if directory:
    config = opening.recorded_config(directory, config)
  plan = selections.plan(directory, config, with_unknown=True).selected(only)
  if directory:
    _check_custom_files(directory, config)
    found = survey_lib.survey(directory, plan)
    opening.check_extensible(directory, found.pending)
  else:
    found = survey_lib.Survey(done={}, pending=plan.units, damaged={})
  workers = worker_pool.number_of_workers(config.running)
  known = time_left.seconds_a_run(found.done)
  beside = time_left.seconds_of_recording(found.done)
  groups = list(plan.groups())
  pending_groups = {unit.group for unit in found.pending}
  missing = [g for g in groups if g not in known and g in pending_groups]
  guess = estimating.Estimate()
  if missing and config.running.strategy == "multi_worker":
    raise errors.UsageError(
      "--dry_run times steps in one process: add --strategy=one_device for an "
      "estimate. Received: --strategy=multi_worker"
    )
  if missing:
    guess = estimating.estimate(plan, missing, workers, directory)
    if guess.sizes:
      _check_subset_sizes(plan, guess.sizes[0])
    known |= guess.seconds
    beside |= guess.recording
  more = time_left.seconds_beside(plan, found.pending, beside)

  _print_groups(plan, found, known, missing, guess)
  if more:
    print(
      f"{len(more)} of the pending runs record for proxies, which takes about "
      f"{time_left.duration(sum(more.values()))} of one worker's time."
    )
  left = time_left.remaining_seconds(plan, found.pending, known, workers, more)
  print(_time(found, workers, left, guess, bool(missing)))
  print(f"Disk: about {_disk(plan, found, guess.sizes)}.")
  if unknown := [f for f, share in plan.removed.items() if not share]:
    print(
      f"What {len(unknown)} subset families without memorized examples leave "
      "out is selected when the others are scored: the time of their runs is "
      "as if they left nothing out, the most that it can be."
    )
  print(_precision(config))
  for line in target_lines(plan, directory, found, known, workers):
    print(line)
  for unit, problem in found.damaged.items():
    print(f"{unit.name} is damaged ({problem}) and would be run again.")


def _print_groups(
  plan: plan_lib.Plan,
  found: survey_lib.Survey,
  known: Mapping[work_units.Group, float],
  missing: list[work_units.Group],
  guess: estimating.Estimate,
) -> None:
  """Prints a line per group: its runs, how many are done, seconds of one."""
  print(
    f"{'model/recipe/subsets':44} {'runs':>6} {'done':>6} {'s/run':>8}  from"
  )
  counts = collections.Counter(unit.group for unit in plan.wanted)
  done = collections.Counter(unit.group for unit in found.done)
  for group in plan.groups():
    seconds = f"{known[group]:8.2f}" if group in known else f"{'':8}"
    source = "finished runs"
    if group in missing:
      source = guess.sources.get(group, "")
    print(
      f"{group.name:44} {counts[group]:6} {done[group]:6} {seconds}  {source}"
    )


def _time(
  found: survey_lib.Survey,
  workers: int,
  left: float | None,
  guess: estimating.Estimate,
  is_guessed: bool,
) -> str:
  """How long the pending runs take, in words."""
  text = f"{len(found.pending)} runs pending on {workers} "
  text += f"worker{'s' if workers > 1 else ''}: "
  if found.pending and left is None:
    text += "time unknown, since no step was timed within "
    text += time_left.duration(estimating.TIME_LIMIT)
  else:
    text += f"about {time_left.duration((left or 0.0) + guess.start_up)}"
    if is_guessed:
      text += f", {time_left.duration(guess.start_up)} of it to start"
  return text


def target_lines(
  plan: plan_lib.Plan,
  directory: directory_lib.StudyDirectory | None,
  found: survey_lib.Survey,
  known: Mapping[work_units.Group, float],
  workers: int,
) -> list[str]:
  """Where `--target_ci_width` seems to end the study, and what that costs.

  From the finished runs; without any the cost of `--max_subsets`.

  Args:
    plan: of the study.
    directory: of the study, or None.
    found: which of its units are done and which are pending.
    known: seconds per run, by group.
    workers: how many runs train at a time.
  """
  subsets = plan.config.subsets
  if not subsets.target_ci_width or not plan.is_whole:
    return []
  from memo_tf.scoring import spending  # needs pandas and SciPy

  progress: list[spending.Progress] = []
  lines: list[str] = []
  if directory and found.done:
    try:
      progress = spending.progress_of_runs(directory, plan, set(found.done))
    except errors.StudyError as error:  # the launch repeats damaged runs
      lines.append(f"Runs cannot be read: {error}")
  lines += [f"{group.group.name}: {group.text()}" for group in progress]
  count = None
  if len(progress) == sum(
    spending.counts(plan.config, group) for group in plan.scored_groups()
  ):
    count = spending.predicted_subsets(plan.config, progress)
  text = f"--target_ci_width={subsets.target_ci_width:g}: "
  if count is None:
    count = subsets.max_subsets
    text += (
      "where it stops is not known before each model has a block of finished "
      f"runs. At most: --max_subsets={count}"
    )
  elif count == subsets.num_subsets:
    return [*lines, f"{text}it seems to stop at {count} subsets, as planned."]
  else:
    text += f"it seems to stop at about {count} subsets"
  grown = plan_lib.Plan.of(
    dataclasses.replace(
      plan.config, subsets=dataclasses.replace(subsets, num_subsets=count)
    ),
    plan.removed,
  )
  pending = [unit for unit in grown.wanted if unit not in found.done]
  text += f", {len(pending)} runs from now"
  left = time_left.remaining_seconds(grown, pending, dict(known), workers)
  if left is not None:
    text += f", in about {time_left.duration(left)}"
  return [*lines, f"{text}."]


def _check_custom_files(directory, config) -> None:
  """Refuses files of another content than those the study was made from."""
  try:
    info = dataset_info.read_info(directory)
  except errors.StudyError:
    return  # not prepared yet, or damaged, which a launch says
  custom_files.check(config.data, info, directory.root)


def _check_subset_sizes(plan: plan_lib.Plan, num_train: int) -> None:
  """Refuses what a launch would refuse: subsets that fill no batch.

  Raises:
    UsageError: that names the flag.
  """
  config = plan.config
  # Of random sizes a few tell enough for a plan.
  count = min(config.subsets.num_subsets, FEW_SUBSETS)
  sizes = [
    subsets_lib.parse_family(name)
    .in_mask(num_train, count, config.running.seed)
    .sum(axis=1)
    for name in config.all_family_names()
  ]
  smallest = int(min(size.min() for size in sizes))
  try:
    for recipe in plan.recipes.values():
      recipe.check_subset_size(smallest)
    run_outputs.check_subset_sizes(
      config,
      plan.proxies.values(),
      smallest,
      num_train - int(sizes[0].max()),
    )
  except ValueError as error:
    raise errors.UsageError(str(error)) from error


def _precision(config: config_lib.StudyConfig) -> str:
  """The expected precision of a single score, by Newcombe's interval."""
  from memo_tf.estimators import intervals  # needs SciPy

  count, ratio = config.subsets.num_subsets, config.subsets.subset_ratio
  num_in = round(ratio * count)
  widths = []
  for held_out in (0.0, 0.5):
    low, high = intervals.newcombe_interval(
      np.array([1.0]),
      np.array([num_in]),
      np.array([held_out]),
      np.array([count - num_in]),
    )
    widths.append(float(high[0] - low[0]))
  return (
    f"Certainty: with {num_in} runs that saw an example and "
    f"{count - num_in} that did not, a score's 95 % interval is "
    f"{widths[1]:.2f} wide for an ambiguous example (always right when seen, "
    f"half the time when not; --interval_width is about these) and "
    f"{widths[0]:.2f} for one that is never right when not seen."
  )


def _disk(
  plan: plan_lib.Plan,
  found: survey_lib.Survey,
  sizes: tuple[int, int, int] | None,
) -> str:
  """Disk space of the pending runs, estimated from finished ones if any."""
  if found.done:
    totals = [finished.num_bytes for finished in found.done.values()]
    one = sum(totals) / len(totals)
  elif sizes:
    count = sum(sizes[:2])
    asked = plan.config.outputs.score_epochs
    one = BYTES_A_PREDICTION * count + max(
      score_epochs.estimated_bytes(
        len(score_epochs.recorded(asked, recipe)), count
      )
      for recipe in plan.recipes.values()
    )
  else:
    one = 0.0
  recorded = 0
  if sizes and plan.recorded_outputs:
    recorded = run_outputs.estimated_bytes(
      plan.config, plan.recorded_outputs, sizes[0], sizes[2]
    )
  else:  # what another run's records take
    recorded = max(
      (finished.recorded_bytes for finished in found.done.values()), default=0
    )
  number = sum(map(plan.does_record, found.pending))
  megabytes = (one * len(found.pending) + recorded * number) / 1e6
  return f"{megabytes:.1f} MB for the pending runs"
