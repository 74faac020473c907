"""Every rule on clear shapes, at the threshold, and with standard errors."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.trajectories import classify
from memo_tf.analysis.trajectories import rules
from memo_tf.experiment import settings as settings_lib


def classes(rows, rule="default", min_change=0.2, **options):
  """Shape classes of trajectories given as rows."""
  memorization = np.array(rows, float).T
  return classify.classify_trajectories(
    memorization, min_change=min_change, rule=rule, **options
  ).shape_class.tolist()


def slow_default(m, alpha):
  """The default rule as it is written down, one trajectory at a time."""
  pairs = [(j, k) for j in range(len(m)) for k in range(j + 1, len(m))]
  rise = max(m[k] - m[j] for j, k in pairs)
  fall = max(m[j] - m[k] for j, k in pairs)
  up, inner = m[-1] - m[0], range(1, len(m) - 1)
  if max(m) - min(m) < alpha:
    return "constant"
  if up >= alpha and fall < alpha:
    return "increasing"
  if up <= -alpha and rise < alpha:
    return "decreasing"
  peak = max((min(m[k] - m[0], m[k] - m[-1]) for k in inner), default=-9)
  dip = max((min(m[0] - m[k], m[-1] - m[k]) for k in inner), default=-9)
  if max(peak, dip) < alpha:
    return "other"
  return "cap" if peak >= dip else "u"


class DefaultRuleTest(parameterized.TestCase):
  @parameterized.parameters(
    ([0.1, 0.2, 0.29], "constant"),
    ([0.1, 0.2, 0.3], "increasing"),  # a change of exactly 0.2 counts
    ([0.7, 0.6, 0.5], "decreasing"),  # 0.7 - 0.5 is below 0.2 in floats
    ([0.1, 0.3, 0.1], "cap"),
    ([0.3, 0.1, 0.3], "u"),
    ([0.0, 0.5, 0.4, 0.6], "increasing"),  # a fall of 0.1 does not count
    ([0.0, 0.5, 0.2, 0.6], "other"),  # one of 0.3 does; no peak above both
    ([0.3, 0.6, 0.0, 0.3], "cap"),  # peak 0.3, dip 0.3: cap if equal
    ([0.3, 0.5, 0.0, 0.3], "u"),  # the larger one
    ([0.0, 0.9], "increasing"),  # two sizes have no inner one
    ([0.9, 0.0], "decreasing"),
  )
  def test_by_hand(self, trajectory, expected):
    self.assertEqual(classes([trajectory]), [expected])

  @parameterized.product(num_sizes=(2, 3, 4, 5, 7), alpha=(0.1, 0.2, 0.3))
  def test_against_the_rule_as_it_is_written(self, num_sizes, alpha):
    rng = np.random.default_rng(num_sizes)
    rows = rng.uniform(0, 0.8, (400, num_sizes))

    found = classes(rows, min_change=alpha)

    self.assertEqual(found, [slow_default(row, alpha) for row in rows])
    self.assertGreater(len(set(found)), 2)

  def test_adding_a_number_changes_nothing_and_turning_over_swaps(self):
    rows = np.random.default_rng(0).uniform(0, 1, (300, 5))
    swap = dict(increasing="decreasing", decreasing="increasing")
    swap |= dict(cap="u", u="cap")

    found = classes(rows)

    self.assertEqual(classes(rows - 0.5), found)
    self.assertEqual(classes(-rows), [swap.get(name, name) for name in found])

  def test_unknown_scores_have_no_class(self):
    rows = [[0.1, 0.5, 0.9], [0.1, np.nan, 0.9]]

    result = classify.classify_trajectories(np.array(rows).T)

    self.assertEqual(result.shape_class.tolist(), ["increasing", ""])
    self.assertEqual(result.shares()["increasing"], 1.0)


class OtherRulesTest(parameterized.TestCase):
  @parameterized.parameters(
    ([0.0, 0.9, 0.3], "increasing"),  # the ends decide
    ([0.3, 0.9, 0.0], "decreasing"),
    ([0.0, 0.2, 0.1], "constant"),  # above the higher end by 0.1 only
    ([0.0, 0.5, 0.1], "cap"),
    ([0.5, 0.0, 0.4], "u"),
    ([0.3, 0.4, 0.2], "constant"),
  )
  def test_endpoints(self, trajectory, expected):
    self.assertEqual(classes([trajectory], "endpoints"), [expected])

  @parameterized.parameters(
    ([0.0, 0.5, 0.1, 0.6], "increasing"),  # lowest first, highest last
    ([0.6, 0.1, 0.5, 0.0], "decreasing"),
    ([0.0, 0.6, 0.5], "cap"),
    ([0.6, 0.0, 0.5], "u"),
    ([0.3, 0.6, 0.0, 0.4], "other"),
    ([0.3, 0.4, 0.3], "constant"),
  )
  def test_argmax(self, trajectory, expected):
    self.assertEqual(classes([trajectory], "argmax"), [expected])

  def test_z_counts_standard_errors_of_differences(self):
    # Errors 0.03 and 0.04: of a difference 0.05, so z = 3 takes 0.15.
    rows = np.array([[0.1, 0.26], [0.1, 0.24], [0.3, 0.1]]).T
    errors = np.array([[0.03] * 3, [0.04] * 3])
    by = rules.z
    covariance = np.zeros((2, 2, 3))
    covariance[0, 0], covariance[1, 1] = errors**2

    found = by(rows, covariance, 3.0)

    self.assertEqual(found.tolist(), [1, 0, 2])
    # A correlation of 1 leaves an error of 0.01: then 0.14 counts too.
    covariance[0, 1] = covariance[1, 0] = errors[0] * errors[1]
    self.assertEqual(by(rows, covariance, 3.0).tolist(), [1, 1, 2])

  def test_template_names_plain_shapes(self):
    rows = [
      [0.2, 0.21, 0.19, 0.2, 0.2],
      [0.0, 0.2, 0.4, 0.6, 0.8],
      [0.8, 0.6, 0.4, 0.2, 0.0],
      [0.0, 0.4, 0.8, 0.4, 0.0],
      [0.8, 0.4, 0.0, 0.4, 0.8],
    ]
    expected = ["constant", "increasing", "decreasing", "cap", "u"]

    self.assertEqual(classes(rows, "template"), expected)
    errors = np.full((5, 5), 0.05)
    self.assertEqual(classes(rows, "template", standard_error=errors), expected)

  def test_the_flag_has_the_rules(self):
    fields = settings_lib.OutputsConfig.__dataclass_fields__

    self.assertEqual(fields["trajectory_rule"].metadata["choices"], rules.RULES)

  @parameterized.parameters(
    (dict(rule="none"), "one of default"),
    (dict(min_change=0), "min_change"),
    (dict(rule="z"), "needs `standard_error`"),
    (dict(standard_error=np.ones((2, 3))), "standard_error"),
    (dict(standard_error=-np.ones((3, 4))), "not be below 0"),
    (dict(correlation=np.ones((2, 2))), "correlation"),
    (dict(z=0), "above 0"),
  )
  def test_rejects(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      classify.classify_trajectories(np.zeros((3, 4)), **options)

  def test_one_size_has_no_trajectory(self):
    with self.assertRaisesRegex(ValueError, "at least two sizes"):
      classify.classify_trajectories(np.zeros((1, 4)))


class SensitivityTest(absltest.TestCase):
  def test_a_row_a_rule_and_threshold(self):
    m = np.array([[0.0, 0.0, 0.5], [0.15, 0.25, 0.0]])

    table = classify.sensitivity(m, np.full((2, 3), 0.02))

    self.assertLen(table, 4 * 4 + 1)
    rows = table[table["rule"] == "default"].set_index("min_change")
    self.assertEqual(rows.loc[0.1, "increasing"], 2 / 3)
    self.assertEqual(rows.loc[0.2, "increasing"], 1 / 3)
    self.assertEqual(rows.loc[0.3, "decreasing"], 1 / 3)
    shares = table[list(classify.SHAPE_CLASSES)].sum(axis=1)
    np.testing.assert_allclose(shares, 1)


if __name__ == "__main__":
  absltest.main()
