"""Writes a config as a flagfile that reproduces it."""

import dataclasses
from typing import Any

from memo_tf.experiment import config as config_lib

GROUPS = {
  "data": "data",
  "subsets": "subsets",
  "models": "models",
  "training": "training: how a model is trained",
  "running": "running",
  "outputs": "outputs",
  "proxies": "proxies",
  "removal": "removal: training without memorized examples",
}


def resolved_flags(config: config_lib.StudyConfig) -> str:
  """A flagfile that reproduces this config; holds no absolute paths."""
  if config.is_made_elsewhere:
    return _flags_of_predictions(config)
  lines = ["# Written by memo_tf.launch: every setting of this study."]
  for group, kind in config_lib.groups().items():
    lines.append(f"# {GROUPS[group]}")
    for field in dataclasses.fields(kind):
      if not field.metadata.get("record", True):
        continue  # a folder on this machine
      lines.append(_line(field, getattr(getattr(config, group), field.name)))
  return "\n".join(lines) + "\n"


def _flags_of_predictions(config: config_lib.StudyConfig) -> str:
  """The settings of a study that was made from predictions."""
  lines = [
    "# Written by memo_tf.score: the runs of this study were trained",
    "# elsewhere. What follows describes them, and cannot train any.",
  ]
  named = {"dataset", "num_subsets", "subset_ratio", "subset_scheme"}
  named |= {f.name for f in dataclasses.fields(config.models)}
  named |= {f.name for f in dataclasses.fields(config.outputs)}
  for group, kind in config_lib.groups().items():
    part = getattr(config, group)
    lines += [
      _line(field, getattr(part, field.name))
      for field in dataclasses.fields(kind)
      if field.name in named
    ]
  return "\n".join(lines) + "\n"


def _line(field: dataclasses.Field, value: Any) -> str:
  """A setting as a line of a flagfile."""
  value = config_lib.portable(field, value)
  if isinstance(value, bool):
    return f"--{'' if value else 'no'}{field.name}"
  return f"--{field.name}={config_lib.show(value)}"
