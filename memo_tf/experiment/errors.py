"""Exceptions of a study; their messages say what to do."""

from memo_tf.experiment import work_units


class StudyError(RuntimeError):
  """What lies on disk is not what is needed; the message says what to do."""


class UsageError(ValueError):
  """The command does not fit the study; the message names flag and value."""


class UnitError(StudyError):
  """One unit cannot be run as things are; the others can."""


class DamagedRunError(UnitError):
  """A finished run cannot be used; moved aside, it can be run again.

  Args:
    unit: whose run.
    problem: what is wrong with it, as in "x has 3 bytes instead of 5".
  """

  def __init__(self, unit: work_units.WorkUnit, problem: str):
    super().__init__(
      f"the run {unit.name} cannot be used: {problem}; rerun the launch "
      "command: it moves the run aside and repeats it."
    )
    self.unit, self.problem = unit, problem


def describe_os_error(error: OSError, default: str = "") -> str:
  """One line: what the disk refused, where, and that nothing is lost."""
  place = error.filename or default
  return (
    f"{error.strerror or error}"
    + (f": {place}" if place else "")
    + ". What is finished is kept. Fix this, then rerun the same command to "
    "resume."
  )
