"""Runs tasks on this machine, in processes of one thread each, from a queue.

Two processes of one thread train faster than one of two
(benchmarks/training.py), and one thread repeats to the bit. The processes die
with this one: their standard input is a pipe that only this process holds.
No TensorFlow here: the parent stays small and safe to signal.
"""

import collections
from collections.abc import Iterator
import dataclasses
import json
import os
import pathlib
import selectors
import tempfile
from typing import Protocol

from memo_tf.experiment import errors
from memo_tf.processes import child
from memo_tf.processes import environment as environment_lib
from memo_tf.running import accelerators

WORKER = "memo_tf.running.worker"
# How often a task other than a unit is retried after its worker died.
DEATH_RETRIES = 1


@dataclasses.dataclass(frozen=True)
class Event:
  """Something that happened to a task.

  Attributes:
    kind: `started`, `epoch` or `expected` (news of a task at work), `done`,
      `retry` (it failed and will be tried again), `failed` (for good) or `tick`
      (nothing for a while).
    task: the task, or None for a tick.
    content: the worker's message.
  """

  kind: str
  task: dict | None
  content: dict


class Tasks(Protocol):
  """A source of tasks for `WorkerPool.run`; it may choose their order."""

  def __len__(self) -> int:
    """How many tasks were not given out, or were put back."""
    ...

  def next(self) -> dict | None:
    """A task, or None if there is none at the moment."""
    ...

  def put_back(self, task: dict) -> None:
    """Takes a task that failed, to be tried again after the others."""
    ...


class TaskQueue:
  """Tasks in order."""

  def __init__(self, tasks: list[dict]):
    self._waiting = collections.deque(tasks)

  def __len__(self) -> int:
    """How many tasks were not given out, or were put back."""
    return len(self._waiting)

  def next(self) -> dict | None:
    """A task, or None if there is none at the moment."""
    return self._waiting.popleft() if self._waiting else None

  def put_back(self, task: dict) -> None:
    """Takes a task that failed, to be tried again after the others."""
    self._waiting.append(task)


def number_of_workers(running) -> int:
  """How many processes a `config.RunningConfig` asks for.

  By default one per GPU, or without GPUs one per `threads_per_unit` cores that
  this process may use; one if each run is itself spread over devices or
  processes.
  """
  if running.strategy == "multi_worker":
    return 1
  if running.workers:
    return running.workers
  if running.strategy == "mirrored":
    return 1
  gpus = accelerators.visible_gpus()
  return len(gpus) or max(
    1, len(os.sched_getaffinity(0)) // running.threads_per_unit
  )


class WorkerPool:
  """Worker processes; use as a context manager, which ends them.

  Args:
    num_workers: how many processes.
    setup: the first task of each, with the config and the directory.
    threads: of each process.
    log_path: the log of what they print before they get a unit.
    strategy: under which they train; with one_device each gets its own GPU.
  """

  def __init__(
    self,
    num_workers: int,
    setup: dict,
    *,
    threads: int,
    log_path: pathlib.Path | None,
    strategy: str = "one_device",
  ):
    self._setup = {"task": "setup", **setup}
    self._threads = threads
    self._log_path = log_path
    self._selector = selectors.DefaultSelector()
    self._workers: list[child.Child] = []
    self._num_workers = num_workers
    self._strategy = strategy
    self._gpus = accelerators.visible_gpus()
    # Workers are killed, also by `close`, and so delete no files of their own.
    self._temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

  def __enter__(self) -> "WorkerPool":
    return self

  def __exit__(self, *unused) -> None:
    self.close()

  def close(self) -> None:
    """Ends every worker now, whatever it is doing."""
    for worker in self._workers:
      worker.close()
    self._workers.clear()
    self._selector.close()
    self._temporary.cleanup()

  # Over 60 lines: one loop over what the workers say, whose branches share its
  # counts of running and failed tasks.
  def run(
    self,
    tasks: list[dict] | Tasks,
    *,
    tick: float = 1.0,
    retries: int | None = None,
  ) -> Iterator[Event]:
    """Runs tasks until all are done or failed; yields what happens.

    Dead workers, and workers that ask for a restart, are replaced. A failure
    that the worker calls fatal raises.

    Args:
      tasks: in order, or a queue that chooses.
      tick: seconds after which an event says that nothing happened.
      retries: how often a task that failed, or whose worker died, is tried
        again. By default only the latter, once.

    Raises:
      StudyError: if a task fails in a way that would fail them all.
    """
    waiting: Tasks = TaskQueue(tasks) if isinstance(tasks, list) else tasks
    attempts: collections.Counter = collections.Counter()

    def failed(task: dict, content: dict, again: int) -> Event:
      identity = json.dumps(task, sort_keys=True)
      attempts[identity] += 1
      if content.get("damaged") or attempts[identity] > again:
        return Event("failed", task, content)
      waiting.put_back(task)
      return Event("retry", task, content)

    running = 0
    while len(waiting) or running:
      while len(self._workers) < min(self._num_workers, running + len(waiting)):
        self._start_worker()
      for worker in self._workers:
        if worker.task is None and (task := waiting.next()):
          worker.give(task)
          running += 1
          yield Event("started", task, {})
      ready = self._selector.select(timeout=tick)
      if not ready:
        yield Event("tick", None, {})
      for key, _ in ready:
        worker = key.data
        for message in worker.read():
          if message["event"] in ("epoch", "expected"):
            yield Event(message["event"], worker.task, message)
            continue
          if worker.setting_up:
            worker.setting_up = False
            if message["event"] == "failed":
              raise errors.StudyError(message["error"])
            continue
          task, worker.task = worker.task, None
          running -= 1
          if message.get("fatal"):
            raise errors.StudyError(
              f"{task.get('unit', task['task'])}: {message['error']}"
            )
          if message["event"] == "failed":
            if message.get("restart"):
              self._end_worker(worker)
            yield failed(task, message, retries or 0)
          else:
            yield Event(message["event"], task, message)
        if worker.ended and worker in self._workers:
          self._selector.unregister(worker.results)
          self._workers.remove(worker)
          code = worker.wait()
          task = worker.task
          if task is None:
            continue
          running -= 1
          content = {"error": child.death(code), "traceback": ""}
          yield failed(
            task, content, DEATH_RETRIES if retries is None else retries
          )

  def _start_worker(self) -> None:
    taken = {worker.index for worker in self._workers}
    index = next(i for i in range(self._num_workers) if i not in taken)
    variables = {
      **environment_lib.environment(self._threads),
      **accelerators.environment(self._gpus, index, self._strategy),
      "TMPDIR": self._temporary.name,
    }
    worker = child.Child(WORKER, self._setup, variables, self._log_path, index)
    self._selector.register(worker.results, selectors.EVENT_READ, worker)
    self._workers.append(worker)

  def _end_worker(self, worker: child.Child) -> None:
    self._selector.unregister(worker.results)
    self._workers.remove(worker)
    worker.close()
