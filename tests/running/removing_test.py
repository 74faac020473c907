"""Rounds of a removal: what is selected, when, and that it stays so."""

import dataclasses
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np

from memo_tf.estimators import influence
from memo_tf.experiment import errors
from memo_tf.experiment import removal
from memo_tf.experiment import work_units
from memo_tf.running import removing
from memo_tf.scoring import groups
from memo_tf.store import predictions
from memo_tf.store import selections
from tests.store import selections_test
from tests.support import made_up

FAMILY, CONTROL = selections_test.FAMILY, selections_test.CONTROL
TARGETED = f"without-targeted-{made_up.GROUP.model}"


def scored(directory, settings, memorized=(1, 3, 7)) -> groups.GroupScores:
  """The scores of the made-up runs, with given memorization."""
  result = groups.score_group(
    directory,
    [made_up.unit(m) for m in range(4)],
    predictions.read_examples(directory),
  )
  values = np.full(made_up.NUM_TRAIN, 0.2)
  values[list(memorized)] = 0.25
  values[0] = np.nan
  scores = dataclasses.replace(result.scores, memorization=values)
  return dataclasses.replace(result, scores=scores, influence=None)


def pairs(train, test, influences, q):
  return influence.InfluencePairs(
    train_ids=np.array(train),
    test_ids=np.array(test),
    influence=np.array(influences),
    standard_error=np.full(len(train), 0.1),
    q_value=np.broadcast_to(q, len(train)),
    num_tested=100,
  )


class NextPlanTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = selections_test.config()
    self.directory = made_up.make(self.root / "a study", self.config)

  def next_plan(self, result, config=None):
    plan = selections.plan(self.directory, config or self.config)
    return removing.next_plan(self.directory, plan, [result])

  def test_examples_at_the_threshold_are_left_out(self):
    plan, lines = self.next_plan(scored(self.directory, self.config))

    self.assertEqual(set(plan.removed), {FAMILY, CONTROL})
    found = selections.read(self.directory, FAMILY)
    self.assertEqual(found.ids, (1, 3, 7))
    self.assertEqual(found.about["scored_by"], made_up.GROUP.name)
    self.assertEqual(found.about["runs"], [0, 1, 2, 3])
    self.assertEqual(found.about["estimator"], "plain")
    self.assertEqual(found.about["dataset_digest"], "d" * 32)
    self.assertEqual(selections.read(self.directory, CONTROL).ids, (1, 3, 7))
    self.assertRegex(lines[0], "3 of 20 training examples have memorization")

  def test_it_is_never_selected_again(self):
    self.next_plan(scored(self.directory, self.config))

    again, lines = self.next_plan(scored(self.directory, self.config, (2,)))

    self.assertIsNone(again)
    self.assertEqual(lines, [])
    self.assertEqual(selections.read(self.directory, FAMILY).ids, (1, 3, 7))

  def test_a_later_control_has_the_size_of_what_was_written(self):
    self.next_plan(scored(self.directory, self.config))
    more = selections_test.config(
      removal_comparisons=("same_classes", "random")
    )

    plan, _ = self.next_plan(scored(self.directory, more, (2,)), more)

    name = f"without-random-t0.25-{made_up.GROUP.model}"
    self.assertIn(name, plan.removed)
    self.assertEqual(selections.read(self.directory, name).ids, (1, 3, 7))

  def test_nothing_is_selected_before_all_runs_are_done(self):
    result = dataclasses.replace(
      scored(self.directory, self.config), num_missing=1
    )

    plan, lines = self.next_plan(result)

    self.assertIsNone(plan)
    self.assertRegex(lines[0], "until all runs of cifar_resnet-8 on r0.70")
    self.assertEqual(selections.written(self.directory, self.config), {})

  def test_nothing_above_the_threshold_is_written_and_said(self):
    plan, lines = self.next_plan(scored(self.directory, self.config, ()))

    self.assertIsNone(plan)
    self.assertRegex(lines[0], "0 of 20 .* nothing to leave out")
    self.assertEqual(selections.read(self.directory, FAMILY).ids, ())

  def test_too_much_to_leave_out_is_said(self):
    plan, lines = self.next_plan(
      scored(self.directory, self.config, range(1, 15))
    )

    self.assertIsNone(plan)
    self.assertRegex(lines[0], "other 6 do not fill a batch of 8")

  def test_a_lost_selection_with_runs_is_refused(self):
    self.next_plan(scored(self.directory, self.config))
    made_up.write_run(
      self.directory,
      self.config,
      0,
      family=FAMILY,
      mask=np.ones(made_up.NUM_TRAIN, bool),
    )
    selections.path(self.directory, FAMILY).unlink()

    with self.assertRaisesRegex(errors.StudyError, "restore it from a copy"):
      self.next_plan(scored(self.directory, self.config))

  def test_work_units_of_a_removal_need_its_selection(self):
    unit = work_units.WorkUnit(made_up.GROUP.model, "one_hot", FAMILY, 0)
    plan = selections.plan(self.directory, self.config)

    with self.assertRaisesRegex(errors.UsageError, "without --work_units"):
      removing.check_selected([unit], self.config, plan)

    plan, _ = self.next_plan(scored(self.directory, self.config))
    removing.check_selected([unit], self.config, plan)
    self.assertEqual(list(plan.selected([unit]).wanted), [unit])


