"""A field of the config: its default, its meaning and its policy."""

import dataclasses


def field(default, help_text: str, policy: str = "fixed", **more):
  """A dataclass field that becomes a flag; `config` says what policies mean."""
  metadata = {"help": help_text, "policy": policy, **more}
  return dataclasses.field(default=default, metadata=metadata)
