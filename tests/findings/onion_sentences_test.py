"""What an onion shows, in words."""

from absl.testing import absltest

from memo_tf.findings import onion_sentences


class SentencesTest(absltest.TestCase):
  """The words of a change that is up, down, or unknown."""

  def said(self, low, high, newly=3):
    change = {
      "memorization": (low + high) / 2,
      "memorization_low": low,
      "memorization_high": high,
      "detectable": 0.02,
      "threshold": 0.25,
      "num_runs": 40,
      "num_examples": 90,
      "num_first": 2,
      "num_second": 4,
      "newly": newly,
      "no_longer": 1,
      "noise_low": 0,
      "noise_high": 3,
      "num_rise": 2,
      "num_fall": 0,
    }
    since = change | {"num_second": 5, "num_rise": 1}
    random = change | {"memorization": -0.3, "num_second": 6}
    return onion_sentences.in_words("the 5 images", 0.1, since, random, change)

  def test_directions(self):
    control = "than without as many random ones of the same classes"
    lines = self.said(0.01, 0.03)
    self.assertRegex(lines[0], f"the 90 other images .* more .*{control}")
    self.assertIn(r"+0.0200 [+0.0100, +0.0300] (40 paired subsets)", lines[0])
    self.assertRegex(self.said(-0.03, -0.01)[0], "are memorized less")

  def test_cannot_tell_names_what_could_be_seen(self):
    line = self.said(-0.01, 0.03)[0]

    self.assertRegex(line, "cannot tell whether the 90 other images")
    self.assertIn("40 paired subsets see 0.0200 or more (power 80 %)", line)

  def test_each_step_has_its_place(self):
    lines = self.said(0.01, 0.03)

    self.assertRegex(
      lines[1], r"0\.1000 before; .* by \+0\.0200 .* without the "
    )
    self.assertIn("by -0.3000 [+0.0100, +0.0300] without the random", lines[1])
    self.assertRegex(
      lines[2], "2 of them before, 5 without .*, 6 without the r"
    )
    self.assertIn("1 images than before, 2 than without", lines[3])

  def test_the_layer_beside_the_noise(self):
    self.assertIn(
      "3 newly reach it, not more than the 0 to 3", self.said(0, 1)[2]
    )
    self.assertIn(
      "4 newly reach it, more than the 0 to 3", self.said(0, 1, 4)[2]
    )


if __name__ == "__main__":
  absltest.main()
