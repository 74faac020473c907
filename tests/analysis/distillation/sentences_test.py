"""Sentences about two recipes say no more than their intervals."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd

from memo_tf.analysis.distillation import sentences
from memo_tf.analysis.distillation import sets


def changes(memorization, inside=(0.0, -0.1, 0.1), test=(0.0, -0.1, 0.1)):
  """A table of two sizes and their mean, the same change at all."""
  columns = {"size": [0, 1, -1]}
  for name, values in (
    ("memorization", memorization),
    ("in_accuracy", inside),
    ("out_accuracy", (0.01, 0.0, 0.02)),
    ("test_accuracy", test),
  ):
    for suffix, value in zip(("", "_low", "_high"), values):
      columns[f"{name}_change{suffix}"] = [value] * 3
  return pd.DataFrame(columns)


def set_changes(estimate, spread, count=30):
  """Changes of two sets, of which "a" falls by `estimate`, "b" stays."""
  values = np.zeros((101, 1, 2, 3))
  values[0, 0, 0, 0] = -estimate
  noise = np.random.default_rng(0).normal(0, spread, 100)
  values[1:, 0, 0, 0] = noise - estimate
  return sets.SetChanges(
    names=("a", "b"),
    num_examples=np.array([count, 50]),
    values=values,
    degrees=38,
    scale=1.0,
  )


def matched(*rows):
  """A table of (size, in-accuracy, lower, upper, change, low, high)."""
  columns = "size in_accuracy lower upper change change_low change_high"
  table = pd.DataFrame(rows, columns=columns.split())
  table["model"] = [f"m{size}" for size in table["size"]]
  table["lower_in_accuracy"], table["upper_in_accuracy"] = 0.9, 0.99
  return table


class MatchedFindingTest(parameterized.TestCase):
  @parameterized.parameters(
    ((-0.02, -0.03, -0.01), "yes", "memorization falls: -0.0200 [-0.0300"),
    ((0.02, 0.01, 0.03), "no", "memorization rises: +0.0200"),
    ((-0.02, -0.05, 0.01), "open", "memorization is not shown to change"),
  )
  def test_one_matched_size(self, change, answer, text):
    table = matched(
      (0, 0.95, "one_hot-e5", "one_hot", *change),
      (1, 0.85, "", "one_hot", *[np.nan] * 3),
    )

    found = sentences.matched_finding(table)

    self.assertEqual(found.answer, answer)
    self.assertIn(text, found.text)
    self.assertIn("m0, 0.9500, between one_hot-e5 and one_hot", found.text)
    self.assertIn("cannot tell at m1", found.text)

  def test_the_mean_over_sizes_answers(self):
    table = matched(
      (0, 0.95, "one_hot", "one_hot", -0.1, -0.3, 0.1),
      (1, 0.96, "one_hot", "one_hot", -0.1, -0.3, 0.1),
      (-1, np.nan, "", "", -0.1, -0.15, -0.05),
    )

    found = sentences.matched_finding(table)

    self.assertEqual(found.answer, "yes")
    self.assertIn("on average over 2 sizes: -0.1000 [-0.1500", found.text)
    self.assertIn("m0, 0.9500, beside one_hot;", found.text)

  @parameterized.parameters(
    ("one_hot", "one_hot-e9", "in a gap of one-hot models, from 0.9000 to"),
    ("", "one_hot", "below that of every one-hot model, 0.9900 at least"),
    ("one_hot", "", "above that of every one-hot model, 0.9000 at most"),
  )
  def test_why_it_cannot_be_told(self, lower, upper, text):
    found = sentences.matched_finding(
      matched((0, 0.95, lower, upper, *[np.nan] * 3))
    )

    self.assertEqual(found.answer, "open")
    self.assertIn(text, found.text)


class MeanFindingsTest(parameterized.TestCase):
  @parameterized.parameters(
    ((-0.05, -0.06, -0.04), "yes", "falls on average over 2 sizes (falls at 2"),
    ((0.05, 0.04, 0.06), "no", "rises on average over 2 sizes (falls at 0"),
    ((-0.05, -0.11, 0.01), "open", "is not shown to change on average"),
  )
  def test_memorization(self, values, answer, text):
    found = sentences.mean_findings(["s", "m"], changes(values))

    self.assertEqual(found[0].answer, answer)
    self.assertIn(text, found[0].text)
    self.assertIn("held-out accuracy +0.0100 [+0.0000, +0.0200]", found[0].text)

  def test_both_accuracies(self):
    found = sentences.mean_findings(
      ["s", "m"],
      changes((0, -1, 1), (-0.03, -0.04, -0.02), (0.01, 0.005, 0.02)),
    )

    self.assertEqual([f.answer for f in found[1:]], ["yes", "yes"])
    self.assertIn("in the subset falls: -0.0300", found[1].text)
    self.assertIn("Test accuracy rises: +0.0100", found[2].text)

  def test_one_size_is_named(self):
    table = changes((-0.05, -0.06, -0.04)).iloc[:1]

    (found, *_) = sentences.mean_findings(["small"], table)

    self.assertIn("falls at small: -0.0500 [-0.0600, -0.0400]", found.text)


class SetFindingsTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.1, 0.01, 30, "yes", "falls more"),
    (-0.1, 0.01, 30, "no", "falls less"),
    (0.01, 0.1, 30, "open", "is not shown to fall more or less"),
    (0.1, 0.01, 19, "open", "only 19 images"),
  )
  def test_class(self, estimate, spread, count, answer, text):
    found = sentences.class_finding(
      set_changes(estimate, spread, count), "a", "b"
    )

    self.assertEqual(found.answer, answer)
    self.assertIn(text, found.text)

  def test_sets_with_too_few_images_are_left_out(self):
    table = set_changes(0.1, 0.01, 19).table()

    found = sentences.set_finding(table, "?", ["a", "b"], "memorization")
    none = sentences.set_finding(table, "?", ["a", "c"], "memorization")

    self.assertNotIn("a -", found.text)
    self.assertIn("b +0.0000", found.text)
    self.assertEqual(found.answer, "open")
    self.assertIsNone(none)

  def test_the_answer_is_that_of_the_first_set(self):
    table = set_changes(0.1, 0.01).table()

    found = sentences.set_finding(table, "?", ["a", "b"], "memorization")

    self.assertEqual(found.answer, "yes")
    self.assertIn("a -0.1000 [", found.text)


class OtherFindingsTest(absltest.TestCase):
  def test_named_images(self):
    counts = pd.DataFrame(
      {
        "model": ["s", "m"],
        "falls": [3, 0],
        "rises": [0, 1],
        "planted": [10, 10],
        "falls_planted": [2, 0],
      }
    )

    found = sentences.named_finding(counts)
    none = sentences.named_finding(counts.assign(falls=0, rises=0))

    self.assertEqual((found.answer, none.answer), ("yes", "open"))
    self.assertIn("s: falls for 3 (2 planted), rises for 0; m: ", found.text)

  def test_exposure_and_held_out_labels(self):
    values = np.array([[0.7, 0.6, 0.8], [0.6, 0.5, 0.7], [-0.1, -0.15, -0.05]])

    lower = sentences.exposure_finding("s", values)
    less = sentences.held_out_finding("wrong", "s", values)
    self.assertEqual((lower.answer, less.answer), ("yes", "no"))
    self.assertIn(
      "falls: from 0.7000 to 0.6000, -0.1000 [-0.1500, -0.0500] (s;", lower.text
    )


if __name__ == "__main__":
  absltest.main()