class OnionTest(absltest.TestCase):
  """What an onion leaves out is selected by the runs it does not compare."""

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = selections_test.config(removal_repeats=0, onion_subsets=2)
    self.directory = made_up.make(self.root / "a study", self.config)
    self.result = groups.score_group(
      self.directory,
      [made_up.unit(m) for m in range(4)],
      predictions.read_examples(self.directory),
    )

  def next_plan(self, result):
    plan = selections.plan(self.directory, self.config)
    return removing.next_plan(self.directory, plan, [result])

  def test_the_other_runs_select(self):
    # Held out of run 2 or 3, ids below 10 are wrong; of run 0 or 1, all are.
    stack = self.result.stack
    wrong = ~stack.in_mask
    wrong[2:, 10:] = False
    predicted = np.where(wrong, 1 - stack.labels, stack.labels)
    stack = dataclasses.replace(stack, predicted=predicted)
    one_of_two = stack.in_mask[2] != stack.in_mask[3]
    expected = np.flatnonzero(one_of_two[:10]).tolist()

    plan, lines = self.next_plan(dataclasses.replace(self.result, stack=stack))

    found = selections.read(self.directory, f"r0.70-{FAMILY}")
    self.assertNotEmpty(expected)
    self.assertEqual(list(found.ids), expected)
    self.assertEqual(found.about["runs"], [2, 3])
    self.assertEqual(found.about["estimator"], "plain")
    self.assertEqual(
      list(plan.removed), [f"r0.70-{FAMILY}", f"r0.70-{CONTROL}"]
    )
    self.assertRegex(lines[0], r"Onion: \d+ of 20 .* in the 2 runs that select")

  def test_a_study_that_grows_selects_nothing_anew(self):
    self.next_plan(self.result)

    again, lines = self.next_plan(scored(self.directory, self.config, (2,)))

    self.assertIsNone(again)
    self.assertEqual(lines, [])

  def test_nothing_is_selected_before_all_runs_are_done(self):
    plan, lines = self.next_plan(
      dataclasses.replace(self.result, num_missing=1)
    )

    self.assertIsNone(plan)
    self.assertRegex(lines[0], "until all runs of cifar_resnet-8 on r0.70")


class TargetedTest(absltest.TestCase):
  def select(self, found, memorized=range(1, 20)):
    config = selections_test.config(removal_comparisons=("targeted",))
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    directory = made_up.make(root / "a study", config)
    result = scored(directory, config, memorized)
    result = dataclasses.replace(result, influence=found)
    family = removal.parse(TARGETED)
    return removing.select(family, result, config, "d" * 32)

  def test_pairs_of_one_class_above_the_thresholds(self):
    # Labels are ids modulo 3. Not kept: another class (4, 2), influence of
    # 0.1 (7, 1), no memorization (5, 2).
    found = self.select(
      pairs([3, 3, 4, 7, 5], [0, 3, 2, 1, 2], [0.2, 0.3, 0.5, 0.1, 0.4], 0.5),
      memorized=(3, 4, 7),
    )

    self.assertEqual(found.ids, (3,))
    self.assertEqual(found.test_ids, (0, 3))
    self.assertEqual(found.about["num_pairs"], 2)
    self.assertIsNone(found.about["pairs"]["max_q_value"])

  def test_certain_pairs_alone_where_there_are_ten(self):
    train = [3, 6, 9, 12, 15, 18, 3, 6, 9, 12, 4]
    test = [0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 1]
    q = np.array([0.01] * 10 + [0.2])

    found = self.select(pairs(train, test, np.full(11, 0.3), q))

    self.assertEqual(found.ids, (3, 6, 9, 12, 15, 18))
    self.assertEqual(found.about["pairs"]["max_q_value"], 0.05)
    fewer = self.select(pairs(train[1:], test[1:], np.full(10, 0.3), q[1:]))
    self.assertIn(4, fewer.ids)

  def test_no_pairs(self):
    self.assertEqual(self.select(None).ids, ())


if __name__ == "__main__":
  absltest.main()
