"""What every launcher does, whatever its scheduler.

1. It takes the flags of `memo_tf.launch`, a few of its own, and prepares the
   study's directory once, before any task could.
2. It sends what is pending as tasks (`tasks.py`), in waves.
3. What is done it reads from the directory, never from the scheduler. A run that
   failed by itself (it left a traceback) has failed; what a dead task left
   undone is sent again, `--task_retries` times.
4. When all has ended it scores and writes the page once, and exits with 1 and a
   table if runs failed.
"""

from collections.abc import Callable
import dataclasses
import pathlib
import re
import shlex
import signal
import sys

from absl import app
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
from memo_tf.store import opening
from memo_tf.store import survey as survey_lib

ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenStudy:
  """A study as a launcher finds it.

  Attributes:
    plan: of this launch; scores and page follow if it is of the whole study.
    directory: where it lies, by an absolute path.
    found: what of the plan is done, pending, damaged.
  """

  plan: plan_lib.Plan
  directory: directory_lib.StudyDirectory
  found: survey_lib.Survey

  def is_done(self, unit: work_units.WorkUnit) -> bool:
    """Whether the directory has all of a unit now."""
    state = self.directory.run_state(unit, check_digests=False)
    return not state.problem and state.has(self.plan.wanted[unit])

  def pending(self) -> list[work_units.WorkUnit]:
    """What is not done now, in the order of the plan."""
    return [unit for unit in self.plan.wanted if not self.is_done(unit)]


def define_flags(values: flags.FlagValues, program: str) -> None:
  """Defines the main job's flags and those of every launcher."""
  flags_lib.define_flags(values, program)
  flags.DEFINE_integer(
    "units_per_task",
    0,
    "Runs of one task, one after the other; its start is paid once. 0: chosen.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "cpus_per_task",
    0,
    "Cores of one task, which runs cores // threads_per_unit runs at a time; 0: "
    "threads_per_unit.",
    lower_bound=0,
    flag_values=values,
  )
  flags.DEFINE_float(
    "gpus_per_task",
    0.0,
    "GPUs of one task; a fraction shares one among several tasks.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "task_retries",
    3,
    "How often what a dead task (killed, its machine lost, out of time) left "
    "undone is sent again.",
    lower_bound=0,
    flag_values=values,
  )


def open_study(
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
  only: list[work_units.WorkUnit],
) -> OpenStudy:
  """Prepares a study's directory, moves damaged runs aside, looks what is done.

  Raises:
    UsageError: if config, units and directory do not fit together.
    StudyError, OSError: if the directory cannot be used.
  """
  config = opening.recorded_config(directory, config)
  plan = plan_lib.Plan.of(config).selected(only)
  opening.open_directory(directory)
  if opening.is_old(directory):
    pending = survey_lib.survey(directory, plan.wanted).pending
    opening.check_extensible(directory, pending)
  # Data are prepared by one process, whatever a run's steps are spread over.
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
  found = survey_lib.survey(directory, plan.wanted)
  for unit, problem in found.damaged.items():
    place = directory.move_aside(unit)
    say(f"{unit.name} is damaged: {problem}. Moved to {place}; run again.")
  planning.check_requirements(directory, plan, found.pending)
  return OpenStudy(plan=plan, directory=directory, found=found)


def look_at_study(
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
  only: list[work_units.WorkUnit],
) -> OpenStudy:
  """What `open_study` would find; writes nothing. For `--dry_run`."""
  config = opening.recorded_config(directory, config)
  plan = plan_lib.Plan.of(config).selected(only)
  return OpenStudy(
    plan=plan,
    directory=directory,
    found=survey_lib.survey(directory, plan.wanted),
  )


