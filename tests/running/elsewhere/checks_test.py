"""What a user gives is checked before anything is written."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.experiment import errors
from memo_tf.running.elsewhere import checks
from memo_tf.running.elsewhere import given as given_lib
from tests.support import predictions_elsewhere

PREDICTIONS = ("logits", "margin", "correct", "test_logits")


def by_model(values: dict) -> dict:
  return {
    name: {"m": value} if name in PREDICTIONS and value is not None else value
    for name, value in values.items()
  }


def changed(**changes):
  values = predictions_elsewhere.values()
  return {**values, **changes}


def with_value(name: str, place, value):
  """The usual values, one of them changed in one place."""
  values = predictions_elsewhere.values()
  array = values[name].copy()
  array[place] = value
  return values | {name: array}


GOOD = predictions_elsewhere.values()
CORRECT = predictions_elsewhere.correct(GOOD)


class CheckedTest(parameterized.TestCase):
  def take(self, values: dict) -> list[dict]:
    given = checks.checked(by_model(values))
    return list(given.outcomes("m"))

  @parameterized.named_parameters(
    (
      "nothing",
      changed(logits=None),
      "one of `logits`, `margin` and `correct`",
    ),
    ("two", changed(margin=CORRECT * 1.0), "Received: logits and margin"),
    ("no mask", changed(in_mask=None), "`in_mask` must be given"),
    ("whole mask", changed(in_mask=GOOD["in_mask"] * 1), "must be bool"),
    (
      "in none",
      with_value("in_mask", np.s_[:, 3], False),
      "example 3 in no run",
    ),
    (
      "in all",
      with_value("in_mask", np.s_[:, 4], True),
      r"example 4 in every run \(1 such\)",
    ),
    ("empty", with_value("in_mask", 6, False), "run 6 of `in_mask` on none"),
    ("few labels", changed(labels=GOOD["labels"][1:]), "30. Received: 29"),
    ("high label", with_value("labels", 5, 3), "training example 5"),
    ("low label", with_value("test_labels", 2, -1), "-1 for test example 2"),
    ("fraction", changed(labels=GOOD["labels"] + 0.5), "whole numbers"),
    ("nan", with_value("logits", (7, 2, 0), np.nan), "example 2 in the logits"),
    ("probabilities", changed(logits=np.full((20, 30, 3), 1 / 3)), "sum to 1"),
    ("few runs", changed(logits=GOOD["logits"][:9]), "Received: 9 for m"),
    ("few examples", changed(logits=GOOD["logits"][:, 1:]), r"\[29, 3\]"),
    ("flat logits", changed(logits=GOOD["logits"][..., 0]), r"\[M, N, C\]"),
    ("no test labels", changed(test_labels=None), "go together"),
    ("class names", changed(class_names=["a"]), "3 classes"),
    ("names", changed(file_names=["a"]), "name each of 30"),
    ("test images", changed(test_images=None), "images alone"),
    (
      "channels first",
      changed(images=np.zeros((30, 3, 8, 8)), test_images=None),
      "moveaxis|alone",
    ),
    ("dark", changed(images=-np.ones((30, 8, 8))), "one dtype"),
  )
  def test_refuses_in_one_line(self, values, message):
    with self.assertRaisesRegex(errors.UsageError, message) as caught:
      self.take(values)

    self.assertNotIn("\n", str(caught.exception))

  def test_refuses_correctness_that_is_not_bool(self):
    values = changed(logits=None, test_logits=None, test_labels=None)
    values |= {"correct": CORRECT.astype(float)}
    values = {k: v for k, v in values.items() if "test" not in k}

    with self.assertRaisesRegex(errors.UsageError, "predicted == labels"):
      self.take(values)

  def test_refuses_channels_first_and_negative_pixels(self):
    values = {k: v for k, v in GOOD.items() if "test" not in k}
    for images, message in (
      (np.zeros((30, 3, 8, 8)), "moveaxis"),
      (-np.ones((30, 8, 8)), r"\[0, 1\]"),
    ):
      with self.assertRaisesRegex(errors.UsageError, message):
        self.take(values | {"images": images})

  def test_only_correctness_leaves_what_was_predicted_open(self):
    """Of three classes; of two a wrong prediction is the other one."""
    values = {k: v for k, v in GOOD.items() if "test" not in k}
    values |= {"logits": None, "correct": CORRECT}

    given = checks.checked(by_model(values))
    first = next(given.outcomes("m"))["predicted"]

    self.assertEqual(given.class_names[-1], given_lib.ANOTHER)
    np.testing.assert_array_equal(
      first, np.where(CORRECT[0], GOOD["labels"], 3)
    )
    two = values | {"labels": GOOD["labels"] % 2, "class_names": ["a", "b"]}
    given = checks.checked(by_model(two))
    first = next(given.outcomes("m"))["predicted"]
    self.assertEqual(given.class_names, ("a", "b"))
    np.testing.assert_array_equal(first == GOOD["labels"] % 2, CORRECT[0])
    self.assertContainsSubset(first, (0, 1))

  def test_fractions_become_pixels(self):
    values = {k: v for k, v in GOOD.items() if "test" not in k}

    given = checks.checked(
      by_model(values | {"images": values["images"] / 255})
    )

    np.testing.assert_array_equal(given.images[..., 0], values["images"])


if __name__ == "__main__":
  absltest.main()
