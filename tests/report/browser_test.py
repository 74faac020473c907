"""The page of a real study in a real browser, opened from disk."""

import csv
import pathlib
import re

from absl.testing import absltest
import numpy as np
import pandas as pd
import pytest

from tests.support import browser
from tests.support import shared_studies

UNIT = "cifar_resnet-8-w0.5/one_hot/r0.70"


def scores_of(study: pathlib.Path, group: str = UNIT) -> pd.DataFrame:
  return pd.read_parquet(study / "scores" / group / "memorization.parquet")


class BrowserTest(absltest.TestCase):
  def test_it_opens_and_a_click_shows_an_image(self):
    browser.chromium()  # skips before anything is trained
    study = shared_studies.finished("ten").folder
    scores = scores_of(study)

    with browser.browser() as running:
      found = browser.visit(running, study / "report/index.html")
      found.page.click("#grid .tile >> nth=0")
      title = found.text("#drawer-title")
      text = found.text("#drawer")
      found.page.keyboard.press("Escape")
      hidden = found.page.locator("#drawer").is_hidden()

    self.assertEmpty(found.problems)
    self.assertEmpty(found.requests)
    n = int(title.removeprefix("image "))
    row = scores.loc[n]
    num_in, num_out = int(row["num_in"]), int(row["num_out"])
    self.assertEqual(row["ci_low"], scores["ci_low"].max())
    self.assertIn(f"{row['memorization']:.2f}", text)
    self.assertIn(f"{row['ci_low']:.2f} to {row['ci_high']:.2f}", text)
    right = round(row["in_accuracy"] * row["num_in"])
    self.assertIn(f"{right} of {num_in} models are right", text)
    right = round(row["out_accuracy"] * row["num_out"])
    self.assertIn(f"{right} of {num_out} models are right", text)
    self.assertTrue(hidden)


