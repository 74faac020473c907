"""What a section of the page is: a template and the content that it shows."""

from collections.abc import Callable
import dataclasses
from typing import Any

from memo_tf.report import charts as charts_lib
from memo_tf.report import material


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
  """One section, or the sentence that says why it cannot be made.

  Attributes:
    name: its anchor, and the name of its template in `templates/sections/`.
    title: its heading.
    short: its name among the links at the top.
    content: what the template shows; empty where there is only `reason`.
    charts: those that the template places, by name.
    reason: why it cannot be made; "" if it can.
  """

  name: str
  title: str
  short: str
  content: dict[str, Any] = dataclasses.field(default_factory=dict)
  charts: tuple[charts_lib.Chart, ...] = ()
  reason: str = ""


# A pure function of a study; None where no reader would expect the section.
Maker = Callable[[material.Material], Section | None]
