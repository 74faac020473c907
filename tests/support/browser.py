"""A real Chromium that opens pages from disk, driven by Playwright.

Debian's: `apt-get install chromium`; Playwright's own are not downloaded.
"""

from collections.abc import Iterator
import contextlib
import os
import pathlib
import shutil
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Set by CI: what is missing fails, instead of being skipped.
REQUIRE = "MEMO_TF_REQUIRE_BROWSER"
# Installed by `npm install --no-save axe-core@4.14.1`.
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


def chromium() -> str:
  """Path of the browser; skips the test where there is none."""
  for name in ("chromium", "chromium-browser", "google-chrome"):
    if found := shutil.which(name):
      return found
  _missing("chromium (apt-get install chromium)")
  raise AssertionError


def axe() -> str:
  """The text of axe-core; skips the test where it is not installed."""
  if not AXE.exists():
    _missing("axe-core (npm install --no-save axe-core@4.14.1)")
  return AXE.read_text()


def _missing(what: str) -> None:
  if os.environ.get(REQUIRE):
    raise AssertionError(f"{REQUIRE} is set, and there is no {what}")
  raise unittest.SkipTest(f"there is no {what}")


class Visit:
  """An open page.

  Attributes:
    page: Playwright's.
    problems: errors and warnings of its console, and its exceptions.
    requests: addresses that it asked for, but files and data.
  """

  def __init__(self, page):
    self.page, self.problems, self.requests = page, [], []
    page.on("console", self._on_console)
    page.on("pageerror", lambda error: self.problems.append(str(error)))
    page.on("request", self._on_request)

  def _on_console(self, message) -> None:
    if message.type in ("error", "warning"):
      self.problems.append(message.text)

  def _on_request(self, request) -> None:
    if not request.url.startswith(("file:", "data:", "blob:")):
      self.requests.append(request.url)

  def text(self, selector: str) -> str:
    """What the first such element shows."""
    return self.page.locator(selector).first.inner_text()

  def overflow(self) -> int:
    """Pixels by which the page is wider than the window."""
    return self.page.evaluate(
      "document.documentElement.scrollWidth - window.innerWidth"
    )


@contextlib.contextmanager
def browser() -> Iterator:
  """A running Chromium without a window."""
  path = chromium()
  from playwright import sync_api  # not needed where there is no browser

  with sync_api.sync_playwright() as playwright:
    # As root, as in a container, Chromium has no sandbox.
    found = playwright.chromium.launch(
      executable_path=path, args=["--no-sandbox"]
    )
    yield found
    found.close()


def visit(
  running,
  path: pathlib.Path,
  address: str = "",
  *,
  width: int = 1400,
  height: int = 900,
  dark: bool = False,
) -> Visit:
  """Opens a page and waits until it is ready.

  Args:
    running: from `browser`.
    path: of the page.
    address: what follows the path, from "#" on.
    width, height: of the window, in pixels.
    dark: whether the user prefers dark pages.
  """
  page = running.new_page(
    viewport={"width": width, "height": height},
    color_scheme="dark" if dark else "light",
  )
  page.set_default_timeout(20_000)
  found = Visit(page)
  page.goto(path.resolve().as_uri() + address)
  page.wait_for_selector("html[data-ready]")
  return found
