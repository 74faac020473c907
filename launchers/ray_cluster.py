"""Runs a study on a Ray cluster: tasks with cores and GPUs, and retries.

    python -m launchers.ray_cluster --flagfile=cifar10.flags \\
        --ray_address=auto --gpus_per_task=0.25

All machines must see the study's folder and memo_tf by the same paths. A task
that dies, with its process or its machine, is sent again with the units that it
left undone. With `--strategy=multi_worker` each run is trained by
`--processes_per_run` processes that Ray places. docs/launchers.md has more.
Other flags:
"""

import collections
import os
import socket

from absl import flags

from launchers import contract
from launchers import ledger as ledger_lib
from launchers import tasks as tasks_lib
from launchers import watch as watch_lib
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.running import planning
from memo_tf.store import directory as directory_lib
from memo_tf.store import time_left

PROGRAM = "launchers.ray_cluster"
CONNECT_SECONDS = 5.0
# "0": Ray on this machine alone uses the loopback address.
LOOPBACK_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def define_flags(values: flags.FlagValues, program: str) -> None:
  """Defines the flags of every launcher and this one's own."""
  contract.define_flags(values, program)
  flags.DEFINE_string(
    "ray_address",
    "auto",
    "HOST:PORT of the cluster; auto: the cluster that this machine is part of; "
    "local: a cluster on this machine, started for this launch.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "processes_per_run",
    2,
    "With --strategy=multi_worker: processes that train a run together, each "
    "with the cores and GPUs of --cpus_per_task and --gpus_per_task.",
    lower_bound=2,
    flag_values=values,
  )


def launch(
  values: flags.FlagValues,
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
  only: list[work_units.WorkUnit],
) -> int:
  """Runs the pending units on the cluster, then scores; returns the exit code.

  Raises:
    UsageError: if flags, study and cluster do not fit together.
    StudyError, OSError: if directory or cluster cannot be used.
  """
  threads = config.running.threads_per_unit
  asked = tasks_lib.resources(
    values.cpus_per_task, values.gpus_per_task, threads
  )
  tasks_lib.check_units_per_task(values.units_per_task)
  processes = 1
  if config.running.strategy == "multi_worker":
    processes = values.processes_per_run
  if values.dry_run:
    return _dry_run(values, config, directory, only, asked, processes)
  ray = _import_ray(values.ray_address)
  _connect(ray, values.ray_address)
  try:
    slots = _slots(ray, asked, processes)
    following: config_lib.StudyConfig | None = config
    while following is not None:  # rounds of a target or a removal
      study = contract.open_study(following, directory, only)
      failures = _run(values, study, asked, processes, slots)
      following = contract.score(study, failures)
  finally:
    ray.shutdown()
  return contract.exit_code(study, failures)


def _run(values, study, asked, processes, slots) -> dict[str, str]:
  """Runs the pending units, wave by wave; returns {unit name: error}."""
  waves = tasks_lib.split(
    study.found.pending,
    study.plan,
    units_per_task=values.units_per_task,
    slots=slots,
  )
  ledger = ledger_lib.Ledger(study, values.task_retries)
  workers = tasks_lib.workers_of(asked, study.plan.config.running)
  watch = watch_lib.Watch(study, slots * workers)
  contract.say(
    f"{len(study.plan.wanted)} runs: {len(study.found.done)} done, "
    f"{len(study.found.pending)} to run in {sum(map(len, waves))} tasks, "
    f"{slots} at a time."
  )
  try:
    for wave in waves:
      _run_wave(wave, study, ledger, watch, asked, processes, slots, workers)
  finally:
    watch.close()
  return ledger.failures


def _run_wave(wave, study, ledger, watch, asked, processes, slots, workers):
  """Runs tasks that do not depend on each other until none is left to try."""
  import ray

  from launchers import ray_tasks

  waiting = collections.deque(
    task for one in wave if (task := ledger.runnable(one))
  )
  watch.failed(ledger.failures)
  running: dict = {}
  # Waiting tasks let an autoscaler scale up and cost little. Placement groups
  # of several processes are requested only as far as they fit.
  most = slots if processes > 1 else max(slots, 1000)
  try:
    while waiting or running:
      while waiting and len(running) < most:
        task = waiting.popleft()
        ledger.sent(task)
        command = ray_tasks.Command(
          tasks_lib.arguments(task.units, str(study.directory.root), workers),
          str(ledger.log_path(task)),
          str(contract.ROOT),
        )
        if processes > 1:
          running[ray_tasks.Group(command, asked, processes)] = task
        else:
          running[ray_tasks.Single(command, asked)] = task
      attempt_of = {
        reference: attempt
        for attempt in running
        for reference in attempt.waits_for()
      }
      ready, _ = ray.wait(list(attempt_of), timeout=1.0)
      for reference in ready:
        attempt = attempt_of[reference]
        attempt.advance(reference)
        if attempt.result is None:
          continue
        task = running.pop(attempt)
        watch.look([task], now=True)
        again = ledger.ended(
          task, attempt.result.problem, hopeless=attempt.result.hopeless
        )
        watch.failed(ledger.failures)
        if again:
          waiting.appendleft(again)
      watch.look(list(running.values()))
  finally:
    for attempt in running:
      attempt.close()


