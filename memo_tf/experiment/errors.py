"""Exceptions of a study; their messages say what to do."""

from memo_tf.experiment import work_units


class StudyError(RuntimeError):
  """A problem with a study's files or state; the message says what to do."""


class UsageError(ValueError):
  """The command does not fit the study; the message names flag and value."""


class UnitError(StudyError):
  """One unit cannot be run in the present state; the others can."""


class DamagedRunError(UnitError):
  """A finished run cannot be used; once moved aside, it can be repeated.

  Args:
    unit: the unit of the run.
    problem: what is wrong with it, as in "x has 3 bytes instead of 5".
  """

  def __init__(self, unit: work_units.WorkUnit, problem: str):
    super().__init__(
      f"the run {unit.name} cannot be used: {problem}; rerun the launch "
      "command: it moves the run aside and repeats it."
    )
    self.unit, self.problem = unit, problem


def brief(error: object) -> str:
  """An error's text in one line of at most 300 characters.

  What a damaged file holds may be in it, and messages of Arrow have several
  lines.
  """
  return " ".join(str(error).replace("\0", "").split())[:300]


def describe_os_error(error: OSError, default: str = "") -> str:
  """One line: the system's error, the path, and how to resume."""
  place = error.filename or default
  return (
    f"{error.strerror or error}"
    + (f": {place}" if place else "")
    + ". Finished runs are kept. Fix this, then rerun the same command to "
    "resume."
  )
