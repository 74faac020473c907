"""A field of the config: its default, its meaning, its policy and its rules."""

from collections.abc import Callable
import dataclasses
from typing import Any

# A predicate that a valid value satisfies, and the rule in words that follow
# the flag's name: "must be in [0, 1)". If a predicate raises a `ValueError`,
# its message replaces the rule.
Rule = tuple[Callable[[Any], bool], str]


def field(
  default: Any,
  help_text: str,
  policy: str = "fixed",
  *,
  rule: Rule | list[Rule] | None = None,
  **more: Any,
) -> Any:
  """A dataclass field that becomes a flag.

  Args:
    default: its value if the flag is not given.
    help_text: the flag's help.
    policy: how the value may change when a study is reopened, see `config`.
    rule: one or several that a value must satisfy; NaN satisfies none.
    **more: `choices`, the allowed values; `short`, whether `--helpshort` shows
      it; `path`, whether it is a path, of which only the last part is recorded;
      `record=False` for a folder on this machine; `parse`, of references
      that the policy `sources` compares.
  """
  rules = rule if isinstance(rule, list) else [rule] if rule else []
  metadata = {"help": help_text, "policy": policy, "rules": rules, **more}
  return dataclasses.field(default=default, metadata=metadata)


def at_least(least: float) -> Rule:
  """The rule of a finite number that must not be below `least`."""
  text = "must be 0 or more" if not least else f"must be at least {least}"
  return lambda value: least <= value < float("inf"), text


def at_most(most: int) -> Rule:
  """The rule of a number that must not be above `most`."""
  return lambda value: value <= most, f"must be at most {most}"


def named_once(values: tuple) -> bool:
  """Whether a list has no duplicates."""
  return len(set(values)) == len(values)


def parsed_by(parse: Callable[[Any], Any]) -> Rule:
  """The rule that `parse` accepts every item of a list; it raises otherwise."""
  return lambda values: all(parse(value) is not None for value in values), ""


# Processes, threads or devices of one machine: more is a slip of the finger.
MOST_PROCESSES = 4096
ABOVE_ZERO: Rule = (lambda value: 0 < value < float("inf"), "must be above 0")
NAMED_ONCE: Rule = (named_once, "must not name anything twice")
NAMES_ONE: Rule = (bool, "must name at least one")
