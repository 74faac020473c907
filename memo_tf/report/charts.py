"""Interactive charts, by Bokeh, as JSON that the page's script embeds.

Colours are between black and white, so that they are seen on a light and on a
dark page; the page's script gives text and lines the colours of the page.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

from bokeh import embed
from bokeh import models
from bokeh import plotting
from bokeh import resources
import numpy as np

BLUE, RED, GREEN = "#2f7fd0", "#d6453d", "#1f9d63"
ORANGE, PURPLE, GREY = "#c9730a", "#9a63d8", "#7a828c"
PALETTE = (BLUE, RED, GREEN, ORANGE, PURPLE, GREY)
_TEXT = "12px"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
  """A chart of the page.

  Attributes:
    name: unique on the page.
    title: what it shows, above it.
    alt: what it shows, in words, for those who do not see it.
    item: what Bokeh's JavaScript embeds.
    height: in pixels.
  """

  name: str
  title: str
  alt: str
  item: dict[str, Any]
  height: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
  """A line of a chart, with a band between `low` and `high` if given."""

  name: str
  values: Sequence[float]
  low: Sequence[float] | None = None
  high: Sequence[float] | None = None
  color: str = ""


def library() -> str:
  """Bokeh's JavaScript: the core, which draws all charts of this module."""
  return "\n".join(resources.Resources("inline", components=["bokeh"]).js_raw)


def lines(
  name: str,
  title: str,
  x: Sequence[str] | Sequence[float],
  series: Sequence[Line],
  *,
  y_label: str,
  x_label: str = "",
  alt: str,
  height: int = 260,
) -> Chart:
  """Lines over categories (text) or numbers."""
  categorical = bool(len(x)) and isinstance(x[0], str)
  figure = new_figure(
    height, x_label, y_label, **({"x_range": list(x)} if categorical else {})
  )
  for index, line in enumerate(series):
    color = line.color or PALETTE[index % len(PALETTE)]
    data: dict[str, Any] = {"x": list(x), "y": _known(line.values)}
    tips = [(x_label or "at", "@x"), (line.name, "@y{0.000}")]
    if line.low is not None and line.high is not None:
      data |= {"low": _known(line.low), "high": _known(line.high)}
      tips.append(("95 % interval", "@low{0.000} to @high{0.000}"))
    source = models.ColumnDataSource(data)
    if "low" in data:
      figure.varea(
        "x", "low", "high", source=source, color=color, fill_alpha=0.18
      )
    figure.line(
      "x", "y", source=source, color=color, line_width=2, legend_label=line.name
    )
    dots = figure.scatter(
      "x", "y", source=source, color=color, size=8, legend_label=line.name
    )
    figure.add_tools(models.HoverTool(renderers=[dots], tooltips=tips))
  return finished(name, title, alt, figure, height, len(series) > 1)


def ranges(
  name: str,
  title: str,
  categories: Sequence[str],
  series: Sequence[Line],
  *,
  y_label: str,
  alt: str,
  height: int = 260,
) -> Chart:
  """Points with intervals, side by side within each category."""
  figure = new_figure(height, "", y_label, x_range=list(categories))
  figure.hspan(y=[0], line_color=GREY, line_width=1)
  for index, line in enumerate(series):
    color = line.color or PALETTE[index % len(PALETTE)]
    shift = 0.18 * (index - (len(series) - 1) / 2)
    source = models.ColumnDataSource(
      {
        "x": [[c, shift] for c in categories],
        "name": list(categories),
        "y": _known(line.values),
        "low": _known(line.low or ()),
        "high": _known(line.high or ()),
      }
    )
    figure.segment(
      "x", "low", "x", "high", source=source, color=color, line_width=2
    )
    dots = figure.scatter(
      "x", "y", source=source, color=color, size=9, legend_label=line.name
    )
    tips = [
      ("", "@name"),
      (line.name, "@y{+0.0000} (@low{+0.0000} to @high{+0.0000})"),
    ]
    figure.add_tools(models.HoverTool(renderers=[dots], tooltips=tips))
  return finished(name, title, alt, figure, height, len(series) > 1)


