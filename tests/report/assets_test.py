"""Data of the page: the same arrays and texts come out, and no markup."""

import json

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.report import assets
from tests.support import page_data


class PackedTest(parameterized.TestCase):
  @parameterized.parameters(
    ([0, 255], "u1"),
    ([True, False], "u1"),
    ([0, 256], "u2"),
    ([0, 65535], "u2"),
    ([0, 65536], "i4"),
    ([-1, 3], "i4"),
    ([0.5, -0.25], "f4"),
    ([], "f4"),
  )
  def test_it_is_the_array_in_the_smallest_type(self, values, kind):
    values = np.array(values)

    text = assets.packed(values)

    self.assertStartsWith(text, f"{kind}:")
    np.testing.assert_array_equal(page_data.unpacked(text), values)

  def test_nan_stays_nan(self):
    found = page_data.unpacked(assets.packed(np.array([np.nan, 1.0])))

    np.testing.assert_array_equal(found, [np.nan, 1.0])


class TextTest(absltest.TestCase):
  def test_text_is_whole_and_ends_no_script(self):
    text = "</script><!-- & \u2028 \u2029 ü"

    found = assets.to_json({"name": [text]})

    for mark in "<>&\u2028\u2029":
      self.assertNotIn(mark, found)
    self.assertEqual(json.loads(found), {"name": [text]})

  def test_numbers_that_json_lacks_are_null(self):
    found = assets.to_json([float("nan"), np.float64("inf"), np.int64(3)])

    self.assertEqual(found, "[null,null,3]")


class AssetsTest(absltest.TestCase):
  def test_small_data_are_inside(self):
    found = assets.Assets()
    found.data("one", {"a": 1})
    found.data("two", 2, late=True)
    found.image(b"webp")

    scripts, beside = found.finish()

    self.assertEmpty(found.files)
    self.assertEqual(
      [script.text for script in scripts],
      ['memoTf.put("one",{"a":1})', 'memoTf.put("two",2)'],
    )
    self.assertEqual(beside["late"], {})
    self.assertStartsWith(beside["sheets"][0], "data:image/webp;base64,")

  def test_large_data_are_beside_and_late_ones_are_not_read_at_once(self):
    found = assets.Assets()
    found.data("one", {"a": 1})
    found.data("two", 2, late=True)
    found.image(b"w" * assets.INLINE_LIMIT)
    found.library("library")

    scripts, beside = found.finish()

    self.assertEqual(
      [script.src for script in scripts], ["data/000.js", "data/library.js"]
    )
    self.assertEqual(beside["late"], {"two": "data/001.js"})
    self.assertEqual(beside["sheets"], ["data/000.webp"])
    self.assertEqual(found.files["001.js"], b'memoTf.put("two",2)')
    self.assertCountEqual(
      found.files, ["000.js", "001.js", "library.js", "000.webp"]
    )


if __name__ == "__main__":
  absltest.main()
