"""Planted truth: kinds and means by hand, intervals by simulation."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis import planted_truth

# Ids 0 … 5 are originals: 1 is wrong, 2 has an exact copy (6), 3 a near one
# (7), 4, wrong too, two copies (8, 9), 5 a copy with another label (10). 11 is
# noise.
PLANT = np.array(
  ["", "wrong_label", "", "", "wrong_label", ""]
  + ["exact_duplicate", "near_duplicate"]
  + ["wrong_label_duplicate"] * 2
  + ["conflicting_duplicate", "noise_image"]
)
NOISY = np.isin(np.arange(12), [1, 4, 8, 9, 10])
ORIGINS = np.array([0, 1, 2, 3, 4, 5, 2, 3, 4, 4, 5, -1])


class KindsTest(absltest.TestCase):
  def test_by_hand(self):
    kind, copies = planted_truth.kinds(PLANT, NOISY, ORIGINS)

    self.assertEqual(
      kind.tolist(),
      [
        "clean",
        "wrong label",
        "clean, 2 copies",
        "original of a near duplicate",
        "wrong label, 3 copies",
        "conflicting labels",
        "clean, 2 copies",
        "near duplicate",
        "wrong label, 3 copies",
        "wrong label, 3 copies",
        "conflicting labels",
        "noise image",
      ],
    )
    self.assertEqual(copies.tolist(), [1, 1, 2, 2, 3, 2, 2, 2, 3, 3, 2, 1])


class SummarizeTest(parameterized.TestCase):
  def test_means_and_expectations_by_hand(self):
    in_mask = np.array([[1] * 12, [1] * 12, [0] * 12, [0] * 12], bool)
    correct = in_mask.copy()
    correct[2, 0] = True  # clean: held out right once of two
    correct[2:, 2] = True  # one exact copy right wherever
    correct[3, 11] = True  # noise: guessed once of two
    kind, copies = planted_truth.kinds(PLANT, NOISY, ORIGINS)

    rows = planted_truth.summarize(
      correct, in_mask, kind, copies, ORIGINS, ratio=0.5, num_classes=4
    )

    found = {row.kind: row for row in rows}
    self.assertEqual([row.kind for row in rows][:2], ["clean", "wrong label"])
    self.assertEqual(found["clean"].memorization, 0.5)
    self.assertTrue(np.isnan(found["clean"].expected_low))
    self.assertEqual(found["clean"].expected(2), "")
    self.assertEqual(found["wrong label"].memorization, 1.0)
    self.assertEqual(found["wrong label"].expected(2), "1.00")
    # 0 and 1; expected: half of the uncopied clean one's 0.5.
    self.assertEqual(found["clean, 2 copies"].memorization, 0.5)
    self.assertEqual(found["clean, 2 copies"].expected_low, 0.25)
    self.assertEqual(found["clean, 2 copies"].num_examples, 2)
    # A quarter of the single wrong one's 1.
    self.assertEqual(found["wrong label, 3 copies"].expected_low, 0.25)
    near = found["original of a near duplicate"]
    self.assertEqual(near.expected(2), "0.25 to 0.50")
    self.assertEqual(found["near duplicate"].expected(2), "")
    # All of 1 less a guess of a quarter; held out one of two is right.
    self.assertEqual(found["noise image"].expected_low, 0.75)
    self.assertEqual(found["noise image"].memorization, 0.5)
    # (0.5 * (2 - 0.5) + 0.5) / 2.
    self.assertEqual(found["conflicting labels"].expected_low, 0.625)

  def test_what_was_never_held_out_is_left_out(self):
    in_mask = np.array([[1, 1], [1, 0]], bool)

    (row,) = planted_truth.summarize(
      in_mask,
      in_mask,
      np.array(["wrong label"] * 2),
      np.ones(2, int),
      np.arange(2),
      ratio=0.5,
      num_classes=2,
    )

    self.assertEqual((row.num_examples, row.memorization), (1, 1.0))
    # Without either run there is no score: nothing is known of the spread.
    self.assertTrue(np.isnan(row.ci_low))

  def test_the_laws_hold_for_a_learner_that_looks_up(self):
    # It knows each image that it saw by heart, the label of one of its twins,
    # drawn anew, where they differ, and guesses noise as class 0.
    rng = np.random.default_rng(0)
    num_runs, count, ratio = 400, 60, 0.7
    clean = np.arange(count)
    plant = np.array(
      [""] * count
      + ["exact_duplicate"] * 20
      + ["conflicting_duplicate"] * 20
      + ["noise_image"] * 20
    )
    origins = np.concatenate([clean, clean[:20], clean[20:40], [-1] * 20])
    noisy = plant == "conflicting_duplicate"
    in_mask = rng.random((num_runs, len(plant))) < ratio
    # Held out, a clean image is right with its own probability.
    easy = rng.random((num_runs, count)) < 0.8
    correct = in_mask.copy()
    correct[:, :count] |= easy
    twins = in_mask[:, :20] | in_mask[:, count : count + 20]
    right = twins | easy[:, :20]
    correct[:, :20], correct[:, count : count + 20] = right, right
    a, b = in_mask[:, 20:40], in_mask[:, count + 20 : count + 40]
    first = rng.random(a.shape) < 0.5
    says_a = (a & ~b) | (a & b & first) | (~a & ~b & easy[:, 20:40])
    correct[:, 20:40] = says_a
    correct[:, count + 20 : count + 40] = b & ~says_a
    guessed = np.arange(20) % 4 == 0
    correct[:, count + 40 :] = in_mask[:, count + 40 :] | guessed
    kind, copies = planted_truth.kinds(plant, noisy, origins)

    rows = planted_truth.summarize(
      correct, in_mask, kind, copies, origins, ratio=ratio, num_classes=4
    )

    found = {row.kind: row for row in rows}
    for name in ("clean, 2 copies", "conflicting labels", "noise image"):
      row = found[name]
      self.assertAlmostEqual(row.memorization, row.expected_low, delta=0.04)
      self.assertBetween(row.expected_low, row.ci_low, row.ci_high, name)
      self.assertLess(row.ci_high - row.ci_low, 0.5)

  def test_intervals_hold_the_truth_as_often_as_they_say(self):
    # Scores with a mean of their own for each image, runs with good and bad
    # days: the truth is the mean over all images, 0.5.
    covered = []
    for seed in range(200):
      rng = np.random.default_rng(seed)
      in_mask = rng.random((30, 25)) < 0.5
      level = np.clip(0.5 + rng.normal(0, 0.15, 25), 0, 1)
      day = rng.normal(0, 0.1, (30, 1))
      chance = np.where(in_mask, 1.0, np.clip(1 - level + day, 0, 1))
      correct = rng.random((30, 25)) < chance
      (row,) = planted_truth.summarize(
        correct,
        in_mask,
        np.full(25, "wrong label"),
        np.ones(25, int),
        np.arange(25),
        ratio=0.5,
        num_classes=10,
      )
      covered.append(row.ci_low <= 0.5 <= row.ci_high)

    # 95 %, or more: it is conservative. Four standard errors under are 0.888.
    self.assertGreater(np.mean(covered), 0.9)
    self.assertLess(row.ci_high - row.ci_low, 0.4)

  def test_copies_count_as_one_draw(self):
    rng = np.random.default_rng(0)
    in_mask = np.tile(rng.random((40, 10)) < 0.5, 4)
    correct = in_mask | np.tile(rng.random((40, 10)) < 0.5, 4)
    widths = []
    for origins in (np.arange(40), np.tile(np.arange(10), 4)):
      (row,) = planted_truth.summarize(
        correct,
        in_mask,
        np.full(40, "wrong label"),
        np.ones(40, int),
        origins,
        ratio=0.5,
        num_classes=10,
      )
      widths.append(row.ci_high - row.ci_low)

    self.assertGreater(widths[1], 1.1 * widths[0])


if __name__ == "__main__":
  absltest.main()
