"""Predictions: a run's table by hand, and the runs of a study as arrays."""

import json
import math
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions
from tests.support import made_up

FAMILY = "r0.50"
TRAIN_LABELS = np.array([0, 2, 1, 0], np.int32)
TEST_LABELS = np.array([1, 2], np.int32)
MASKS = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]], bool)


def unit(index):
  return work_units.WorkUnit("cifar_resnet-8", "one_hot", FAMILY, index)


def column(table, name):
  return table.column(name).to_pylist()


def logits_of(index):
  """`[6, 3]` float32: four training examples, then two test examples."""
  rng = np.random.default_rng(index)
  return rng.standard_normal((6, 3)).astype(np.float32)


def table_of(index, *, mask=None, labels=TRAIN_LABELS):
  logits = logits_of(index)
  mask = MASKS[index] if mask is None else mask
  return predictions.from_logits(
    logits[:4], logits[4:], labels, TEST_LABELS, mask
  )


class FromLogitsTest(parameterized.TestCase):
  def test_hand_computed(self):
    ln2, ln3 = math.log(2), math.log(3)
    train = np.array([[0, ln2, 0], [ln3, 0, 0]], np.float32)
    test = np.array([[0, 0, 0]], np.float32)

    table = predictions.from_logits(
      train, test, np.array([1, 2]), np.array([2]), np.array([True, False])
    )

    self.assertEqual(tuple(table.column_names), predictions.COLUMNS)
    self.assertEqual(column(table, "split"), ["train", "train", "test"])
    self.assertEqual(column(table, "example_id"), [0, 1, 0])
    self.assertEqual(column(table, "in_subset"), [True, False, False])
    self.assertEqual(column(table, "label"), [1, 2, 2])
    # Three equal logits: the lowest class.
    self.assertEqual(column(table, "predicted"), [1, 0, 0])
    # Odds 1 : 2 : 1, then 3 : 1 : 1, then 1 : 1 : 1.
    np.testing.assert_allclose(
      column(table, "label_prob"), [2 / 4, 1 / 5, 1 / 3], rtol=1e-6
    )
    np.testing.assert_allclose(
      column(table, "margin"), [ln2, -ln3, 0.0], rtol=1e-6
    )

  @parameterized.parameters(
    ([5, 5, 1], 0), ([1, 5, 5], 1), ([5, 1, 5], 0), ([-1, -1, -1], 0)
  )
  def test_tie_goes_to_the_lowest_class(self, logits, expected):
    logits = np.array([logits], np.float32)

    for label in range(3):
      table = predictions.from_logits(
        logits, logits, np.array([label]), np.array([label]), np.array([True])
      )

      self.assertEqual(column(table, "predicted"), [expected] * 2)

  def test_equals_the_definition(self):
    rng = np.random.default_rng(0)
    logits = (10 * rng.standard_normal((40, 5))).astype(np.float32)
    labels = rng.integers(0, 5, 40)

    table = predictions.from_logits(
      logits[:30], logits[30:], labels[:30], labels[30:], np.ones(30, bool)
    )

    for row in range(40):
      values = [float(value) for value in logits[row]]
      own = values[labels[row]]
      others = [v for k, v in enumerate(values) if k != labels[row]]
      prob = 1 / sum(math.exp(value - own) for value in values)
      self.assertEqual(
        column(table, "predicted")[row], values.index(max(values))
      )
      self.assertAlmostEqual(
        column(table, "label_prob")[row] / prob, 1.0, delta=1e-6
      )
      self.assertAlmostEqual(
        column(table, "margin")[row], own - max(others), delta=1e-5
      )

  def test_large_logits_do_not_overflow(self):
    logits = np.array([[1e4, 0.0], [-1e4, 0.0], [1e30, 0.0]], np.float32)

    table = predictions.from_logits(
      logits[:2], logits[2:], np.array([0, 0]), np.array([0]), np.ones(2, bool)
    )

    self.assertEqual(column(table, "label_prob"), [1.0, 0.0, 1.0])
    np.testing.assert_allclose(
      column(table, "margin"), [1e4, -1e4, 1e30], rtol=1e-6
    )

  def test_types_are_as_documented(self):
    schema = table_of(0).schema

    self.assertEqual(schema.field("label_prob").type, pa.float32())
    self.assertEqual(schema.field("margin").type, pa.float32())
    self.assertEqual(schema.field("predicted").type, pa.int32())
    self.assertEqual(schema.field("label").type, pa.int32())
    self.assertEqual(schema.field("in_subset").type, pa.bool_())

  @parameterized.product(
    value=[math.nan, math.inf, -math.inf], test_split=[False, True]
  )
  def test_logit_that_is_not_finite_is_refused(self, value, test_split):
    train, test = np.zeros((2, 3), np.float32), np.zeros((1, 3), np.float32)
    (test if test_split else train)[0, 2] = value

    with self.assertRaisesRegex(ValueError, "a logit is not finite"):
      predictions.from_logits(
        train, test, np.zeros(2, int), np.zeros(1, int), np.ones(2, bool)
      )

  def test_bytes_are_a_parquet_file_of_the_table(self):
    table = table_of(0)

    read = pq.read_table(pa.BufferReader(predictions.table_bytes(table)))

    self.assertTrue(predictions.same_predictions(table, read))
    self.assertEqual(read.to_pylist(), table.to_pylist())