def steps(
  name: str,
  title: str,
  edges: Sequence[float],
  series: Sequence[Line],
  *,
  x_label: str,
  y_label: str,
  alt: str,
  height: int = 260,
) -> Chart:
  """Histograms as outlines, one per line; heights on a logarithmic axis."""
  figure = new_figure(height, x_label, y_label, y_axis_type="log")
  middle = (np.asarray(edges[:-1]) + np.asarray(edges[1:])) / 2
  for index, line in enumerate(series):
    color = line.color or PALETTE[index % len(PALETTE)]
    values = [v if v and v > 0 else None for v in _known(line.values)]
    source = models.ColumnDataSource({"x": middle.tolist(), "y": values})
    figure.step(
      "x",
      "y",
      source=source,
      mode="center",
      color=color,
      line_width=2,
      legend_label=line.name,
    )
    dots = figure.scatter("x", "y", source=source, color=color, size=5)
    tips = [(x_label, "@x{0.000}"), (line.name, "@y{0.0000}")]
    figure.add_tools(models.HoverTool(renderers=[dots], tooltips=tips))
  return finished(name, title, alt, figure, height, len(series) > 1)


def joint_histogram(
  name: str,
  title: str,
  x: Sequence[float],
  y: Sequence[float],
  counts: Sequence[int],
  *,
  width: float,
  x_label: str,
  y_label: str,
  alt: str,
  height: int = 340,
) -> Chart:
  """Cells of `width` with their lower ends at `x`, `y`, shaded by their count.

  On [0, 1] both, with the diagonal on which the two are equal.
  """
  figure = new_figure(height, x_label, y_label, x_range=(0, 1), y_range=(0, 1))
  low_x, low_y = np.asarray(x, float), np.asarray(y, float)
  source = models.ColumnDataSource(
    {
      "left": low_x.tolist(),
      "right": (low_x + width).tolist(),
      "low": low_y.tolist(),
      "high": (low_y + width).tolist(),
      "count": [int(count) for count in counts],
      # Counts differ by orders of magnitude: their logarithm is the shade.
      "shade": np.log1p(np.asarray(counts, float)).tolist(),
    }
  )
  most = float(np.log1p(max(counts, default=1)))
  mapper = models.LinearColorMapper(palette=shades(BLUE), low=0, high=most)
  cells = figure.quad(
    left="left",
    right="right",
    bottom="low",
    top="high",
    source=source,
    fill_color={"field": "shade", "transform": mapper},
    line_color=None,
  )
  figure.line([0, 1], [0, 1], color=GREY, line_width=1)
  tips = [
    (x_label, "@left{0.00} to @right{0.00}"),
    (y_label, "@low{0.00} to @high{0.00}"),
    ("images", "@count{0,0}"),
  ]
  figure.add_tools(models.HoverTool(renderers=[cells], tooltips=tips))
  figure.grid.visible = False
  return finished(name, title, alt, figure, height)


def shades(color: str) -> list[str]:
  """64 shades from transparent to a colour, as #rrggbbaa."""
  return [
    f"{color}{round(255 * (0.06 + 0.94 * k / 63)):02x}" for k in range(64)
  ]


def new_figure(
  height: int, x_label: str, y_label: str, **options: Any
) -> Any:  # Bokeh declares its properties in types that mypy cannot follow
  """A figure in the style of the page, without tools."""
  figure = plotting.figure(
    height=height,
    sizing_mode="stretch_width",
    x_axis_label=x_label or None,
    y_axis_label=y_label,
    **{"tools": "", **options},
  )
  figure.toolbar_location = None
  figure.background_fill_color = None
  figure.border_fill_color = None
  figure.outline_line_color = None
  figure.min_border_right = 12
  figure.xgrid.visible = False
  for axis in (*figure.xaxis, *figure.yaxis):
    axis.axis_label_text_font_size = _TEXT
    axis.axis_label_text_font_style = "normal"
    axis.major_label_text_font_size = _TEXT
    axis.minor_tick_line_color = None
    if isinstance(axis, models.LogAxis):  # powers are printed too small
      plain = models.NumeralTickFormatter(format="0,0.[0000]")
      powers = [10.0**k for k in range(-6, 9)]
      axis.update(formatter=plain, ticker=models.FixedTicker(ticks=powers))
  return figure


def finished(
  name: str,
  title: str,
  alt: str,
  figure: Any,
  height: int,
  has_legend: bool = False,
) -> Chart:
  """The chart of a figure that has all its marks."""
  if has_legend:
    legend = figure.legend[0]
    legend.label_text_font_size = _TEXT
    legend.background_fill_alpha = 0
    legend.border_line_color = None
    legend.click_policy = "mute"
    legend.orientation = "horizontal"
    legend.spacing = 14
    legend.margin = 0
    legend.padding = 2
    legend.ncols = 3
    figure.add_layout(legend, "above")
  else:
    for legend in figure.legend:
      legend.visible = False
  return Chart(
    name=name,
    title=title,
    alt=alt,
    item=embed.json_item(figure),  # type: ignore[arg-type]
    height=height,
  )


def _known(values: Sequence[float]) -> list[float | None]:
  """Numbers as JSON has them: None where there is none."""
  return [float(v) if v == v else None for v in values]
