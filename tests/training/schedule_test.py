"""Learning rates by hand."""

from absl.testing import absltest
import numpy as np

from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import schedule


def rates(steps_per_epoch: int, **settings) -> np.ndarray:
  training = settings_lib.TrainingConfig(**settings)
  recipe = recipes.parse("one_hot", training)
  return schedule.learning_rates(recipe, steps_per_epoch)


class ScheduleTest(absltest.TestCase):
  def test_steps_with_warmup(self):
    found = rates(
      2,
      epochs=4,
      learning_rate=1.0,
      schedule="step",
      warmup_epochs=1,
      decay_epochs=(2.0, 3.0),
      decay_factor=0.1,
    )

    # Warm-up over the two steps of epoch 1; then 1; 0.1 from the end of epoch
    # 2; 0.01 from the end of epoch 3.
    expected = [[0.5, 1.0], [1.0, 1.0], [0.1, 0.1], [0.01, 0.01]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)

  def test_cosine_without_warmup(self):
    found = rates(1, epochs=4, learning_rate=2.0, schedule="cosine")

    # 1 + cos of 0, 45, 90 and 135 degrees.
    half = np.sqrt(0.5)
    expected = [[2.0], [1 + half], [1.0], [1 - half]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)

  def test_cosine_starts_after_the_warmup(self):
    found = rates(
      4, epochs=3, learning_rate=1.0, schedule="cosine", warmup_epochs=1
    ).ravel()

    np.testing.assert_allclose(found[:5], [0.25, 0.5, 0.75, 1.0, 1.0])
    np.testing.assert_allclose(found[8], 0.5, rtol=1e-6)
    self.assertGreater(found[-1], 0)

  def test_linear_goes_to_0_after_the_warmup(self):
    found = rates(
      2, epochs=3, learning_rate=0.4, schedule="linear", warmup_epochs=1
    )

    # Two steps up to 0.4; then from 0.4 down by a quarter a step.
    expected = [[0.2, 0.4], [0.4, 0.3], [0.2, 0.1]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)

  def test_no_decay_epochs_is_constant(self):
    found = rates(3, epochs=2, learning_rate=0.3, schedule="step")

    np.testing.assert_allclose(found, 0.3)
    self.assertEqual((found.shape, found.dtype), ((2, 3), np.float32))


if __name__ == "__main__":
  absltest.main()