class SamePredictionsTest(parameterized.TestCase):
  def test_same_logits_give_the_same(self):
    self.assertTrue(predictions.same_predictions(table_of(1), table_of(1)))

  @parameterized.parameters(*predictions.COLUMNS)
  def test_one_value_of_any_column_counts(self, name):
    table = table_of(1)
    values = column(table, name)
    values[-1] = {
      "split": "train",
      "in_subset": True,
    }.get(name, values[-1] * 1.0001 if "." in str(values[-1]) else 7)
    field = table.schema.field(name)
    kind = pa.string() if name == "split" else field.type
    place = table.column_names.index(name)

    other = table.set_column(place, name, pa.array(values, kind))

    self.assertFalse(predictions.same_predictions(table, other))
    self.assertFalse(predictions.same_predictions(other, table))

  def test_number_of_rows_counts(self):
    table = table_of(1)

    self.assertFalse(predictions.same_predictions(table, table.slice(0, 5)))


class StudyTestCase(parameterized.TestCase):
  """A study of three runs of four training and two test examples."""

  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.directory = directory_lib.StudyDirectory(root / "a study")
    path = self.directory.in_mask_path(FAMILY)
    path.parent.mkdir(parents=True)
    np.save(path, MASKS)
    for index in range(3):
      self.write(index, table_of(index))

  def write(self, index, table):
    content = predictions.table_bytes(table)
    folder = self.directory.run_dir(unit(index))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictions.parquet").write_bytes(content)
    entry = {
      "bytes": len(content),
      "digest": files.digest_bytes(content),
    }
    record = {
      **made_up.ABOUT_RUN,
      "unit": unit(index).name,
      "outputs": {"predictions.parquet": entry},
    }
    (folder / "run.json").write_text(json.dumps(record))

  def stack(self, *indices):
    return predictions.stack_runs(self.directory, [unit(i) for i in indices])

  def assert_refused(self, message):
    with self.assertRaisesRegex(errors.StudyError, message) as caught:
      self.stack(0, 1, 2)
    return str(caught.exception)


class ReadRunTest(StudyTestCase):
  def test_gives_what_was_written(self):
    table = predictions.read_run(self.directory, unit(1))

    self.assertTrue(predictions.same_predictions(table, table_of(1)))

  def test_missing_run_is_named(self):
    with self.assertRaisesRegex(
      errors.StudyError,
      f"{unit(7).name} cannot be used.*cannot be read.*rerun",
    ):
      predictions.read_run(self.directory, unit(7))

  @parameterized.parameters("", "{", "{}", '{"outputs": {}}', "[]")
  def test_damaged_record_is_named(self, text):
    (self.directory.run_dir(unit(1)) / "run.json").write_text(text)

    self.assert_refused(f"{unit(1).name} cannot be used: .*cannot be read")

  def test_missing_file_is_named(self):
    (self.directory.run_dir(unit(1)) / "predictions.parquet").unlink()

    self.assert_refused(f"{unit(1).name} cannot be used: .*cannot be read")

  @parameterized.parameters(0, 100, -1)
  def test_flipped_bit_is_refused_with_the_unit(self, place):
    path = self.directory.run_dir(unit(1)) / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)

    message = self.assert_refused("differs from its recorded digest")

    self.assertIn(unit(1).name, message)
    self.assertIn("rerun the launch command", message)


