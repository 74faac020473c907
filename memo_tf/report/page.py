"""`report/index.html`: a study as a page that is explored, opened from disk.

The page is one HTML file while data and images are small; otherwise they are in
`report/data/` beside it (`assets`). It asks nothing of any network.
"""

import pathlib

import jinja2
import markupsafe

import memo_tf
from memo_tf.report import answer
from memo_tf.report import assets as assets_lib
from memo_tf.report import charts
from memo_tf.report import explorer
from memo_tf.report import material
from memo_tf.report import sections as sections_lib
from memo_tf.report import worklist
from memo_tf.store import files
from memo_tf.store import time_left


def write_page(study: material.Material) -> pathlib.Path:
  """Writes the page, and the files beside it, and returns the page's path."""
  assets = assets_lib.Assets()
  histogram = explorer.add(study, assets)
  made = (make(study) for make in sections_lib.SECTIONS)
  sections = [section for section in made if section]
  drawn = [chart for section in sections for chart in section.charts]
  if histogram:
    drawn.insert(0, histogram)
  assets.data("charts", {chart.name: chart.item for chart in drawn})
  if drawn:
    assets.library(charts.library())
  scripts, beside = assets.finish()
  html = (
    _environment()
    .get_template("page.html")
    .render(
      study=study,
      info=study.info,
      version=memo_tf.__version__,
      answer=answer.content(study),
      worklist=worklist.content(study),
      sections=sections,
      charts={chart.name: chart for chart in drawn},
      histogram=histogram,
      max_pictures=explorer.MAX_PICTURES,
      scripts=scripts,
      beside=markupsafe.Markup(assets_lib.script_text("beside", beside)),
      style=_own("explorer.css"),
      script=_own("explorer.js"),
    )
  )
  path = study.directory.report_path
  _write(path, html, assets.files)
  return path


def _write(path: pathlib.Path, html: str, beside: dict[str, bytes]) -> None:
  """Writes what is beside the page, then the page."""
  folder = path.parent / assets_lib.FOLDER
  for name, content in beside.items():
    files.write_atomic(folder / name, content)
  files.write_atomic(path, html)
  _remove_others(folder, set(beside))


def _remove_others(folder: pathlib.Path, names: set[str]) -> None:
  """Removes what an earlier page left in its folder of data."""
  if not folder.is_dir():
    return
  for path in folder.iterdir():
    if path.name not in names and path.suffix in (".js", ".webp"):
      path.unlink()
  if not names and not any(folder.iterdir()):
    folder.rmdir()


def _environment() -> jinja2.Environment:
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("memo_tf.report", "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  environment.filters["number"] = _number
  # Of models that were trained elsewhere, 0 parameters are unknown.
  environment.filters["known"] = lambda value: f"{value:,}" if value else "–"
  environment.filters["signed"] = lambda value: f"{value:+.2f}"
  environment.filters["duration"] = time_left.duration
  return environment


def _own(name: str) -> markupsafe.Markup:
  """The text of our own style or script, which holds no data."""
  path = pathlib.Path(__file__).parent / "templates" / name
  return markupsafe.Markup(path.read_text(encoding="utf-8"))


def _number(value: float, digits: int = 3) -> str:
  return "–" if value is None or value != value else f"{value:.{digits}f}"
