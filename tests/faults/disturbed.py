"""A small study under faults: its folder, its launches, what it must keep."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from tests.support import small_study

HERE = pathlib.Path(__file__).resolve().parent
GROUP = f"{small_study.MODEL}/one_hot/r0.70"
# A user without root's rights to write. That to read is kept: this machine's
# Python may lie where only root may look.
AS_NOBODY = (
  "setpriv",
  "--reuid=65534",
  "--regid=65534",
  "--clear-groups",
  "--inh-caps=+dac_read_search",
  "--ambient-caps=+dac_read_search",
  "--bounding-set=-all,+dac_read_search",
)
# Those of the shared study "four".
CHANGES = {"num_subsets": 4, "workers": 1}


@dataclasses.dataclass
class Ended:
  """How a launch ended: its exit status and all that it printed."""

  code: int
  text: str


class Study:
  """A folder with a study in some state, and launches of it.

  Args:
    folder: where; a copy of the reference, cut down to `state`.
    reference: the undisturbed study, of four runs.
    state: new (nothing is there), prepared (data set and subsets), half (two
      of four runs) or finished.
  """

  def __init__(self, folder: pathlib.Path, reference: pathlib.Path, state: str):
    self.folder = folder
    self.preload: pathlib.Path | None = None
    self._cleanups = []
    if state == "new":
      return
    shutil.copytree(reference, folder)
    if state != "finished":
      for name in ("scores", "report", "work"):
        shutil.rmtree(folder / name)
      (folder / "digests.json").unlink()
      for index in range(2 if state == "half" else 0, 4):
        shutil.rmtree(self.run(index))

  def run(self, index: int) -> pathlib.Path:
    return self.folder / "runs" / GROUP / f"{index:05d}"

  def work(self, index: int) -> pathlib.Path:
    return self.folder / "work" / GROUP / f"{index:05d}"

  def start(
    self, *, environment=None, wrapper=(), before=None, **changes
  ) -> subprocess.Popen:
    """Starts a launch.

    Args:
      environment: variables added.
      wrapper: a command in front.
      before: called in the child before it becomes the launch.
      **changes: of the flags.
    """
    command = small_study.command(self.folder, **{**CHANGES, **changes})
    return subprocess.Popen(
      [*wrapper, *command],
      cwd=small_study.ROOT,
      env={**small_study.environment(), **(environment or {})},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      start_new_session=True,
      preexec_fn=before,  # noqa: PLW1509
    )

  def launch(self, **options) -> Ended:
    return self.end(self.start(**options))

  @staticmethod
  def end(process: subprocess.Popen) -> Ended:
    text, _ = process.communicate(timeout=400)
    return Ended(process.returncode, text)

  def doctor(self, *more: str) -> Ended:
    """`memo_tf.status --check`."""
    done = subprocess.run(
      [
        sys.executable,
        "-m",
        "memo_tf.status",
        f"--experiment_dir={self.folder}",
        "--check",
        *more,
      ],
      cwd=small_study.ROOT,
      env=small_study.environment(),
      capture_output=True,
      text=True,
      check=False,
    )
    return Ended(done.returncode, done.stdout + done.stderr)

  def when_a_run_is_trained(self, process: subprocess.Popen) -> None:
    """Waits until a further run is at work with an epoch behind it."""
    small_study.wait_for(
      lambda: (
        process.poll() is not None
        or list((self.folder / "work").rglob("checkpoint.npz"))
      )
    )

  def in_mid_run(self, disturb, **options) -> Ended:
    """Starts a launch, and disturbs it within a run."""
    process = self.start(**options)
    self.when_a_run_is_trained(process)
    disturb(process)
    return self.end(process)

  def mount(self, path: pathlib.Path, size: str) -> None:
    """A small file system of its own at `path`, until the test ends."""
    path.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))
    self._cleanups.append(lambda: _run("umount", "-l", str(path)))

  def enlarge(self, path: pathlib.Path) -> None:
    _run("mount", "-o", "remount,size=64m", str(path))

  def mount_read_only(self) -> None:
    _run("mount", "--bind", str(self.folder), str(self.folder))
    self._cleanups.append(lambda: _run("umount", "-l", str(self.folder)))
    _run("mount", "-o", "remount,ro,bind", str(self.folder))

  def mount_writable(self) -> None:
    _run("mount", "-o", "remount,rw,bind", str(self.folder))

  def close(self) -> None:
    for cleanup in reversed(self._cleanups):
      cleanup()

  def healthy(self) -> dict[str, int]:
    """Each run that is whole, by its predictions' time of change."""
    directory = directory_lib.StudyDirectory(self.folder)
    found = {}
    for path in small_study.finished_runs(self.folder):
      name = str(path.parent.relative_to(directory.root / "runs"))
      state = directory.run_state(
        work_units.parse_unit(name), check_digests=True
      )
      if state.record and not state.missing:
        predictions = path.with_name(directory_lib.PREDICTIONS)
        found[name] = predictions.stat().st_mtime_ns
    return found

  def leftovers(self) -> list[pathlib.Path]:
    return list(self.folder.rglob(".*~*~*"))


def build_preload(folder: pathlib.Path) -> pathlib.Path:
  """Compiles preload.c.

  Raises:
    FileNotFoundError: if there is no C compiler.
  """
  compiler = shutil.which("cc") or shutil.which("gcc")
  if not compiler:
    raise FileNotFoundError("cc")
  target = folder / "preload.so"
  _run(
    compiler,
    "-shared",
    "-fPIC",
    "-O1",
    "-o",
    str(target),
    str(HERE / "preload.c"),
    "-ldl",
  )
  return target


def flip(path: pathlib.Path, place: int | None = None) -> None:
  """Flips a bit and keeps the time of change: as a disk does."""
  times = path.stat()
  content = bytearray(path.read_bytes())
  content[len(content) // 2 if place is None else place] ^= 4
  path.write_bytes(content)
  os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def truncate(path: pathlib.Path) -> None:
  os.truncate(path, path.stat().st_size // 2)


def kill_one_worker(process: subprocess.Popen) -> None:
  os.kill(small_study.children_of(process.pid)[0], signal.SIGKILL)


def kill_all(process: subprocess.Popen) -> None:
  for pid in [*small_study.children_of(process.pid), process.pid]:
    with contextlib.suppress(ProcessLookupError):
      os.kill(pid, signal.SIGKILL)


def _run(*command: str) -> None:
  subprocess.run(command, check=True, capture_output=True, text=True)
