"""memo_tf: which training examples does an image classifier memorize?

Public names are loaded on first use; importing the package imports no
TensorFlow, so that whoever has predictions can score them without it.
"""

import importlib
import sys

__version__ = "0.1.0"

if sys.version_info < (3, 11):  # noqa: UP036 (a clear error on old versions)
  sys.exit(
    "memo_tf needs Python 3.11 or 3.12. This is Python "
    f"{sys.version_info[0]}.{sys.version_info[1]}."
  )

_SUBMODULES = (
  "analysis",
  "cli",
  "compression",
  "data",
  "distillation",
  "estimators",
  "experiment",
  "exporting",
  "findings",
  "interchange",
  "models",
  "proxies",
  "report",
  "running",
  "scoring",
  "store",
  "training",
)
# Names of modules' members that are reached as `memo_tf.NAME`.
_MEMBERS = {
  "Study": "memo_tf.study",
  "study_from_predictions": "memo_tf.study",
}


def __getattr__(name: str):
  if name in _SUBMODULES:
    return importlib.import_module(f"memo_tf.{name}")
  if name in _MEMBERS:
    return getattr(importlib.import_module(_MEMBERS[name]), name)
  raise AttributeError(f"module 'memo_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
  return sorted([*globals(), *_SUBMODULES, *_MEMBERS])
