"""Held-out answers against counting them one by one."""

import collections
from unittest import mock

from absl.testing import absltest
import numpy as np

from memo_tf.report import votes


class VotesTest(absltest.TestCase):
  def test_it_counts_what_a_loop_counts(self):
    rng = np.random.default_rng(0)
    predicted = rng.integers(0, 4, (9, 30))
    mask = rng.random((9, 30)) < 0.4
    mask[:, 7] = False

    with mock.patch.object(votes, "_CHUNK", 50):  # five examples at a time
      found = votes.count(predicted, mask)

    for n in range(30):
      counted = collections.Counter(predicted[mask[:, n], n].tolist())
      expected = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
      self.assertEqual(found.of(n), expected)
    self.assertEmpty(found.of(7))

  def test_the_most_frequent_other_class(self):
    # Columns: all say the label; most say another; most say the label.
    predicted = np.array([[0, 2, 1], [0, 2, 1], [0, 1, 0]])

    said, count = votes.count(predicted).most_other(np.array([0, 1, 1]))

    self.assertEqual(said.tolist(), [-1, 2, 0])
    self.assertEqual(count.tolist(), [0, 2, 1])


if __name__ == "__main__":
  absltest.main()
