"""Writes a config as a flagfile that reproduces it."""

import dataclasses

from memo_tf.experiment import config as config_lib

GROUPS = {
  "data": "data",
  "subsets": "subsets",
  "models": "models",
  "training": "training: how a model is trained",
  "running": "running",
  "outputs": "outputs",
  "proxies": "proxies",
}


def resolved_flags(config: config_lib.StudyConfig) -> str:
  """A flagfile that reproduces this config; holds no absolute paths."""
  lines = ["# Written by memo_tf.launch: every setting of this study."]
  for group, kind in config_lib.groups().items():
    lines.append(f"# {GROUPS[group]}")
    for field in dataclasses.fields(kind):
      if not field.metadata.get("record", True):
        continue  # a folder on this machine
      value = getattr(getattr(config, group), field.name)
      value = config_lib.portable(field, value)
      if isinstance(value, bool):
        lines.append(f"--{'' if value else 'no'}{field.name}")
      elif isinstance(value, tuple):
        lines.append(f"--{field.name}={','.join(map(str, value))}")
      else:
        lines.append(f"--{field.name}={value}")
  return "\n".join(lines) + "\n"
