"""How far a study is from its target, and how far it is extended."""

import dataclasses
import json
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.estimators import stopping
from memo_tf.experiment import config_rules
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.scoring import spending
from memo_tf.scoring import study
from tests.support import made_up


def config_of(estimator="plain", models=None, recipes=None, **subsets):
  """With a target of 0.2, 40 subsets, and at most 400."""
  config = made_up.config(num_subsets=40)
  subsets = {"target_ci_width": 0.2, "max_subsets": 400, **subsets}
  names = {"models": models, "recipes": recipes}
  names = {name: given for name, given in names.items() if given}
  return config_rules.validated(
    dataclasses.replace(
      config,
      subsets=dataclasses.replace(config.subsets, **subsets),
      outputs=dataclasses.replace(config.outputs, estimator=estimator),
      models=dataclasses.replace(config.models, **names),
    )
  )


def progress(config, *looks, num_runs=None):
  """The progress of groups that need so many runs, of width 0.31 or 0.19."""
  return [
    spending.Progress(
      group=made_up.GROUP,
      num_runs=num_runs or config.subsets.num_subsets,
      look=stopping.Look(width=0.31 if needed else 0.19, runs_needed=needed),
      config=config,
    )
    for needed in looks
  ]


class NextTest(parameterized.TestCase):
  @parameterized.parameters(
    ((0,), None),  # reached
    ((0, 0), None),
    ((90,), 80),  # 9 blocks are missing: 4
    ((90, 0), 80),  # one group is enough to go on
    ((20, 90, 30), 80),  # the farthest decides
    ((None,), 50),  # nothing known: a block
    ((2000,), 400),  # --max_subsets
  )
  def test_half_way_to_the_farthest_group(self, needed, count):
    config = config_of()

    self.assertEqual(
      spending.next_subsets(config, progress(config, *needed)), count
    )

  def test_no_round_at_the_limit(self):
    config = config_of(num_subsets=400)
    (found,) = progress(config, 50)

    self.assertEqual(found.state, spending.AT_MOST)
    self.assertIsNone(spending.next_subsets(config, [found]))

  def test_no_round_without_groups(self):
    self.assertIsNone(spending.next_subsets(config_of(), []))

  def test_runs_left_out_do_not_shorten_a_round(self):
    """38 of 40 runs are scored: stuck ones were excluded."""
    config = config_of()

    found = progress(config, 90, num_runs=38)

    self.assertEqual(spending.next_subsets(config, found), 80)

  @parameterized.parameters(
    ((90,), 130),
    ((90, 20, 0), 130),
    ((0, 0), 40),
    ((2000,), 400),
    ((90, None), None),
    ((), None),
  )
  def test_where_it_seems_to_stop(self, needed, count):
    config = config_of()

    self.assertEqual(
      spending.predicted_subsets(config, progress(config, *needed)), count
    )


class TextTest(absltest.TestCase):
  def test_reached(self):
    (found,) = progress(config_of(), 0)

    self.assertEqual(
      found.text(),
      "The target of 0.2 is reached: with 40 runs intervals of ambiguous "
      "images are 0.190 wide on average.",
    )

  def test_not_yet(self):
    (found,) = progress(config_of(target_examples="all"), 90)

    self.assertEqual(
      found.text(),
      "The target of 0.2 is not reached yet, which seems to take 130 runs: "
      "with 40 runs intervals of all images are 0.310 wide on average.",
    )
    self.assertEqual(found.summary()["state"], "not yet")
    self.assertEqual(found.summary()["predicted_runs"], 130)

  def test_ended_by_the_limit(self):
    (found,) = progress(config_of(max_subsets=40), 90)

    self.assertIn("and --max_subsets=40 ends the study", found.text())
    self.assertEqual(found.summary()["state"], "max_subsets")

  def test_unknown(self):
    found = dataclasses.replace(
      progress(config_of(), 1)[0],
      look=stopping.Look(width=float("nan"), runs_needed=None),
    )

    self.assertIn("no interval is known from 40 runs", found.text())
    self.assertIsNone(found.summary()["width"])
    json.dumps(found.summary(), allow_nan=False)


class OfAStudyTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  @parameterized.parameters("plain", "margin")
  def test_of_runs_and_of_scores_are_the_same(self, estimator):
    config = config_of(estimator)
    directory = made_up.make(self.root / "study", config, runs=range(40))
    plan = plan_lib.Plan.of(config)

    results = study.score_study(directory, plan)
    (found,) = spending.progress(config, results)

    self.assertEqual(
      spending.progress_of_runs(directory, plan, set(plan.units)), [found]
    )
    widths = results[0].summary()  # of the chosen estimator
    self.assertAlmostEqual(found.look.width, widths["ambiguous_interval_width"])
    self.assertEqual(found.state, spending.NOT_YET)
    rows = json.loads((directory.root / "scores/summary.json").read_text())
    self.assertEqual(rows[0]["target"], found.summary())

  def test_less_than_a_block_says_nothing(self):
    config = config_of()
    directory = made_up.make(self.root / "study", config, runs=range(9))
    plan = plan_lib.Plan.of(config)

    found = spending.progress_of_runs(directory, plan, set(plan.units[:9]))

    self.assertEqual(found, [])

  def test_without_a_target_nothing_is_said(self):
    config = made_up.config(num_subsets=10)
    directory = made_up.make(self.root / "study", config, runs=range(10))

    results = study.score_study(directory, plan_lib.Plan.of(config))

    self.assertEqual(spending.progress(config, results), [])
    text = (directory.root / "scores/summary.json").read_text()
    self.assertNotIn("target", text)

  def test_teachers_that_nobody_asked_for_do_not_count(self):
    recipe = "distilled-cifar_resnet-20-t3"
    config = config_of(models=("cifar_resnet-8",), recipes=(recipe,))
    groups = plan_lib.Plan.of(config).groups()

    counted = [g for g in groups if spending.counts(config, g)]

    self.assertLen(groups, 2)
    self.assertEqual(
      counted, [work_units.Group("cifar_resnet-8", recipe, "r0.70")]
    )


if __name__ == "__main__":
  absltest.main()
