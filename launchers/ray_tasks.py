"""One attempt at a task on a Ray cluster: a single process, or several peers.

Ray gives each process its cores and GPUs; the process runs the command of
`tasks.arguments` as a child that dies with it. The caller drives an attempt:
`waits_for()` returns Ray references, `advance()` takes one that is ready, and
`result` is set when the attempt has ended.
"""

import dataclasses
import json
import signal

import ray
from ray import util as ray_util
from ray.util import scheduling_strategies

from launchers import tasks as tasks_lib


@dataclasses.dataclass(frozen=True)
class Result:
  """How an attempt ended.

  Attributes:
    problem: why it died; None if its command ended by itself.
    hopeless: whether another attempt would end in the same way.
  """

  problem: str | None
  hopeless: bool = False


@dataclasses.dataclass(frozen=True)
class Command:
  """The command that a process of a task runs.

  Attributes:
    arguments: of `python`.
    log: path of the file to which output is appended.
    root: the folder that contains memo_tf, the same on all machines.
  """

  arguments: list[str]
  log: str
  root: str


def options(asked: tasks_lib.Resources) -> dict:
  """The resources of one process, as Ray's options."""
  return {"num_cpus": asked.cpus, "num_gpus": asked.gpus}


class Single:
  """A task in one process."""

  def __init__(self, command: Command, asked: tasks_lib.Resources):
    # The ledger retries, since it knows which units are left.
    remote = ray.remote(max_retries=0, **options(asked))(_run)
    self._reference = remote.remote(command, {})
    self.result: Result | None = None

  def waits_for(self) -> list[ray.ObjectRef]:
    """The references to wait for."""
    return [self._reference]

  def advance(self, reference: ray.ObjectRef) -> None:
    """Takes a reference that is ready."""
    try:
      self.result = _result(ray.get(reference))
    except ray.exceptions.RayError as error:
      self.result = Result(_brief(error))

  def close(self) -> None:
    """Ends the attempt if it is still running."""
    if self.result is None:
      ray.cancel(self._reference, force=True)


class Group:
  """A task whose runs are each trained by several processes together.

  A placement group starts all processes or none. Each reports its address, the
  addresses make TF_CONFIG, and all run the same command. As soon as one process
  is gone, all are ended: the others could only wait for it.
  """

  def __init__(
    self, command: Command, asked: tasks_lib.Resources, processes: int
  ):
    self._command, self._asked = command, asked
    bundle = {"CPU": asked.cpus} | ({"GPU": asked.gpus} if asked.gpus else {})
    self._places = ray_util.placement_group([bundle] * processes)
    self._members: list = []
    self._addresses: dict = {}
    self._running: dict = {}
    self._open = [self._places.ready()]
    self.result: Result | None = None

  def waits_for(self) -> list[ray.ObjectRef]:
    """The references to wait for."""
    return list(self._open)

  def advance(self, reference: ray.ObjectRef) -> None:
    """Takes a reference that is ready."""
    self._open.remove(reference)
    try:
      value = ray.get(reference)
    except ray.exceptions.RayError as error:
      self._end(Result(_brief(error)))
      return
    if reference in self._running:
      result = _result(value)
      if result.problem or len(self._running) == 1:
        self._end(result)
      del self._running[reference]
    elif reference in self._addresses:
      self._addresses[reference] = value
      if all(self._addresses.values()):
        self._start()
    else:
      self._meet()

  def close(self) -> None:
    """Ends the attempt if it is still running."""
    if self.result is None:
      self._end(Result("ended"))

  def _meet(self) -> None:
    for i in range(self._places.bundle_count):
      member = _Member.options(  # type: ignore[attr-defined]
        **options(self._asked),
        max_restarts=0,
        scheduling_strategy=scheduling_strategies.PlacementGroupSchedulingStrategy(
          self._places, placement_group_bundle_index=i
        ),
      ).remote()
      self._members.append(member)
      self._addresses[member.address.remote()] = None
    self._open += self._addresses

  def _start(self) -> None:
    cluster = {"worker": list(self._addresses.values())}
    for i, member in enumerate(self._members):
      content = {"cluster": cluster, "task": {"type": "worker", "index": i}}
      command = self._command
      if i:  # the first process writes the task's own log
        command = dataclasses.replace(command, log=f"{command.log}.{i}")
      variables = {"TF_CONFIG": json.dumps(content)}
      self._running[member.run.remote(command, variables)] = i
    self._open += self._running

  def _end(self, result: Result) -> None:
    for member in self._members:
      ray.kill(member)
    ray_util.remove_placement_group(self._places)
    self._open = []
    self.result = result


def _run(command, variables: dict[str, str]) -> int:
  """Runs a command on the machine that Ray chose; returns its exit status."""
  import ctypes
  import os
  import pathlib
  import subprocess
  import sys

  # Loaded before the fork. 1 is PR_SET_PDEATHSIG and 9 is SIGKILL: if Ray kills
  # this process, the command and its workers end too and release their units.
  c_library = ctypes.CDLL(None)
  paths = [command.root, os.environ.get("PYTHONPATH", "")]
  environment = {
    **os.environ,
    **variables,
    "PYTHONPATH": os.pathsep.join(path for path in paths if path),
  }
  pathlib.Path(command.log).parent.mkdir(parents=True, exist_ok=True)
  with open(command.log, "ab") as log:
    return subprocess.run(
      [sys.executable, *command.arguments],
      stdin=subprocess.DEVNULL,
      stdout=log,
      stderr=log,
      cwd=command.root,
      env=environment,
      preexec_fn=lambda: c_library.prctl(1, 9),
      check=False,
    ).returncode


@ray.remote
class _Member:
  """One of the processes that train a run together."""

  def address(self) -> str:
    """A free host:port of this process for its peers."""
    import socket

    host = ray_util.get_node_ip_address()
    with socket.socket() as probe:
      probe.bind(("", 0))
      return f"{host}:{probe.getsockname()[1]}"

  def run(self, command, variables: dict[str, str]) -> int:
    return _run(command, variables)


def _result(code: int) -> Result:
  """The result of a task whose command ended with an exit status."""
  if code < 0:
    return Result(f"killed by signal {-code} ({_signal_name(-code)})")
  if code in (130, 143):
    return Result("it was asked to end")
  if code == 0:
    return Result(None)
  return Result(f"exit status {code}", hopeless=code == 2)


def _signal_name(number: int) -> str:
  try:
    return signal.Signals(number).name
  except ValueError:
    return "?"


def _brief(error: Exception) -> str:
  """The first line of Ray's message."""
  kind = type(error).__name__
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  return f"Ray: {kind}: {lines[0][:200]}" if lines else f"Ray: {kind}"
