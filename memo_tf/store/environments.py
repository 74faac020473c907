"""What trains the runs of a study: code, packages, and kind of machine.

Another version of TensorFlow or of memo_tf, or another instruction set, rounds
otherwise. Every run records what trained it; `environment.json` keeps the
distinct environments of a study, each with when it was first seen, so that a
launch notices a change before it trains anything.
"""

from collections.abc import Iterable
import datetime
import functools
from importlib import metadata
import os
import pathlib
import platform

import xxhash

import memo_tf
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import sealed

NAME = "environment.json"
# Packages that results depend on.
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pyarrow")
# The source files that decide what a run learns and predicts.
TRAINING_CODE = (
  "data/augmentation.py",
  "data/pipeline.py",
  "data/stored",
  "distillation.py",
  "experiment/random_streams.py",
  "models",
  "running/unit",
  "training",
)
# Names of instruction sets and the processor flag of each.
_ISA = {
  "AVX2": "avx2",
  "AVX-512": "avx512f",
  "AVX512-BF16": "avx512_bf16",
  "AMX": "amx_tile",
}


@functools.cache
def versions() -> dict[str, str]:
  """Versions of memo_tf, Python and packages, and `code_digest`."""
  found = {name: metadata.version(name) for name in PACKAGES}
  return {
    "memo_tf": memo_tf.__version__,
    "training_code": code_digest(),
    "python": platform.python_version(),
    **found,
  }


@functools.cache
def code_digest() -> str:
  """The digest of the source files that decide what a run learns.

  Raises:
    FileNotFoundError: if one of `TRAINING_CODE` is not there.
  """
  package = pathlib.Path(memo_tf.__file__).parent
  hasher = xxhash.xxh3_128()
  for name in TRAINING_CODE:
    top = package / name
    paths = sorted(top.rglob("*.py")) if top.is_dir() else [top]
    for path in paths:
      relative = path.relative_to(package).as_posix()
      hasher.update(f"{relative}\n".encode())
      hasher.update(path.read_bytes())
  return hasher.hexdigest()


@functools.cache
def processor() -> dict[str, str]:
  """The model of this machine's processor, and its vector instructions."""
  model, flags = platform.processor() or platform.machine(), set()
  try:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
      name, _, value = line.partition(":")
      if name.strip() == "model name":
        model = value.strip()
      if name.strip() == "flags":
        flags = set(value.split())
        break
  except OSError:
    pass
  isa = [name for name, flag in _ISA.items() if flag in flags]
  return {"cpu": model, "isa": " ".join(isa)}


def current(gpu: str = "") -> dict:
  """This process's environment.

  Args:
    gpu: the accelerators that runs train on; empty: none.
  """
  return {
    "versions": versions(),
    "machine": {**processor(), "gpu": gpu, "platform": platform.platform()},
    "cores": len(os.sched_getaffinity(0)),
  }


def kind(record: dict) -> dict[str, str]:
  """What of an environment or a run's record decides how results round."""
  found, machine = record["versions"], record["machine"]
  hardware = machine["gpu"] or f"{machine['cpu']} {machine.get('isa', '')}"
  return {
    "memo_tf": found.get("memo_tf", "unknown"),
    "training code": found.get("training_code", "unknown")[:8],
    "TensorFlow": found.get("tensorflow", "unknown"),
    "machine": hardware.strip(),
  }


def history(directory: directory_lib.StudyDirectory) -> list[dict]:
  """The environments of a study, oldest first; none if they cannot be read."""
  try:
    content = sealed.loads((directory.root / NAME).read_bytes())
    found = content["history"]
    for entry in found:
      kind(entry), bool(entry["has_trained"])
    return found
  except (OSError, ValueError, LookupError, TypeError, AttributeError):
    return []  # nothing depends on it; `--check` names what is damaged


def note(
  directory: directory_lib.StudyDirectory,
  environment: dict,
  *,
  has_trained: bool,
) -> None:
  """Adds an environment to a study's history, unless it is there.

  Args:
    directory: of the study.
    environment: `current`.
    has_trained: whether it trains runs; False for one that only prepares.

  Raises:
    OSError: if it cannot be written.
  """
  now = datetime.datetime.now(datetime.UTC).isoformat("T", "seconds")
  entry = {"first_seen": now, "has_trained": has_trained, **environment}
  add(directory, [entry])


def add(
  directory: directory_lib.StudyDirectory, entries: Iterable[dict]
) -> None:
  """Adds entries of a history to that of a study, those that are new."""
  known = history(directory)
  before = [dict(entry) for entry in known]
  for entry in entries:
    same = [e for e in known if _content(e) == _content(entry)]
    if not same:
      known.append(entry)
    elif entry["has_trained"]:
      same[0]["has_trained"] = True
  if known != before:
    content = {"format_version": config_lib.FORMAT_VERSION, "history": known}
    files.write_atomic(directory.root / NAME, sealed.dumps(content))


def change(
  directory: directory_lib.StudyDirectory,
  environment: dict,
  *,
  same_machine: bool = True,
) -> str | None:
  """How an environment differs from those that trained a study's runs.

  Args:
    directory: of the study.
    environment: `current`.
    same_machine: whether it trains the runs; if not, machines may differ.

  Returns:
    One line; None if it does not differ, or nothing is trained yet.
  """
  if next(directory.run_paths(), None) is None:
    return None
  now = kind(environment)
  differences = {}
  for entry in history(directory):
    before = kind(entry)
    for name, value in now.items():
      if name == "machine" and not same_machine:
        continue
      if entry["has_trained"] and before[name] != value:
        differences[name] = f"{name} {before[name]}, now {value}"
  if not differences:
    return None
  return (
    f"runs of {directory.root} were trained in another environment: "
    f"{'; '.join(differences.values())}. Results round differently, and runs "
    "of both are scored together."
  )


def mixture(directory: directory_lib.StudyDirectory) -> str | None:
  """One line if runs of a study were trained in several environments."""
  kinds: dict[tuple, dict[str, str]] = {}
  for entry in history(directory):
    if entry["has_trained"]:
      found = kind(entry)
      kinds[tuple(found.values())] = found
  if len(kinds) < 2:
    return None
  rows = list(kinds.values())
  differences = [
    f"{name} {', '.join(dict.fromkeys(row[name] for row in rows))}"
    for name in rows[0]
    if len({row[name] for row in rows}) > 1
  ]
  return (
    f"Warning: runs were trained in {len(kinds)} environments, whose results "
    f"round differently: {'; '.join(differences)}."
  )


def check_change(
  directory: directory_lib.StudyDirectory,
  environment: dict,
  config: config_lib.StudyConfig,
  *,
  same_machine: bool = True,
) -> str | None:
  """`change`, as `--on_version_change` says.

  Raises:
    UsageError: if there is one and it is `stop`.
  """
  text = change(directory, environment, same_machine=same_machine)
  if text and config.running.on_version_change == "stop":
    raise errors.UsageError(
      f"{text} Received: --on_version_change=stop. Go back to the first "
      "environment, give --on_version_change=warn, or start a new "
      "--experiment_dir."
    )
  return text


def _content(entry: dict) -> dict:
  names = entry.keys() - {"first_seen", "has_trained"}
  return {name: entry[name] for name in names}