class StackRunsTest(StudyTestCase):
  def test_arrays_by_run(self):
    stack = self.stack(0, 1, 2)

    self.assertEqual(stack.units, (unit(0), unit(1), unit(2)))
    np.testing.assert_array_equal(stack.in_mask, MASKS)
    np.testing.assert_array_equal(stack.labels, TRAIN_LABELS)
    np.testing.assert_array_equal(stack.test_labels, TEST_LABELS)
    for m in range(3):
      logits = logits_of(m)
      predicted = logits.argmax(axis=1)
      np.testing.assert_array_equal(stack.predicted[m], predicted[:4])
      np.testing.assert_array_equal(stack.test_predicted[m], predicted[4:])
      np.testing.assert_array_equal(
        stack.correct[m], predicted[:4] == TRAIN_LABELS
      )
      np.testing.assert_array_equal(
        stack.test_correct[m], predicted[4:] == TEST_LABELS
      )
      expected = column(table_of(m), "label_prob")
      np.testing.assert_array_equal(
        np.concatenate([stack.label_prob[m], stack.test_label_prob[m]]),
        np.array(expected, np.float32),
      )
      expected = column(table_of(m), "margin")
      np.testing.assert_array_equal(
        np.concatenate([stack.margin[m], stack.test_margin[m]]),
        np.array(expected, np.float32),
      )

  def test_types_are_as_documented(self):
    stack = self.stack(0, 1, 2)

    self.assertEqual(stack.in_mask.dtype, bool)
    self.assertEqual(stack.correct.dtype, bool)
    self.assertEqual(stack.label_prob.dtype, np.float32)
    self.assertEqual(stack.test_margin.dtype, np.float32)
    self.assertEqual(stack.predicted.dtype, np.int32)
    self.assertEqual(stack.labels.dtype, np.int32)

  def test_some_runs_in_the_order_given(self):
    stack = self.stack(2, 0)

    self.assertEqual(stack.units, (unit(2), unit(0)))
    np.testing.assert_array_equal(stack.in_mask, MASKS[[2, 0]])

  def test_run_on_another_subset_is_refused(self):
    self.write(1, table_of(1, mask=MASKS[2]))

    message = self.assert_refused("was not trained on subset 1 of r0.50")

    self.assertIn(unit(1).name, message)

  def test_run_with_other_labels_is_refused(self):
    self.write(2, table_of(2, labels=np.array([0, 2, 1, 1])))

    message = self.assert_refused("has other examples or labels")

    self.assertIn(unit(2).name, message)

  def test_run_with_fewer_examples_is_refused(self):
    self.write(2, table_of(2).slice(0, 5))

    self.assert_refused(f"{unit(2).name} has other examples")

  def test_run_in_another_order_is_refused(self):
    # Examples 0 and 3 have the same label: only their ids tell.
    self.write(2, table_of(2).take([3, 1, 2, 0, 4, 5]))

    self.assert_refused(f"{unit(2).name} has other examples")

  def test_first_run_in_another_order_is_refused(self):
    self.write(0, table_of(0).take([3, 1, 2, 0, 4, 5]))

    self.assert_refused("has other examples")

  def test_run_with_another_split_is_refused(self):
    logits = logits_of(2)
    labels = np.concatenate([TRAIN_LABELS, TEST_LABELS])
    self.write(
      2,
      predictions.from_logits(
        logits[:3], logits[3:], labels[:3], labels[3:], MASKS[2][:3]
      ),
    )

    self.assert_refused(f"{unit(2).name} has other examples")


class ReadExamplesTest(StudyTestCase):
  def test_gives_what_was_written(self):
    frame = pd.DataFrame(
      {
        "example_id": [0, 1, 0],
        "split": ["train", "train", "test"],
        "label": [0, 1, 1],
        "clean_label": [1, 1, 1],
        "is_noisy": [True, False, False],
      }
    )
    self.directory.dataset_dir.mkdir()
    frame.to_parquet(self.directory.dataset_dir / "examples.parquet")

    pd.testing.assert_frame_equal(
      predictions.read_examples(self.directory), frame
    )

  @parameterized.parameters(None, b"", b"PAR1 is not enough")
  def test_missing_or_damaged_is_refused(self, content):
    path = self.directory.dataset_dir / "examples.parquet"
    path.parent.mkdir()
    if content is not None:
      path.write_bytes(content)

    with self.assertRaisesRegex(
      errors.StudyError, "examples.parquet cannot be read"
    ):
      predictions.read_examples(self.directory)


class OutcomeTest(absltest.TestCase):
  def test_each_by_its_name(self):
    stack = predictions.RunStack(
      units=(),
      in_mask=np.zeros((2, 2), bool),
      label_prob=np.array([[0.1, 0.2], [0.3, 0.4]], np.float32),
      margin=np.array([[-1, 2], [-3, 4]], np.float32),
      predicted=np.array([[0, 1], [1, 1]]),
      labels=np.array([1, 1]),
      test_predicted=np.zeros((2, 0), int),
      test_labels=np.zeros(0, int),
      test_label_prob=np.zeros((2, 0), np.float32),
      test_margin=np.zeros((2, 0), np.float32),
    )

    np.testing.assert_array_equal(
      stack.outcome("correctness"), [[False, True], [True, True]]
    )
    self.assertIs(stack.outcome("label_probability"), stack.label_prob)
    self.assertIs(stack.outcome("margin"), stack.margin)
    with self.assertRaisesRegex(ValueError, "Received: 'label_prob'"):
      stack.outcome("label_prob")


if __name__ == "__main__":
  absltest.main()
