"""Data and images of the page: inside it, or in files beside it when large.

A page opened from disk may read neither JSON nor arrays by `fetch`. So data are
scripts that call `memoTf.put(name, value)`, and images are WebP files; both are
written into the page itself while they are small.
"""

import base64
import dataclasses
import json
import math
from typing import Any

import markupsafe
import numpy as np

# Up to this size in bytes data and images are inside the page.
INLINE_LIMIT = 3_000_000
# The folder beside the page.
FOLDER = "data"
# What would end a script or be read as markup. In a string of JSON each is the
# same text, escaped.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


@dataclasses.dataclass(frozen=True)
class Script:
  """A script of the page: its text, or the name of its file.

  Attributes:
    text: JavaScript, safe inside a <script> element; "" if it is a file.
    src: the file's address, relative to the page; "" if it is inside.
  """

  text: markupsafe.Markup = markupsafe.Markup("")
  src: str = ""


class Assets:
  """Collects data and images; `finish` decides where they are.

  Attributes:
    files: content by name in `FOLDER`, of what is beside the page.
  """

  def __init__(self) -> None:
    self.files: dict[str, bytes] = {}
    self._data: dict[str, str] = {}
    self._late: set[str] = set()
    self._images: list[bytes] = []
    self._library = ""

  def data(self, name: str, value: Any, *, late: bool = False) -> None:
    """Adds data under a name; `late`: read only once it is needed."""
    self._data[name] = script_text(name, value)
    if late:
      self._late.add(name)

  def image(self, content: bytes) -> None:
    """Adds a WebP image."""
    self._images.append(content)

  def library(self, text: str) -> None:
    """Adds a library's JavaScript."""
    self._library = text

  def finish(self) -> tuple[list[Script], dict]:
    """The page's scripts in order, and what the page must know of the rest.

    Returns:
      The scripts; and `sheets`, the addresses of the images, and `late`, the
      address of each script that is read only when needed, by name.
    """
    size = sum(map(len, self._data.values())) + sum(map(len, self._images))
    if size <= INLINE_LIMIT:
      sheets = [data_uri(content) for content in self._images]
      texts = [*self._data.values(), safe_script(self._library)]
      scripts = [Script(text=markupsafe.Markup(t)) for t in texts if t]
      return scripts, {"sheets": sheets, "late": {}}
    scripts, late = [], {}
    for index, (name, text) in enumerate(self._data.items()):
      file = f"{index:03d}.js"
      self.files[file] = text.encode()
      if name in self._late:
        late[name] = f"{FOLDER}/{file}"
      else:
        scripts.append(Script(src=f"{FOLDER}/{file}"))
    if self._library:
      self.files["library.js"] = self._library.encode()
      scripts.append(Script(src=f"{FOLDER}/library.js"))
    sheets = []
    for index, content in enumerate(self._images):
      file = f"{index:03d}.webp"
      self.files[file] = content
      sheets.append(f"{FOLDER}/{file}")
    return scripts, {"sheets": sheets, "late": late}


def data_uri(content: bytes) -> str:
  """A WebP image as a data URI."""
  return "data:image/webp;base64," + base64.b64encode(content).decode()


def script_text(name: str, value: Any) -> str:
  """A script that puts a value; safe inside a <script> element."""
  return f"memoTf.put({to_json(name)},{to_json(value)})"


def to_json(value: Any) -> str:
  """JSON that is safe inside a <script> element; NaN becomes null.

  Arrays become text that the page's script unpacks: "f4:" and base64 of their
  bytes, little-endian, in the smallest of the types u1, u2, i4 and f4 that
  holds their values.
  """
  text = json.dumps(_plain(value), separators=(",", ":"), allow_nan=False)
  return text.translate(_ESCAPES)


def safe_script(text: str) -> str:
  """A library's text without what would end its <script> element."""
  return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _plain(value: Any) -> Any:
  if isinstance(value, dict):
    return {str(key): _plain(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(item) for item in value]
  if isinstance(value, np.ndarray):
    return packed(value)
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def packed(values: np.ndarray) -> str:
  """An array `[N]` of numbers or bools as the page's script unpacks it."""
  values = np.asarray(values)
  if values.dtype.kind == "f":
    kind = "f4"
  else:
    low, high = (
      (int(values.min()), int(values.max())) if values.size else (0, 0)
    )
    kind = "i4"
    if low >= 0 and high < 2**16:
      kind = "u1" if high < 2**8 else "u2"
  content = np.ascontiguousarray(values.astype(f"<{kind}")).tobytes()
  return f"{kind}:{base64.b64encode(content).decode()}"
