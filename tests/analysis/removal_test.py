"""Differences of arms: hand arithmetic, errors, and words."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis import removal

# Right answers of 3 repeats on 4 test images.
CONTROL = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]], bool)
ARM = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]], bool)
NAMES = ("ci_low", "ci_high", "detectable")


class PairedDifferenceTest(parameterized.TestCase):
  def test_hand_computed(self):
    found = removal.paired_difference(CONTROL, ARM)

    # Differences by repeat: 2/4, 1/4, 3/4: mean 1/2, standard deviation 1/4,
    # standard error 1/(4 sqrt 3) = 0.1443. t(2): 4.3027 at 0.975, 1.0607 at
    # 0.8.
    self.assertEqual((found.num_repeats, found.num_tests), (3, 4))
    self.assertAlmostEqual(found.control_accuracy, 11 / 12)
    self.assertAlmostEqual(found.arm_accuracy, 5 / 12)
    self.assertAlmostEqual(found.difference, 0.5)
    self.assertAlmostEqual(found.ci_low, 0.5 - 4.3027 * 0.14434, places=4)
    self.assertAlmostEqual(found.ci_high, 0.5 + 4.3027 * 0.14434, places=4)
    self.assertAlmostEqual(found.detectable, 5.3634 * 0.14434, places=4)

  def test_other_test_images_add_their_own_variance(self):
    # Gains by image: 0, 1/3, 1, 2/3: variance 0.18519 (of 5/9 / 3), by 4 is
    # 0.046296. Residuals gain - row - column + 1/2 have squares of sum 10/9 -
    # 0.125 ... computed below from the definition.
    gain = CONTROL.astype(float) - ARM
    residual = 0.0
    for r in range(3):
      for t in range(4):
        fit = gain[r].mean() + gain[:, t].mean() - gain.mean()
        residual += (gain[r, t] - fit) ** 2 / (2 * 3)
    by_image = np.var([0, 1 / 3, 1, 2 / 3], ddof=1)
    variance = 0.25**2 / 3 + by_image / 4 - residual / 12

    found = removal.paired_difference(CONTROL, ARM)

    width = found.ci_high_others - found.difference
    self.assertAlmostEqual(width, 4.3027 * np.sqrt(variance), places=4)
    self.assertGreater(found.detectable_others, found.detectable)

  def test_signs_turn_with_the_arms(self):
    found = removal.paired_difference(ARM, CONTROL)

    self.assertAlmostEqual(found.difference, -0.5)

  def test_one_repeat_has_no_interval(self):
    found = removal.paired_difference(CONTROL[:1], ARM[:1])

    self.assertEqual(found.difference, 0.5)
    self.assertTrue(all(np.isnan(getattr(found, name)) for name in NAMES))

  @parameterized.parameters(
    (CONTROL, ARM[:2]), (CONTROL[0], ARM[0]), (CONTROL[:, :0], ARM[:, :0])
  )
  def test_rejects(self, control, arm):
    with self.assertRaisesRegex(ValueError, "one shape"):
      removal.paired_difference(control, arm)

  def test_equal_arms_exclude_0_in_few_studies(self):
    rng = np.random.default_rng(0)
    chance = rng.beta(3, 0.4, 300)
    excluded = 0
    for _ in range(1000):
      found = removal.paired_difference(
        *(rng.random((20, 300)) < chance for _ in range(2))
      )
      excluded += found.ci_low > 0 or found.ci_high < 0

    self.assertLessEqual(excluded, 70)
    self.assertGreater(excluded, 25)

  def test_intervals_for_other_images_cover_the_mean_over_all_images(self):
    rng = np.random.default_rng(1)
    covered = others = 0
    for _ in range(400):
      # Of the images, each of its own, the mean drop is 0.05.
      drop = rng.choice([0.0, 0.25], 100, p=[0.8, 0.2])
      control = rng.random((20, 100)) < 0.9
      arm = rng.random((20, 100)) < 0.9 - drop
      found = removal.paired_difference(control, arm)
      covered += found.ci_low <= 0.05 <= found.ci_high
      others += found.ci_low_others <= 0.05 <= found.ci_high_others

    self.assertGreater(others, 0.92 * 400)
    self.assertLess(covered, 0.9 * 400)


class ExplainedShareTest(absltest.TestCase):
  def test_hand_computed(self):
    found = removal.explained_share(CONTROL, ARM, np.array([2]))

    # Lost predictions: 2, 1, 3; on image 2: 1, 1, 1: half of them.
    self.assertAlmostEqual(found.share, 0.5)

  def test_fieller_contains_the_truth(self):
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
      control = rng.random((20, 200)) < 0.9
      lower = np.where(np.arange(200) < 20, 0.5, 0.0125)
      arm = rng.random((20, 200)) < 0.9 - lower
      found = removal.explained_share(control, arm, np.arange(20))
      inside += found.ci_low <= 10 / (10 + 180 * 0.0125) <= found.ci_high

    self.assertBetween(inside / 300, 0.91, 0.99)

  def test_unbounded_where_the_drop_may_be_0(self):
    control = np.array([[1, 0], [0, 1], [1, 1]], bool)
    arm = np.array([[0, 1], [1, 0], [1, 0]], bool)

    found = removal.explained_share(control, arm, np.array([0]))

    self.assertTrue(np.isnan(found.ci_low) and np.isnan(found.ci_high))
    same = removal.explained_share(arm, arm, np.array([0]))
    self.assertTrue(np.isnan(same.share))


class SentenceTest(parameterized.TestCase):
  def say(self, low, high, repeats=20):
    middle = (low + high) / 2
    fields = dict.fromkeys(
      ("ci_low_others", "ci_high_others", "detectable_others"), 0.0
    )
    found = removal.PairedDifference(
      num_repeats=repeats,
      num_tests=297,
      arm_accuracy=0.9,
      control_accuracy=0.9,
      difference=middle,
      ci_low=low,
      ci_high=high,
      detectable=0.0123,
      **fields,
    )
    return removal.sentence("the 5 images", "5 others", found)

  @parameterized.parameters(
    (0.01, 0.03, r"hurts: accuracy is 0\.0200 lower than with 5 others"),
    (-0.03, -0.01, r"helps: accuracy is 0\.0200 higher than"),
    (-0.01, 0.03, r"Cannot tell .* 20 repeats, 297 test images see 0\.0123"),
    (float("nan"), float("nan"), "one repeat says nothing"),
  )
  def test_says(self, low, high, words):
    self.assertRegex(self.say(low, high), words)


if __name__ == "__main__":
  absltest.main()
