"""Reads a page as its script does: what was put, and arrays unpacked."""

import base64
import gzip
import html.parser
import json
import pathlib
import re

import numpy as np

KINDS = {"u1": np.uint8, "u2": np.uint16, "i4": np.int32, "f4": np.float32}
_PUT = re.compile(r"^memoTf\.put\((\"[^\"]*\"),(.*)\)$", re.DOTALL)


def unpacked(text: str) -> np.ndarray:
  """The array behind "f4:<base64>"."""
  kind, _, content = text.partition(":")
  return np.frombuffer(base64.b64decode(content), np.dtype(KINDS[kind]))


def chart_columns(item: dict) -> list[dict]:
  """The columns of every data source of a chart, as Bokeh embeds it."""
  found = []

  def visit(value):
    if isinstance(value, dict):
      if value.get("name") == "ColumnDataSource":
        entries = value["attributes"]["data"]["entries"]
        found.append({name: _chart_column(column) for name, column in entries})
      for part in value.values():
        visit(part)
    elif isinstance(value, list):
      for part in value:
        visit(part)

  visit(item)
  return found


def _chart_column(column):
  """A list as it is, and the array behind Bokeh's compressed bytes."""
  if isinstance(column, list):
    return column
  content = gzip.decompress(base64.b64decode(column["array"]["data"]))
  return np.frombuffer(content, column["dtype"])


class _Parser(html.parser.HTMLParser):
  """Collects scripts, addresses, and the text of everything else."""

  def __init__(self):
    super().__init__()
    self.scripts, self.sources, self.text, self.tags = [], [], [], []
    self._is_script = False
    self._is_style = False

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    self._is_style = tag == "style"
    if tag == "script":
      self._is_script = True
      self.scripts.append("")
    for name, value in attrs:
      if name in ("src", "href"):
        self.sources.append(value)

  def handle_endtag(self, tag):
    if tag == "script":
      self._is_script = False
    if tag == "style":
      self._is_style = False

  def handle_data(self, data):
    if self._is_script:
      self.scripts[-1] += data
    elif not self._is_style:
      self.text.append(data)


class Page:
  """A page that was written.

  Attributes:
    html: of the file.
    text: what it shows without its script, blanks made single.
    tags: (name, attributes) of every element.
    sources: every address in it.
    values: what its data put, by name; of its own scripts and of the files
      beside it.
  """

  def __init__(self, path: pathlib.Path):
    self.html = path.read_text()
    parser = _Parser()
    parser.feed(self.html)
    self.text = " ".join(" ".join(parser.text).split())
    self.tags, self.sources = parser.tags, parser.sources
    files = sorted((path.parent / "data").glob("[0-9]*.js"))
    texts = [*parser.scripts, *(file.read_text() for file in files)]
    self.values = {}
    for text in texts:
      found = _PUT.match(text.strip())
      if found:
        self.values[json.loads(found[1])] = json.loads(found[2])

  def array(self, name: str, column: str) -> np.ndarray:
    """A column of the data of a name."""
    return unpacked(self.values[name][column])
