"""What runs are expected to cost by their passes, against hand arithmetic."""

from absl.testing import absltest

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import run_outputs
from memo_tf.experiment import settings as settings_lib
from memo_tf.running import expected


class ExpectedTest(absltest.TestCase):
  def passes(self, *names: str) -> float:
    config = config_lib.StudyConfig(
      proxies=settings_lib.ProxiesConfig(
        proxies=names, record_checkpoints=4, curvature_draws=7, record_epochs=5
      )
    )
    outputs = run_outputs.outputs(config)
    return expected.recorded_passes(config, outputs, num_train=100, epochs=20)

  def test_passes_of_each_kind_of_output(self):
    for name, per_example in (
      ("grand", 3 * 4),  # forward, and backward to the weights, 4 checkpoints
      ("loss_sensitivity", 2 * 4),
      ("curvature", 2 * (1 + 7) * 4),  # at the image, and at 7 draws near it
      ("first_learned", 4),  # epochs 5, 10, 15 and 20
      ("second_split_forgetting", 0.7 * 20),  # the subset, every epoch
    ):
      with self.subTest(name):
        self.assertAlmostEqual(self.passes(name), 100 * per_example)
    # One second training serves both.
    self.assertAlmostEqual(
      self.passes("second_split_forgetting", "holdout_retraining"),
      100 * 0.7 * 20,
    )

  def test_a_step_is_three_passes_at_a_part_of_the_rate(self):
    settings = settings_lib.TrainingConfig(batch_size=64)
    # Of a frozen recipe one: nothing goes back through the layers it keeps.
    for name, passes in (("one_hot", 3), ("frozen", 1)):
      recipe = recipes.parse(name, settings)
      self.assertAlmostEqual(
        expected.step_seconds(2e6, recipe, rate=1e9),
        passes * 2e6 * 64 / (1e9 * expected.REACHED),
      )

  def test_a_run_predicts_once_more_for_each_scored_epoch(self):
    config = config_lib.StudyConfig(
      training=settings_lib.TrainingConfig(epochs=20),
      outputs=settings_lib.OutputsConfig(score_epochs=(5, 10, 20)),
    )
    for name, count in (("one_hot", 2), ("one_hot-e8", 1), ("int8", 0)):
      recipe = recipes.parse(name, config.training)
      self.assertEqual(expected.scored_epochs(config, recipe), count, name)

  def test_the_rate_of_this_machine_is_plausible(self):
    self.assertBetween(expected.machine_rate(), 1e8, 1e13)


if __name__ == "__main__":
  absltest.main()
