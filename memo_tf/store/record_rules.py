"""What the fields of a study's JSON records may hold, checked before use.

A digest shows that a record is as it was written, not that it makes sense: a
folder may come from someone else, or from another program. Whatever breaks a
rule here is a `ValueError` of one line; its reader says which file is damaged.
"""

from collections.abc import Callable
import math
import re
from typing import Any

from memo_tf.store import files

# More than any data set or model has; NumPy would not allocate them.
MOST = 2**40
_MOST_EXAMPLES = 2**31
# So many cost little, whatever they are recorded of.
_FEW_EXAMPLES = 10**6
_MOST_CLASSES = 2**24
_DIGEST = re.compile(r"[0-9a-f]{32}")
# What run.json names lies beside it: a name, never a path.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
Rule = tuple[Callable[[Any], bool], str]


def format_version(record: dict) -> int:
  """The format of a record; a newer one may have other fields.

  Raises:
    ValueError: if it does not say.
  """
  _check(record, {"format_version": _between(1, 2**31)})
  return record["format_version"]


def check_run(record: dict) -> None:
  """Checks the content of a `run.json`.

  Raises:
    ValueError: that names the first field that is missing or breaks its rule.
  """
  _check(record, _RUN)
  _check_outputs(record["outputs"])
  for name, rule in _RUN_OPTIONAL.items():
    if name in record:
      _check(record, {name: rule})
  for name in ("total", "recording"):
    seconds = record["seconds"].get(name, 0.0)
    _require(_is_number(seconds) and seconds >= 0, f"seconds.{name}", _TIME)


def check_info(info: dict) -> None:
  """Checks the content of `dataset/info.json`.

  Raises:
    ValueError: as `check_run`.
  """
  _check(info, _INFO)
  for name in ("notes", "skipped"):
    _require(_is_text_list(info.get(name, [])), name, _TEXT_LIST)
  for name, entry in info["files"].items():
    _require(files.is_inside(name), "files", f"names a file {name!r}")
    _check_entry(name, entry)
  count = info["num_train"] + info["num_test"]
  total = sum(entry["bytes"] for entry in info["files"].values())
  _require(
    count <= max(total, _FEW_EXAMPLES),
    "num_train",
    f"and num_test are {count} examples, in files of {total} bytes",
  )
  classes = info["num_classes"]
  _require(
    len(info["class_names"]) == classes,
    "class_names",
    f"must be the names of {classes} classes",
  )
  channels = info["image_shape"][-1]
  statistics = info["normalization"]
  for name in ("mean", "std"):
    values = statistics.get(name)
    _require(
      isinstance(values, list)
      and len(values) == channels
      and all(map(_is_number, values)),
      f"normalization.{name}",
      f"must be {channels} finite numbers",
    )
  encoding = info.get("encoding", {"kind": "raw"})
  _require(
    isinstance(encoding, dict) and encoding.get("kind") in _ENCODINGS,
    "encoding",
    f"must have a kind of {', '.join(_ENCODINGS)}",
  )


def check_entries(entries: Any) -> None:
  """Checks the files of a `digests.json`: name to size and digest.

  Raises:
    ValueError: as `check_run`.
  """
  _require(isinstance(entries, dict), "files", "must be an object")
  for name, entry in entries.items():
    _check_entry(name, entry)


def _check_outputs(outputs: dict) -> None:
  for name, entry in outputs.items():
    _require(
      bool(_FILE_NAME.fullmatch(name)), "outputs", f"names an output {name!r}"
    )
    _check_entry(name, entry)


def _check_entry(name: str, entry: Any) -> None:
  _require(isinstance(entry, dict), name, "must be an object")
  size, digest = entry.get("bytes"), entry.get("digest")
  _require(_is_count(size), f"{name}.bytes", _COUNT[1])
  _require(
    isinstance(digest, str) and bool(_DIGEST.fullmatch(digest)),
    f"{name}.digest",
    _HEX,
  )
  changed = entry.get("mtime_ns", 0)
  _require(_is_whole(changed), f"{name}.mtime_ns", "must be a whole number")