@pytest.mark.slow
class ClickThroughTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    browser.chromium()
    cls.study = shared_studies.finished("proxies").folder
    cls.path = cls.study / "report/index.html"
    cls.group = "cifar_resnet-8-w0.5/one_hot/r0.50"  # the larger of two
    cls.scores = scores_of(cls.study, cls.group)
    cls.running = cls.enterClassContext(browser.browser())

  def visit(self, address="", **options) -> browser.Visit:
    found = browser.visit(self.running, self.path, address, **options)
    self.addCleanup(found.page.close)
    return found

  def ids(self, found: browser.Visit) -> list[int]:
    """The images of the tiles in sight, in order."""
    return found.page.eval_on_selector_all(
      "#grid .tile",
      "all => all.sort((a, b) => a.dataset.position - b.dataset.position)"
      ".map(t => Number(t.dataset.id))",
    )

  def test_filters_and_sort_are_those_of_the_files(self):
    found, scores = self.visit(), self.scores

    found.page.select_option("#label", "3")
    count = int(found.text("#count").split()[0])
    self.assertEqual(count, (scores["label"] == 3).sum())
    found.page.fill("#from", "0.5")
    found.page.keyboard.press("Tab")
    kept = scores[(scores["label"] == 3) & (scores["memorization"] >= 0.5)]
    self.assertEqual(int(found.text("#count").split()[0]), len(kept))
    found.page.click("#reset")
    found.page.select_option("#sort", "score")
    values = scores.loc[self.ids(found), "memorization"].to_numpy()
    self.assertTrue((np.diff(values) <= 0).all())
    self.assertEqual(values[0], scores["memorization"].max())
    found.page.click("#direction")
    values = scores.loc[self.ids(found), "memorization"].to_numpy()
    self.assertEqual(values[0], scores["memorization"].min())
    found.page.select_option("#sort", label="proxy: el2n")
    proxies = pd.read_parquet(
      self.study / "proxies/cifar_resnet-8-w0.5/one_hot.parquet"
    )
    values = proxies.loc[self.ids(found), "el2n"].to_numpy()
    self.assertTrue((np.diff(values) >= -1e-7).all())
    found.page.fill("#search", "#17")
    self.assertEqual(self.ids(found), [17])
    self.assertEmpty(found.problems)

  def test_an_image_has_its_curve_over_training(self):
    [folder] = self.study.glob("findings/epochs/*/one_hot/r0.50")
    scores = pd.read_parquet(folder / "scores.parquet")
    scores = scores[scores["model"] == self.group.partition("/")[0]]
    known = scores.groupby("example_id")["memorization"].count() == 2
    image = int(known.index[known][0])
    found = self.visit()

    found.page.fill("#search", f"#{image}")
    found.page.click("#grid .tile")

    values = scores[scores["example_id"] == image]["memorization"]
    label = found.page.get_attribute(
      "svg[aria-label^='Memorization by epoch']", "aria-label"
    )
    self.assertRegex(
      label,
      r"epoch 1 .*{:.2f}, epoch 2 .*{:.2f}".format(*values.abs()),
    )
    self.assertIn("Over training", found.text("#drawer"))
    self.assertEmpty(found.problems)

  def test_brushing_the_histogram_keeps_a_range(self):
    found = self.visit()
    found.page.wait_for_selector("#chart-histogram[data-drawn]")
    found.page.locator("#chart-histogram").scroll_into_view_if_needed()
    found.page.wait_for_timeout(500)
    box = found.page.locator("#chart-histogram").bounding_box()

    found.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 40)
    found.page.mouse.down()
    found.page.mouse.move(
      box["x"] + 0.99 * box["width"], box["y"] + 60, steps=5
    )
    found.page.mouse.up()
    found.page.wait_for_function("document.getElementById('from').value !== ''")

    low = float(found.page.input_value("#from"))
    self.assertBetween(low, 0.0, 0.9)
    kept = (self.scores["memorization"] >= low - 1e-6).sum()
    found.page.wait_for_function(
      f"document.getElementById('count').textContent.startsWith('{kept} ')"
    )
    self.assertEmpty(found.problems)

  def test_an_address_is_a_view(self):
    found = self.visit()
    found.page.select_option("#label", "7")
    found.page.select_option("#sort", "score")
    found.page.click("#grid .tile >> nth=0")
    address, title = (
      found.page.url.partition("#")[2],
      found.text("h2#drawer-title"),
    )

    again = self.visit(f"#{address}")

    self.assertEqual(again.text("#drawer-title"), title)
    self.assertEqual(again.page.input_value("#label"), "7")
    self.assertEqual(again.text("#count"), found.text("#count"))
    again.page.go_back()
    self.assertEmpty(again.problems)

  def test_keys_move_open_choose_and_close(self):
    found = self.visit()
    order = self.ids(found)
    found.page.focus("#grid")

    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Enter"):
      found.page.keyboard.press(key)
    self.assertEqual(found.text("#drawer-title"), f"image {order[1]}")
    found.page.keyboard.press("ArrowRight")
    self.assertEqual(found.text("#drawer-title"), f"image {order[2]}")
    found.page.keyboard.press("Escape")
    self.assertTrue(found.page.locator("#drawer").is_hidden())
    self.assertEqual(found.page.evaluate("document.activeElement.id"), "grid")
    found.page.keyboard.press("Home")
    found.page.keyboard.press("Space")
    self.assertIn("1 chosen image", found.text("#export-what"))
    found.page.keyboard.press("End")
    self.assertLen(
      self.scores,
      1
      + int(
        found.page.get_attribute("#grid", "aria-activedescendant").removeprefix(
          "tile-"
        )
      ),
    )
    found.page.keyboard.press("/")
    self.assertEqual(found.page.evaluate("document.activeElement.id"), "search")
    self.assertEmpty(found.problems)

  def test_what_is_shown_is_exported(self):
    found, scores = self.visit("#label=2"), self.scores

    rows = {}
    for kind in ("ids", "cleanlab", "files"):
      with found.page.expect_download() as download:
        found.page.click(f"[data-export={kind}]")
      path = pathlib.Path(download.value.path())
      with open(path, newline="") as file:
        rows[kind] = list(csv.reader(file))

    mine = scores[scores["label"] == 2]
    header, *ids = rows["ids"]
    self.assertEqual(header[0], "example_id")
    self.assertCountEqual([int(r[0]) for r in ids], mine["example_id"])
    for row in ids:
      got = dict(zip(header, row))
      expected = scores.loc[int(got["example_id"]), "memorization"]
      self.assertAlmostEqual(float(got["memorization"]), expected, places=4)
    self.assertEqual(
      rows["cleanlab"][0][1:],
      ["is_label_issue", "label_score", "given_label", "predicted_label"],
    )
    self.assertLen(rows["cleanlab"], 1 + len(mine))
    self.assertLen(rows["files"], len(mine))
    self.assertEmpty(found.problems)

  def test_every_chart_draws_in_light_and_dark(self):
    for dark in (False, True):
      found = self.visit(dark=dark)
      found.page.eval_on_selector_all(
        "details", "all => { for (const d of all) d.open = true; }"
      )
      for node in found.page.query_selector_all("[data-chart]"):
        node.scroll_into_view_if_needed()
        found.page.wait_for_function("n => n.dataset.drawn", arg=node)
      found.page.click("#theme")
      found.page.wait_for_timeout(300)
      self.assertEmpty(found.problems)
      self.assertEmpty(found.requests)

  def test_nothing_overflows_and_no_text_is_small(self):
    for width in (1400, 700, 400, 320):
      found = self.visit(width=width)
      found.page.eval_on_selector_all(
        "details", "all => { for (const d of all) d.open = true; }"
      )
      self.assertLessEqual(found.overflow(), 0, width)
      small = found.page.evaluate(
        """[...document.querySelectorAll('body *')].filter(e =>
          [...e.childNodes].some(c => c.nodeType === 3 && c.data.trim()) &&
          !['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(e.tagName) &&
          parseFloat(getComputedStyle(e).fontSize) < 12)
          .map(e => e.outerHTML.slice(0, 80))"""
      )
      self.assertEmpty(small)

  def test_a_heat_map_cell_and_a_point_lead_to_images(self):
    found = self.visit()
    found.page.locator("#chart-answers").scroll_into_view_if_needed()
    found.page.wait_for_selector("#chart-answers[data-drawn]")
    found.page.wait_for_timeout(500)
    box = found.page.locator("#chart-answers").bounding_box()
    found.page.mouse.click(
      box["x"] + 0.5 * box["width"], box["y"] + 0.45 * box["height"]
    )
    found.page.wait_for_function("document.getElementById('said').value !== ''")
    self.assertNotEqual(found.page.input_value("#label"), "")
    found.page.locator("#chart-proxy-0-0").scroll_into_view_if_needed()
    found.page.wait_for_selector("#chart-proxy-0-0[data-drawn]")
    picked = found.page.evaluate(
      """() => {
        const points = Bokeh.documents.map(
          d => d.get_model_by_name("opens-image")).find(Boolean);
        points.selected.indices = [5];
        return points.data.id[5];
      }"""
    )
    self.assertEqual(found.text("#drawer-title"), f"image {picked}")
    self.assertEmpty(found.problems)

  def test_axe_finds_no_serious_fault(self):
    script = browser.axe()
    for address, width, dark in (
      ("", 1400, False),
      ("#open=train:17", 1400, True),
      ("", 400, True),
    ):
      found = self.visit(address, width=width, dark=dark)
      found.page.eval_on_selector_all(
        "details", "all => { for (const d of all) d.open = true; }"
      )
      # The page's own policy forbids foreign scripts, not evaluated ones.
      found.page.evaluate(script)
      result = found.page.evaluate(
        "axe.run({exclude: [['.chart']]}, {resultTypes: ['violations']})"
      )
      faults = [
        (v["id"], v["impact"], [n["html"][:160] for n in v["nodes"][:3]])
        for v in result["violations"]
        if v["impact"] in ("serious", "critical")
      ]
      self.assertEmpty(faults)

  def test_it_prints(self):
    found = self.visit(dark=True)
    content = found.page.pdf()

    self.assertStartsWith(content, b"%PDF")
    # The grid of all images is cut, not a hundred blank pages.
    pages = re.findall(rb"/Type\s*/Page\b(?!s)", content)
    self.assertBetween(len(pages), 2, 30)
    found.page.emulate_media(media="print")
    self.assertEqual(
      found.page.evaluate("getComputedStyle(document.body).backgroundColor"),
      "rgb(255, 255, 255)",
    )
    self.assertEmpty(found.problems)


if __name__ == "__main__":
  absltest.main()
