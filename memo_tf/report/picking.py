"""Charts by which a reader picks images: brushed, clicked, or cell by cell.

The page's script finds them by the names of their sources.
"""

from collections.abc import Sequence
from typing import Any

from bokeh import models
from bokeh import plotting
import numpy as np

from memo_tf.report import charts


def histogram(name: str, edges: np.ndarray, counts: np.ndarray) -> charts.Chart:
  """The histogram of scores that is brushed to filter."""
  height = 130
  figure = charts.new_figure(
    height, "memorization", "images", tools="", y_axis_type="log"
  )
  figure.y_range.start = 0.5
  figure.y_range.end = 2 * max(1, int(counts.max(initial=1)))
  data = {
    "left": edges[:-1],
    "right": edges[1:],
    "all": np.maximum(counts, 0.5),
    "shown": np.maximum(counts, 0.5),
    "count": counts,
    "shown_count": counts,
  }
  source = models.ColumnDataSource(data, name="histogram-source")
  figure.quad(
    left="left",
    right="right",
    bottom=0.5,
    top="all",
    source=source,
    fill_color=charts.GREY,
    fill_alpha=0.3,
    line_color=None,
    nonselection_fill_alpha=0.3,
  )
  bars = figure.quad(
    left="left",
    right="right",
    bottom=0.5,
    top="shown",
    source=source,
    fill_color=charts.BLUE,
    line_color=None,
    nonselection_fill_alpha=1.0,
  )
  tips = [
    ("score", "@left{0.00} to @right{0.00}"),
    ("images", "@count"),
    ("of them shown", "@shown_count"),
  ]
  select = models.BoxSelectTool(dimensions="width", persistent=True)
  figure.add_tools(select, models.HoverTool(renderers=[bars], tooltips=tips))
  figure.toolbar.active_drag = select
  alt = "Histogram of the scores; drag over it to keep a range of scores"
  return charts.finished(name, "", alt, figure, height)


def scatter(
  name: str,
  title: str,
  x: np.ndarray,
  y: np.ndarray,
  ids: np.ndarray,
  *,
  x_label: str,
  alt: str,
  height: int = 300,
) -> charts.Chart:
  """Memorization against another quantity; a point opens its image."""
  figure = charts.new_figure(
    height, x_label, "memorization", tools="pan,wheel_zoom,reset"
  )
  figure.toolbar.active_scroll = None
  source = models.ColumnDataSource(
    {
      "x": np.asarray(x, np.float32),
      "y": np.asarray(y, np.float32),
      "id": np.asarray(ids, np.int32),
    },
    name="opens-image",
  )
  dots = figure.scatter(
    "x",
    "y",
    source=source,
    color=charts.BLUE,
    size=6,
    alpha=0.4,
    line_color=None,
  )
  tips = [
    ("image", "@id"),
    (x_label, "@x{0.000}"),
    ("memorization", "@y{0.00}"),
  ]
  figure.add_tools(
    models.HoverTool(renderers=[dots], tooltips=tips),
    models.TapTool(renderers=[dots]),
  )
  return charts.finished(name, title, alt, figure, height)


def heat_map(
  name: str,
  title: str,
  matrix: np.ndarray,
  names: Sequence[str],
  *,
  x_label: str,
  y_label: str,
  alt: str,
) -> charts.Chart:
  """Shares `[C, C]`, rows downward; a cell filters the images.

  Axes count classes, since names may repeat or be long; ticks show the names.
  """
  num = len(matrix)
  height = int(min(620, max(260, 26 * num + 90)))
  figure = charts.new_figure(
    height,
    x_label,
    y_label,
    tools="",
    x_range=(-0.5, num - 0.5),
    y_range=(num - 0.5, -0.5),
  )
  _add_cells(figure, matrix, names)
  _name_ticks(figure, names)
  figure.grid.visible = False
  return charts.finished(name, title, alt, figure, height)


def _add_cells(
  figure: Any,  # see `charts.new_figure`
  matrix: np.ndarray,
  names: Sequence[str],
) -> None:
  """A cell for every share above 0; its row and column are its classes."""
  rows, columns = np.nonzero(matrix)
  value = matrix[rows, columns]
  source = models.ColumnDataSource(
    {
      "x": columns,
      "y": rows,
      "share": value,
      # Shares differ by orders of magnitude: their square root is the shade.
      "shade": np.sqrt(value),
      "given": [names[k] for k in rows.tolist()],
      "said": [names[k] for k in columns.tolist()],
    },
    name="filters-cell",
  )
  mapped = {
    "field": "shade",
    "transform": models.LinearColorMapper(
      palette=charts.shades(charts.BLUE), low=0, high=1
    ),
  }
  cells = figure.rect(
    "x",
    "y",
    0.94,
    0.94,
    source=source,
    fill_color=mapped,
    line_color=None,
    nonselection_fill_alpha=1.0,
  )
  tips = [
    ("given label", "@given"),
    ("held-out models say", "@said"),
    ("share of their answers", "@share{0.0 %}"),
  ]
  figure.add_tools(
    models.HoverTool(renderers=[cells], tooltips=tips),
    models.TapTool(renderers=[cells]),
  )


def _name_ticks(figure: plotting.figure, names: Sequence[str]) -> None:
  """Names of classes at the ticks, of many every second or third."""
  every = max(1, -(-len(names) // 30))
  shown = range(0, len(names), every)
  for axis in (*figure.xaxis, *figure.yaxis):
    axis.ticker = models.FixedTicker(ticks=list(shown))
    axis.major_label_overrides = {k: _short(names[k]) for k in shown}
  if max(len(_short(names[k])) for k in shown) > 2:
    figure.xaxis.major_label_orientation = 0.9


def _short(name: str, longest: int = 18) -> str:
  return name if len(name) <= longest else name[: longest - 1] + "…"
