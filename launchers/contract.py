"""What every launcher does, whatever its scheduler.

1. It takes the flags of `memo_tf.launch` and a few of its own, and prepares the
   study's directory once, before any task starts.
2. It sends the pending units as tasks (`tasks.py`), in waves.
3. It reads from the directory which units are done, never from the scheduler. A
   run that left a traceback has failed; the units that a dead task left undone
   are sent again, `--task_retries` times.
4. When all tasks have ended it scores and writes the page once. If runs failed
   it prints a table of them and exits with 1. With `--target_ci_width` it
   starts again at 1 until the target is reached, if the launcher can.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import pathlib
import re
import shlex
import sys

from absl import flags

from launchers import tasks as tasks_lib
from memo_tf.cli import flags as flags_lib
from memo_tf.cli import program as program_lib
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.running import conductor
from memo_tf.running import planning
from memo_tf.running import preparation
from memo_tf.running import progress as progress_lib
from memo_tf.running import worker_pool
from memo_tf.store import directory as directory_lib
from memo_tf.store import environments
from memo_tf.store import opening
from memo_tf.store import selections
from memo_tf.store import survey as survey_lib

ROOT = pathlib.Path(__file__).resolve().parents[1]
# A launcher's program: (flags, config, directory, chosen units) -> exit code.
Body = Callable[
  [
    flags.FlagValues,
    config_lib.StudyConfig,
    directory_lib.StudyDirectory,
    list[work_units.WorkUnit],
  ],
  int,
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenStudy:
  """A study as a launcher finds it.

  Attributes:
    plan: of this launch; scores and page follow if it is of the whole study.
    directory: of the study, by an absolute path.
    found: which units of the plan are done, pending or damaged.
  """

  plan: plan_lib.Plan
  directory: directory_lib.StudyDirectory
  found: survey_lib.Survey

  def is_done(self, unit: work_units.WorkUnit) -> bool:
    """Whether the directory now has all outputs that a unit must have."""
    state = self.directory.run_state(unit, check_digests=False)
    return not state.problem and state.has(self.plan.wanted[unit])

  def pending(self) -> list[work_units.WorkUnit]:
    """The units that are not done yet, in the order of the plan."""
    return [unit for unit in self.plan.wanted if not self.is_done(unit)]


def define_flags(values: flags.FlagValues, program: str) -> None:
  """Defines the main job's flags and those of every launcher."""
  flags_lib.define_flags(values, program)
  flags.DEFINE_integer(
    "units_per_task",
    0,
    "Runs per task, done one after the other so that TensorFlow starts only "
    "once; 0: chosen automatically.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "cpus_per_task",
    0,
    "Cores per task, which does cores // threads_per_unit runs at a time; 0: "
    "threads_per_unit.",
    lower_bound=0,
    flag_values=values,
  )
  flags.DEFINE_float(
    "gpus_per_task",
    0.0,
    "GPUs per task; a fraction shares a GPU among several tasks.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "task_retries",
    3,
    "How often the units that a dead task (killed, out of time, or on a lost "
    "machine) left undone are sent again.",
    lower_bound=0,
    flag_values=values,
  )


def open_study(
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
  only: list[work_units.WorkUnit],
) -> OpenStudy:
  """Prepares a study's directory, moves damaged runs aside, finds what is done.

  Raises:
    UsageError: if config, units and directory do not fit together.
    StudyError, OSError: if the directory cannot be used.
  """
  config = opening.recorded_config(directory, config)
  plan = _plan(config, directory, only)
  opening.open_directory(directory)
  if opening.is_old(directory):
    pending = survey_lib.survey(directory, plan).pending
    opening.check_extensible(directory, pending)
  say(f"Study: {directory.root}")
  # One process prepares the data, even if several train a run together.
  alone = dataclasses.replace(
    config,
    running=dataclasses.replace(
      config.running, strategy="one_device", cpu_devices=1
    ),
  )
  setup = {"config": alone.to_json(), "experiment_dir": str(directory.root)}
  log = directory.root / "work" / "workers.log"
  threads = config.running.threads_per_unit
  with worker_pool.WorkerPool(1, setup, threads=threads, log_path=log) as pool:
    what = f"Preparing the data set {config.data.dataset}"
    waited = progress_lib.Waiting(what, log, say)
    preparation.prepare(directory, plan, pool, waited)
  found = survey_lib.usable(directory, plan)
  for unit, problem in found.damaged.items():
    place = directory.move_aside(unit)
    say(
      f"{unit.name} is damaged: {problem}. Moved to {place}; will be run again."
    )
  planning.check_requirements(directory, plan, found.pending)
  if found.pending:
    # Tasks run on other machines than this one, and compare theirs.
    text = environments.check_change(
      directory, environments.current(), config, same_machine=False
    )
    if text:
      say(f"Warning: {text}")
  return OpenStudy(plan=plan, directory=directory, found=found)


