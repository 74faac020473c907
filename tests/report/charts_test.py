"""Charts as JSON: their values, and no number that JSON lacks."""

import json

from absl.testing import absltest
import numpy as np

from memo_tf.report import assets
from memo_tf.report import charts
from memo_tf.report import picking
from tests.support import page_data


def sources(chart: charts.Chart) -> list[dict]:
  """The columns of every data source of a chart."""
  return page_data.chart_columns(json.loads(assets.to_json(chart.item)))


class ChartsTest(absltest.TestCase):
  def test_lines_have_values_and_bands(self):
    line = charts.Line(
      name="score", values=[0.1, np.nan], low=[0.0, 0.1], high=[0.2, 0.3]
    )

    chart = charts.lines("a", "A", ["x", "y"], [line], y_label="s", alt="words")

    (columns,) = sources(chart)
    self.assertEqual(columns["y"], [0.1, None])
    self.assertEqual(columns["high"], [0.2, 0.3])

  def test_cells_of_a_joint_histogram_are_its_counts(self):
    chart = charts.joint_histogram(
      *("a", "A", [0.0, 0.95], [0.5, 0.05], [3, 700]),
      width=0.05,
      x_label="x",
      y_label="y",
      alt="words",
    )

    cells = next(found for found in sources(chart) if "count" in found)
    self.assertEqual(cells["count"], [3, 700])
    self.assertEqual((cells["left"], cells["low"]), ([0, 0.95], [0.5, 0.05]))
    np.testing.assert_allclose(cells["right"], [0.05, 1.0])
    np.testing.assert_allclose(cells["high"], [0.55, 0.1])
    self.assertLess(*cells["shade"])

  def test_cells_of_the_heat_map_are_its_shares(self):
    matrix = np.array([[0.75, 0.25], [0.0, 1.0]])

    chart = picking.heat_map(
      "a", "A", matrix, ["cat", "cat"], x_label="x", y_label="y", alt="words"
    )

    (columns,) = sources(chart)
    for name, values in {
      "share": [0.75, 0.25, 1.0],
      "y": [0, 0, 1],  # the given label
      "x": [0, 1, 1],  # what is said
    }.items():
      np.testing.assert_array_equal(columns[name], values, name)
    self.assertEqual(columns["given"], ["cat", "cat", "cat"])
    self.assertNotIn("NaN", json.dumps(chart.item))

  def test_the_library_is_whole_and_ends_no_script(self):
    text = charts.library()

    self.assertIn("embed_item", text)
    self.assertNotIn("</script", assets.safe_script(text))


if __name__ == "__main__":
  absltest.main()
