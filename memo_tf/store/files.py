"""Atomic writing of files and folders, and their digests."""

from collections.abc import Collection
from collections.abc import Iterator
import contextlib
import errno
import functools
import itertools
import os
import pathlib
import re
import shutil
import socket
import stat
import uuid

import xxhash


def digest_bytes(content) -> str:
  """The digest of a buffer: 128-bit xxHash, in hex."""
  return xxhash.xxh3_128_hexdigest(content)


def digest_file(path: str | os.PathLike) -> str:
  """`digest_bytes` of a file's content."""
  hasher = xxhash.xxh3_128()
  with open(path, "rb") as file:
    while block := file.read(1 << 20):
      hasher.update(block)
  return hasher.hexdigest()


def private_name(path: pathlib.Path) -> pathlib.Path:
  """A sibling of `path` that no other process uses."""
  return path.with_name(
    f".{path.name}~{host_name()}~{os.getpid()}~{uuid.uuid4().hex[:8]}"
  )


def host_name() -> str:
  """This host's name for the names of files, until it is started again.

  Processes are judged by their numbers only where this is the same. Machines
  may share a name, and clones also the machine's id; the id of the boot differs
  between any two. Containers of one machine share it, and each counts processes
  on its own.
  """
  name = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname()) or "host"
  try:
    name += f"{os.stat('/proc/self/ns/pid').st_ino % 100_000}"
  except OSError:  # not Linux
    pass
  return name + digest_bytes(_boot_id().encode())[:8]


@functools.cache
def _boot_id() -> str:
  """An id of this machine since it was started; else of the machine."""
  for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
    with contextlib.suppress(OSError, UnicodeDecodeError):
      if found := pathlib.Path(path).read_text().strip():
        return found
  return str(uuid.getnode())


def write_atomic(path: pathlib.Path, content: bytes | str) -> None:
  """Writes a file so that readers see the old one or the whole new one."""
  if isinstance(content, str):
    content = content.encode()
  path.parent.mkdir(parents=True, exist_ok=True)
  private = private_name(path)
  try:
    with open(private, "wb") as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(private, path)
    _sync_folder(path.parent)
  except BaseException as error:
    with contextlib.suppress(OSError):
      private.unlink(missing_ok=True)
    if isinstance(error, OSError) and not error.filename:
      error.filename = str(path)
    raise


def create(path: pathlib.Path, content: bytes | str) -> None:
  """Writes a new file, whole or not at all.

  Raises:
    FileExistsError: if there is one; it is left as it is.
    OSError: if it cannot be written.
  """
  private = private_name(path)
  write_atomic(private, content)
  try:
    os.link(private, path)
    _sync_folder(path.parent)
  except FileExistsError:
    raise
  except OSError:  # a file system without links
    with open(path, "xb") as file:
      file.write(private.read_bytes())
      file.flush()
      os.fsync(file.fileno())
  finally:
    private.unlink(missing_ok=True)


def left_by_the_dead(folder, *entries: list[str]) -> list[pathlib.Path]:
  """Private entries of a folder whose process, on this host, has ended."""
  found = []
  for name in itertools.chain(*entries):
    parts = name.rsplit("~", 3)
    if (
      len(parts) == 4
      and name.startswith(".")
      and parts[1] == host_name()
      and parts[2].isdigit()
      and not is_alive(int(parts[2]))
    ):
      found.append(pathlib.Path(folder, name))
  return found


@contextlib.contextmanager
def published(
  target: pathlib.Path, *, replace: bool = False
) -> Iterator[pathlib.Path]:
  """Yields a private folder that becomes `target` at the end of the block.

  The folder appears at `target` whole and on disk, or not at all: if the block
  raises, it is removed.

  Args:
    target: the folder to make.
    replace: whether an existing `target` is replaced. If not, and another
      process has published it meanwhile, that folder stays and this one is
      removed (both hold the same content).

  Raises:
    OSError: if it cannot be written or renamed.
  """
  with private_folder(target) as private:
    yield private
    if replace and target.is_dir():
      old = private_name(target)
      os.rename(target, old)
      publish(private, target)
      shutil.rmtree(old)
    else:
      publish(private, target)