def _dry_run(values, config, directory, only, asked, processes) -> int:
  """Prints what would be sent; asks the cluster only how much fits."""
  study = contract.look_at_study(config, directory, only)
  slots = 0
  if not values.units_per_task:
    ray = _import_ray(values.ray_address)
    _connect(ray, values.ray_address)
    try:
      slots = _slots(ray, asked, processes)
    finally:
      ray.shutdown()
  waves = tasks_lib.split(
    study.found.pending,
    study.plan,
    units_per_task=values.units_per_task,
    slots=slots,
  )
  workers = tasks_lib.workers_of(asked, study.plan.config.running)
  each = f"{asked.cpus} CPU, {asked.gpus:g} GPU"
  if processes > 1:
    each = f"{processes} processes of {each}"
  print(
    f"Ray at {values.ray_address}: {len(study.found.pending)} of "
    f"{len(study.plan.wanted)} runs in {sum(map(len, waves))} tasks; each "
    f"{each}" + (f"; {slots} fit at a time." if slots else ".")
  )
  contract.print_waves(study, waves, workers)
  known = time_left.seconds_a_run(study.found.done)
  left = time_left.remaining_seconds(
    study.plan, study.found.pending, known, max(slots * workers, 1)
  )
  if left is not None and slots:
    print(f"About {time_left.duration(left)}, from finished runs.")
  for line in planning.target_lines(
    study.plan, directory, study.found, known, max(slots * workers, 1)
  ):
    print(line)
  return 0


def _import_ray(address: str):
  if address == "local":
    # Ray listens on every address of the machine unless it is told, before it
    # is loaded, that no other machine will join: by a variable whose name is
    # that of the systems on which this is the default.
    os.environ.setdefault(LOOPBACK_VARIABLE, "0")
    # Other users of this machine reach these ports, and need a token then.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
  try:
    import ray
  except ImportError as error:
    raise errors.UsageError(
      "Ray is not installed: pip install 'memo_tf[ray]', or "
      "pip install -r requirements-ray.txt"
    ) from error
  return ray


def _connect(ray, address: str) -> None:
  """Connects to the cluster.

  Raises:
    UsageError: if there is none at the address.
  """
  # Ray reports usage of clusters that it starts unless told not to.
  os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
  quiet = {"log_to_driver": False, "logging_level": "ERROR"}
  if address == "local":
    # Its ports are then those of 127.0.0.1 (see docs/launchers.md).
    ray.init(address="local", include_dashboard=False, **quiet)
    return
  if address != "auto":
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit() or not host:
      raise errors.UsageError(
        "--ray_address must be auto, local or HOST:PORT. "
        f"Received: --ray_address={address}"
      )
    try:
      socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
      raise errors.UsageError(
        f"no answer from --ray_address={address} ({error}). `ray status` "
        "on the cluster's first machine shows its address"
      ) from error
  try:
    ray.init(address=address, **quiet)
  except (ConnectionError, RuntimeError, ValueError) as error:
    reason = " ".join(str(error).split())[:200]
    raise errors.UsageError(
      f"no Ray cluster at --ray_address={address} ({reason}). Start one with "
      "`ray start --head`, or give --ray_address=local"
    ) from error


def _slots(ray, asked: tasks_lib.Resources, processes: int) -> int:
  """How many tasks fit on the cluster at a time.

  Raises:
    UsageError: if none fits.
  """
  nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
  places = [
    tasks_lib.fitting(asked, node.get("CPU", 0.0), node.get("GPU", 0.0))
    for node in nodes
  ]
  slots = sum(places) // processes
  if not slots:
    has = "; ".join(
      f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU"
      for node in nodes
    )
    raise errors.UsageError(
      f"no task fits on the cluster: it would need {processes} x "
      f"({asked.cpus} CPU, {asked.gpus:g} GPU), and the machines have {has}. "
      "Change --cpus_per_task or --gpus_per_task"
    )
  return slots


def main() -> None:
  """The program."""
  contract.run_program(PROGRAM, define_flags, launch)


if __name__ == "__main__":
  main()
