"""What runs would cost: timed steps, and what stands in for them."""

from unittest import mock

from absl.testing import absltest

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.running import estimating

CONFIG = config_lib.StudyConfig(
  models=settings_lib.ModelsConfig(models=("cifar_resnet-8", "cifar_resnet-20"))
)
PLAN = plan_lib.Plan.of(CONFIG)
SMALL, LARGE = (
  work_units.Group(model, "one_hot", "r0.70") for model in CONFIG.models.models
)
COST = {
  "trace": 2.0,
  "step": 0.5,
  "fixed": 1.0,
  "session": 3.0,
  "num_train": 1000,
  "num_test": 100,
  "num_classes": 10,
}


class EstimatingTest(absltest.TestCase):
  def estimate(self, timed, expected):
    kinds = [
      {(g.model, g.recipe): cost for g, cost in found.items()}
      for found in (timed, expected)
    ]
    return estimating.of_costs(PLAN, [SMALL, LARGE], *kinds)

  def test_steps_times_their_seconds(self):
    found = self.estimate({SMALL: COST, LARGE: COST}, {})

    training = CONFIG.training
    steps = training.epochs * (700 // training.batch_size)
    self.assertEqual(
      found.seconds, {SMALL: 0.5 * steps + 1, LARGE: found.seconds[SMALL]}
    )
    self.assertEqual(found.sources[LARGE], estimating.TIMED)
    self.assertEqual(found.start_up, 3.0 + 2 * 2.0)
    self.assertEqual(found.sizes, (1000, 100, 10))

  def test_what_was_not_timed_follows_from_what_it_computes(self):
    found = self.estimate({SMALL: COST}, {LARGE: COST | {"step": 5.0}})

    ratio = (found.seconds[LARGE] - 1) / (found.seconds[SMALL] - 1)
    self.assertAlmostEqual(ratio, 10.0)
    self.assertEqual(found.sources[LARGE], estimating.COUNTED)

  def test_or_from_another_size_of_its_family(self):
    found = self.estimate({SMALL: COST}, {})

    ratio = found.seconds[LARGE] / found.seconds[SMALL]
    self.assertAlmostEqual(ratio, 20 / 8)
    self.assertEqual(found.sources[LARGE], estimating.COUNTED)

  def test_without_anything_timed_there_is_no_estimate(self):
    with mock.patch.object(estimating, "TIME_LIMIT", 0.0):
      found = estimating.estimate(PLAN, [SMALL], 1)

    self.assertEqual(found, estimating.Estimate())


if __name__ == "__main__":
  absltest.main()