def _check(record: dict, rules: dict[str, Rule]) -> None:
  for name, (holds, text) in rules.items():
    if name not in record:
      raise ValueError(f"it has no {name}")
    _require(holds(record[name]), name, text)


def _require(holds: bool, name: str, text: str) -> None:
  if not holds:
    raise ValueError(f"its field {name} {text}")


def _is_whole(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
  return _is_whole(value) and 0 <= value < MOST


def _is_number(value: Any) -> bool:
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  return is_number and math.isfinite(value)


def _is_share(value: Any) -> bool:
  return value is None or (_is_number(value) and 0 <= value <= 1)


def _is_text(value: Any) -> bool:
  return isinstance(value, str) and "\0" not in value


def _is_text_list(value: Any) -> bool:
  return isinstance(value, list) and all(map(_is_text, value))


def _are_texts(value: Any) -> bool:
  return isinstance(value, dict) and all(map(_is_text, value.values()))


def _between(low: int, high: int) -> Rule:
  return (
    lambda x: _is_whole(x) and low <= x <= high,
    f"must be a whole number in [{low}, {high}]",
  )


_TEXT_LIST = "must be a list of text"
_TIME = "must be seconds, 0 or more"
_HEX = "must be a digest of 32 hexadecimal digits"
_ENCODINGS = ("raw", "png", "jpeg")
_COUNT: Rule = (_is_count, f"must be a whole number in [0, {MOST})")
_TEXT: Rule = (_is_text, "must be text")
_TEXTS: Rule = (_are_texts, "must be an object of text")
_OBJECT: Rule = (lambda x: isinstance(x, dict), "must be an object")
_SHARE: Rule = (_is_share, "must be in [0, 1], or null")
_DIGEST_RULE: Rule = (
  lambda x: isinstance(x, str) and bool(_DIGEST.fullmatch(x)),
  _HEX,
)
_RUN: dict[str, Rule] = {
  "unit": _TEXT,
  "outputs": _OBJECT,
  "recipe_digest": _TEXT,
  "dataset_digest": _DIGEST_RULE,
  "subset_digest": _DIGEST_RULE,
  "seed": (_is_whole, "must be a whole number"),
  "threads": _between(1, 2**20),
  "versions": _TEXTS,
  "machine": (
    lambda x: _are_texts(x) and {"host", "cpu", "gpu"} <= set(x),
    "must have the texts host, cpu and gpu",
  ),
  "parameters": _COUNT,
  "in_accuracy": (
    lambda x: x is not None and _is_share(x),
    "must be in [0, 1]",
  ),
  "seconds": (
    lambda x: isinstance(x, dict) and "total" in x,
    "must be an object with a total",
  ),
}
_RUN_OPTIONAL: dict[str, Rule] = {
  "recipe": _OBJECT,
  "subset_size": _between(0, _MOST_EXAMPLES),
  "out_accuracy": _SHARE,
  "test_accuracy": _SHARE,
  "resumed_after_epoch": _COUNT,
  "teacher": _TEXTS,
  "source": _TEXTS,
  "compressed": _OBJECT,
  "made_elsewhere": (
    lambda x: x in ("correctness", "margin", "logits"),
    "must be correctness, margin or logits",
  ),
  "model_source": _DIGEST_RULE,
  "model_start": _DIGEST_RULE,
}
_INFO: dict[str, Rule] = {
  "num_train": _between(1, _MOST_EXAMPLES),
  "num_test": _between(0, _MOST_EXAMPLES),
  "num_classes": _between(1, _MOST_CLASSES),
  "class_names": (_is_text_list, _TEXT_LIST),
  "image_shape": (
    lambda x: (
      isinstance(x, list)
      and len(x) == 3
      and all(_is_whole(side) and 1 <= side < 2**20 for side in x)
    ),
    "must be [height, width, channels]",
  ),
  "max_pixel": _between(1, 2**16 - 1),
  "normalization": _OBJECT,
  "digest": _DIGEST_RULE,
  "files": _OBJECT,
}