@contextlib.contextmanager
def private_folder(target: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a new folder beside `target`; removes it if it was not renamed."""
  private = private_name(target)
  private.mkdir(parents=True)
  try:
    yield private
  finally:
    shutil.rmtree(private, ignore_errors=True)


def publish(private: pathlib.Path, target: pathlib.Path) -> bool:
  """Renames a finished private folder into place, after syncing it to disk.

  Returns:
    Whether it was renamed; False if another process was first, in which case
    the private folder is removed.
  """
  target.parent.mkdir(parents=True, exist_ok=True)
  _sync_tree(private)
  try:
    os.rename(private, target)
  except OSError:
    if not target.is_dir():
      raise
    shutil.rmtree(private)
    return False
  _sync_folder(target.parent)
  return True


def _sync_tree(folder: pathlib.Path) -> None:
  """Waits until a folder's files, and the names of all of them, are on disk."""
  for parent, _, names in os.walk(folder, topdown=False):
    for name in names:
      with open(os.path.join(parent, name), "rb") as file:
        os.fsync(file.fileno())
    _sync_folder(parent)


def _sync_folder(folder: str | os.PathLike) -> None:
  """Waits until the names of a folder's entries are on disk."""
  if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder
    return
  opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
  try:
    os.fsync(opened)
  except OSError as error:
    # Some network file systems write names at once and do not support this.
    if error.errno not in (errno.EINVAL, errno.ENOTSUP):
      raise
  finally:
    os.close(opened)


def extend(
  private: pathlib.Path,
  target: pathlib.Path,
  named: Collection[str],
  record: str,
) -> None:
  """Adds the outputs of a repeated run to the run that it reproduced.

  Files that `target` has already are left as they are; its `run.json` names
  the new ones only once they are there.

  Args:
    private: the folder of the repeated run.
    target: the folder of the run.
    named: the outputs that its `run.json` names.
    record: the new text of its `run.json`.
  """
  for path in private.iterdir():
    # A file that run.json does not name was left by an interrupted attempt.
    lost = path.name not in named or not (target / path.name).exists()
    if path.name != "run.json" and lost:
      os.replace(path, target / path.name)
  write_atomic(target / "run.json", record)
  shutil.rmtree(private)


def is_inside(name: str) -> bool:
  """Whether a recorded file name stays inside its folder."""
  parts = pathlib.PurePosixPath(name).parts
  is_name = bool(parts) and "\0" not in name and not name.startswith("/")
  return is_name and ".." not in parts


def file_entry(path: pathlib.Path, content: bytes | None = None) -> dict:
  """A file's size, digest and modification time, as records hold them.

  Times are only compared for equality, never for order.
  """
  digest = digest_file(path) if content is None else digest_bytes(content)
  found = os.stat(path)
  return {
    "bytes": found.st_size,
    "digest": digest,
    "mtime_ns": found.st_mtime_ns,
  }


def difference(
  path: str | os.PathLike, entry: dict, check_digest: bool
) -> str | None:
  """How a file differs from its `file_entry`, in words, or None.

  Args:
    path: of the file.
    entry: its size, digest and, if known, modification time.
    check_digest: read it even if its modification time is unchanged.

  Raises:
    OSError: if it does not exist or cannot be read.
  """
  found = os.stat(path)
  if not stat.S_ISREG(found.st_mode):
    return "is not a file"
  if found.st_size != entry["bytes"]:
    return f"has {found.st_size} bytes instead of {entry['bytes']}"
  changed = found.st_mtime_ns != entry.get("mtime_ns", found.st_mtime_ns)
  if (check_digest or changed) and digest_file(path) != entry["digest"]:
    return "differs from its recorded digest"
  return None


def is_alive(pid: int) -> bool:
  """Whether a process of this host is running.

  A process that ended but was not waited for (a zombie) keeps its id, in a
  container whose first process never waits even for ever: it counts as ended.
  """
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:  # another user's
    return True
  try:
    state = pathlib.Path(f"/proc/{pid}/stat").read_text()
  except FileNotFoundError:
    return not pathlib.Path("/proc/self").exists()  # ended, or no Linux
  except (OSError, UnicodeDecodeError):
    return True
  return state.rpartition(")")[2].split()[0] not in ("Z", "X")