def finish(study: OpenStudy, failures: dict[str, str]) -> int:
  """Scores and writes the page, if the study is whole; returns the exit code."""
  if study.plan.is_whole:
    conductor.score_and_show(study.directory, study.plan, failures)
  if failures:
    say(failure_table(failures))
    say(
      f"{len(failures)} of {len(study.plan.wanted)} runs failed; logs and tracebacks "
      f"are under {study.directory.root / 'work'}. The same command tries them "
      "again."
    )
  return program_lib.FAILED if failures else 0


def failure_table(failures: dict[str, str]) -> str:
  """A line a unit: its name and why."""
  width = max(map(len, failures), default=0)
  lines = [f"{'failed':{width}}  why"]
  lines += [f"{name:{width}}  {why}" for name, why in sorted(failures.items())]
  return "\n".join(lines)


def print_waves(
  study: OpenStudy, waves: list[list[tasks_lib.Task]], workers: int
) -> None:
  """Prints the tasks of a dry run, and the command of the first."""
  for number, wave in enumerate(waves):
    for task in wave:
      first, last = task.units[0].name, task.units[-1].name
      count = len(task.units)
      runs = f"{count} run{'s' if count > 1 else ''}"
      print(f"wave {number}  task {task.name}  {runs}: {first} … {last}")
  if waves:
    root = str(study.directory.root)
    print("Each runs, as the first one does:")
    print(
      shown(["python", *tasks_lib.arguments(waves[0][0].units, root, workers)])
    )


def shown(arguments: list[str], most: int = 300) -> str:
  """A command as one would type it, cut where it names many units."""
  text = shlex.join(arguments)
  return text if len(text) <= most else f"{text[:most]}…"


def say(line: str) -> None:
  print(line, file=sys.stderr, flush=True)


def run_program(
  program: str,
  define: Callable[[flags.FlagValues, str], None],
  body: Callable[[Callable], int],
) -> None:
  """Runs a launcher's program; what goes wrong becomes one line and a code.

  Args:
    program: as after `python -m`.
    define: defines its flags.
    body: takes the parsed flags, the config, the directory (of an absolute
      path; None for a dry run without one) and the chosen units; returns the
      exit code.
  """

  def main(unused_argv) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
      signal.signal(number, _on_signal)
    return answer(program, body, flags.FLAGS)

  app.run(main, flags_parser=flags_lib.flag_parser(program, define))


def answer(program: str, body: Callable, values: flags.FlagValues) -> int:
  """`body`'s exit code; what goes wrong is said in one line. See run_program."""
  try:
    if not values.experiment_dir and not values.dry_run:
      raise ValueError(
        "--experiment_dir must name the study's folder, which all machines "
        "see. Received none"
      )
    config = flags_lib.study_config(values)
    only = [work_units.parse_unit(name) for name in values.work_units]
    root = pathlib.Path(values.experiment_dir or "DIR").absolute()
    if re.search(r"[\n,]", str(root)):
      raise ValueError(
        "--experiment_dir may have no comma or line break in its path. "
        f"Received: {root}"
      )
    return body(values, config, directory_lib.StudyDirectory(root), only)
  except ValueError as error:  # UsageError is one
    say(f"{program}: {error}")
    return program_lib.WRONG_USE
  except errors.StudyError as error:
    say(f"{program}: {error}")
    return program_lib.FAILED
  except OSError as error:
    place = values.experiment_dir or ""
    say(f"{program}: {errors.describe_os_error(error, place)}")
    return program_lib.FAILED
  except (_Signalled, SystemError) as error:
    # In a call of compiled code the signal comes out as a SystemError's cause.
    signalled = error.__cause__ if isinstance(error, SystemError) else error
    if not isinstance(signalled, _Signalled):
      raise
    say(
      f"{program}: interrupted. What is finished is kept; the same command "
      "goes on."
    )
    interrupted = signalled.args[0] == signal.SIGINT
    return program_lib.INTERRUPTED if interrupted else program_lib.TERMINATED


class _Signalled(BaseException):
  """A signal asks the program to end."""


def _on_signal(number, frame):
  # Once: a second Ctrl-C must not interrupt the ending.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  raise _Signalled(number)
