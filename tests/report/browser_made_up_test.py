"""Pages of made-up studies in a real browser: what real ones seldom have."""

import dataclasses
import pathlib
from unittest import mock
import urllib.parse

from absl.testing import absltest
import numpy as np
import pytest

from memo_tf.report import assets
from tests.support import browser
from tests.support import page_study

EVIL = page_study.EVIL


@pytest.mark.slow
class HostileTextTest(absltest.TestCase):
  def test_names_are_shown_and_never_executed(self):
    group = page_study.with_pairs(
      page_study.make_group(flagged=[(EVIL, EVIL)]), q=0.01
    )
    group.examples["source"] = [EVIL, EVIL, EVIL, EVIL]
    group.examples["duplicate_of_train"] = [1, 0, -1, -1]
    root = pathlib.Path(self.create_tempdir().full_path)
    path = page_study.write(root, [group], {EVIL: EVIL})
    dialogs = []

    with browser.browser() as running:
      found = browser.visit(running, path, f"#q={urllib.parse.quote(EVIL)}")
      found.page.on("dialog", lambda d: (dialogs.append(d), d.dismiss()))
      tiles = found.page.locator("#grid .tile").all_inner_texts()
      found.page.click("#grid .tile >> nth=0")
      drawer = found.text("#drawer")
      found.page.keyboard.press("Escape")
      for kind in ("ids", "cleanlab", "files"):
        with found.page.expect_download() as download:
          found.page.click(f"[data-export={kind}]")
        download.value.path()
      found.page.eval_on_selector_all(
        "details", "all => { for (const d of all) d.open = true; }"
      )
      for node in found.page.query_selector_all("[data-chart]"):
        node.scroll_into_view_if_needed()
        found.page.wait_for_function("n => n.dataset.drawn", arg=node)
      found.page.click("[data-open^=test]")
      test_drawer = found.text("#drawer")
      cells = found.page.locator("#chart-answers")
      cells.scroll_into_view_if_needed()
      cells.hover(force=True)
      found.page.wait_for_timeout(500)
      strange = found.page.locator("img[src=x], [onerror]").count()

    self.assertLen(tiles, 4)  # the search has found them all
    self.assertTrue(any(EVIL in text for text in tiles))
    self.assertIn(EVIL, drawer)
    self.assertIn(EVIL, test_drawer)
    self.assertEmpty(dialogs)
    self.assertEqual(strange, 0)
    self.assertEmpty(found.problems)
    self.assertEmpty(found.requests)


@pytest.mark.slow
class FilesBesideTest(absltest.TestCase):
  """A page whose data are beside it; the first of two groups is read late."""

  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.create_tempdir().full_path)
    groups = [
      page_study.make_group(model="cifar_resnet-8", never_out=True),
      page_study.with_pairs(
        page_study.make_group(model="cifar_resnet-14"), q=0.05
      ),
    ]
    with mock.patch.object(assets, "INLINE_LIMIT", 0):
      self.path = page_study.write(root, groups)
    self.running = self.enter_context(browser.browser())

  def test_an_address_opens_an_image_of_a_group_that_is_read_late(self):
    found = browser.visit(self.running, self.path, "#group=0&open=train:0")
    found.page.wait_for_selector("#drawer :text('it has no score')")
    self.assertIn("ResNet-8", found.text("#drawer .facts"))

    # The drawer follows the chosen model.
    found.page.select_option("#group", "")

    self.assertIn("ResNet-14", found.text("#drawer .facts"))
    self.assertEmpty(found.problems)

  def test_the_keyboard_stays_in_the_drawer(self):
    found = browser.visit(self.running, self.path, "#sort=id")
    found.page.click("#grid .tile >> nth=0")
    # Its scores by the other model are read after it was opened.
    found.page.wait_for_selector("#drawer td:text('– [–')")
    titles = []
    for key in ("ArrowRight", "ArrowRight", "Enter", "ArrowLeft"):
      if key == "Enter":
        found.page.focus("#drawer [title='Next image']")
      found.page.keyboard.press(key)
      titles.append(found.text("#drawer-title"))

    self.assertEqual(titles, ["image 1", "image 2", "image 3", "image 2"])
    label = "document.activeElement.getAttribute('aria-label')"
    self.assertEqual(found.page.evaluate(label), "Next image")
    self.assertEmpty(found.problems)

  def test_a_pair_is_called_the_same_in_section_and_drawer(self):
    found = browser.visit(self.running, self.path)
    text = "q = 0.050: unlikely to be chance"
    self.assertIn(text, found.text("#influence"))

    found.page.click("[data-open^=test]")

    self.assertIn(text, found.text("#drawer"))
    # The file has the q-value from margins too.
    self.assertIn("by margin q = 0.200: may be chance", found.text("#drawer"))
    self.assertEmpty(found.problems)

  def test_answers_that_have_no_bar_are_counted(self):
    group = page_study.with_pairs(page_study.make_group(), q=0.01)
    stack = group.stack
    repeated = {
      name: np.tile(getattr(stack, name), (3, 1))
      for name in ("in_mask", "predicted", "label_prob", "margin")
    }
    # Test image 1 is taken for each of twelve classes once, and is of the last.
    answers = np.stack([np.zeros(12), np.arange(12)], axis=1).astype(np.int32)
    stack = dataclasses.replace(
      stack,
      **repeated,
      units=tuple(
        dataclasses.replace(stack.units[0], index=m) for m in range(12)
      ),
      test_predicted=answers,
      test_labels=np.array([0, 11], np.int32),
    )
    path = page_study.write(
      pathlib.Path(self.create_tempdir().full_path),
      [dataclasses.replace(group, stack=stack)],
      info={
        "num_classes": 12,
        "class_names": [f"class {k}" for k in range(12)],
      },
    )

    found = browser.visit(self.running, path, "#open=test:1")

    self.assertIn("1 of 12 are right", found.text("#drawer .facts"))
    bars = found.text("#drawer .answers").split("\n")
    self.assertLen([text for text in bars if text == "1/12"], 9)
    self.assertEqual(
      [text for text in bars if "(label)" in text], ["class 11 (label)"]
    )
    self.assertEqual(bars[-2:], ["other classes", "3/12"])

  def test_an_address_of_nothing_opens_nothing(self):
    for address in (
      "open=test:constructor",
      "open=test:0",  # of no pair
      "open=train:1.5",
      "open=train:4",
      "open=train",
      "group=-1",
      "group=length",
      "sort=none",
    ):
      found = browser.visit(self.running, self.path, f"#{address}")
      self.assertTrue(found.page.locator("#drawer").is_hidden(), address)
      self.assertEqual(found.page.locator("#grid .tile").count(), 4, address)
      self.assertEmpty(found.problems, address)
      found.page.close()


if __name__ == "__main__":
  absltest.main()