def look_at_study(
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
  only: list[work_units.WorkUnit],
) -> OpenStudy:
  """What `open_study` would find; writes nothing. For `--dry_run`."""
  config = opening.recorded_config(directory, config)
  plan = _plan(config, directory, only)
  return OpenStudy(
    plan=plan,
    directory=directory,
    found=survey_lib.survey(directory, plan),
  )


def _plan(config, directory, only) -> plan_lib.Plan:
  """The plan of a launch.

  Raises:
    UsageError: if `only` names units that it does not have.
    StudyError: if the selection of a removal is damaged.
  """
  plan = selections.plan(directory, config)
  if only:
    from memo_tf.running import removing

    removing.check_selected(only, config, plan)
  return plan.selected(only)


def finish(study: OpenStudy, failures: dict[str, str]) -> int:
  """Scores and writes the page of a whole study; returns the exit code."""
  if score(study, failures) is not None:
    say("Rerun the same command to send the runs of the removal.")
  return exit_code(study, failures)


def score(
  study: OpenStudy, failures: dict[str, str]
) -> config_lib.StudyConfig | None:
  """Scores a whole study, and writes its page unless it has more rounds.

  Returns:
    The settings with which to open it for a further round; None: it is done.
  """
  if not study.plan.is_whole:
    return None
  following = conductor.score_and_show(study.directory, study.plan, failures)
  return following.config if following else None


def exit_code(study: OpenStudy, failures: dict[str, str]) -> int:
  """The exit code; prints the failures, if there are any."""
  if failures:
    say(failure_table(failures))
    say(
      f"{len(failures)} of {len(study.plan.wanted)} runs failed; logs and "
      f"tracebacks are under {study.directory.root / 'work'}. Rerun the same "
      "command to retry them."
    )
  return program_lib.FAILED if failures else 0


def failure_table(failures: dict[str, str]) -> str:
  """One line per failed unit: its name and the reason."""
  width = max(map(len, failures), default=0)
  lines = [f"{'failed':{width}}  why"]
  lines += [f"{name:{width}}  {why}" for name, why in sorted(failures.items())]
  return "\n".join(lines)


def print_waves(
  study: OpenStudy, waves: list[list[tasks_lib.Task]], workers: int
) -> None:
  """Prints the tasks of a dry run and the command of the first one."""
  for number, wave in enumerate(waves):
    for task in wave:
      first, last = task.units[0].name, task.units[-1].name
      count = len(task.units)
      runs = f"{count} run{'s' if count > 1 else ''}"
      print(f"wave {number}  task {task.name}  {runs}: {first} … {last}")
  if waves:
    root = str(study.directory.root)
    print("Command of the first task (the others differ in their units):")
    print(
      shown(["python", *tasks_lib.arguments(waves[0][0].units, root, workers)])
    )


def shown(arguments: list[str], most: int = 300) -> str:
  """A command as typed in a shell, cut short if it names many units."""
  text = shlex.join(arguments)
  return text if len(text) <= most else f"{text[:most]}…"


say = program_lib.say


def run_program(
  program: str,
  define: Callable[[flags.FlagValues, str], None],
  body: Body,
) -> None:
  """Runs a launcher's program; an error becomes one line and an exit code.

  Args:
    program: its module, as after `python -m`.
    define: defines its flags.
    body: takes the parsed flags, the config, the study's directory (an absolute
      path) and the chosen units; returns the exit code.
  """
  program_lib.run_program(
    program, define, lambda values: _call(body, values, sys.argv[1:])
  )


def answer(
  program: str,
  body: Body,
  values: flags.FlagValues,
  arguments: Sequence[str] = (),
) -> int:
  """Returns the exit code of `body`; see `run_program`.

  Args:
    program: as for `run_program`.
    body: as for `run_program`.
    values: the parsed flags.
    arguments: the command line, which gives the study its default folder.
  """
  return program_lib.answer(
    program, lambda values: _call(body, values, arguments), values
  )


def _call(
  body: Body, values: flags.FlagValues, arguments: Sequence[str]
) -> int:
  asked = flags_lib.request(values, arguments)
  root = pathlib.Path(asked.root).absolute()
  if re.search(r"[\n,]", str(root)):
    raise errors.UsageError(
      "--experiment_dir may have no comma or line break in its path. "
      f"Received: {root}"
    )
  directory = directory_lib.StudyDirectory(root)
  return body(values, asked.config, directory, asked.units)
