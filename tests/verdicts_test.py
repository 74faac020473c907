"""The verdicts of docs/studies/plan.md follow from the numbers by its rules."""

import dataclasses
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.verdicts import figures
from benchmarks.verdicts import over_images
from benchmarks.verdicts import over_removal
from benchmarks.verdicts import over_sizes
from benchmarks.verdicts import rules
from benchmarks.verdicts import study as study_lib
from memo_tf.analysis import removal as removal_analysis
from memo_tf.analysis.distillation import sets
from memo_tf.data import duplicates
from memo_tf.estimators import memorization
from memo_tf.experiment import errors
from memo_tf.experiment import subsets
from memo_tf.findings import sizes
from memo_tf.store import directory as directory_lib


def part(low: float, high: float, delta: float = 0.0) -> rules.Part:
  return rules.Part(
    name="x", theta=(low + high) / 2, low=low, high=high, delta=delta
  )


def ladder(inside, outside, *, num_runs=40, seed=0, is_noisy=None):
  """Sizes whose runs are right by chance, with `[S, N]` probabilities."""
  inside, outside = np.asarray(inside), np.asarray(outside)
  num_sizes, num_examples = inside.shape
  rng = np.random.default_rng(seed)
  in_mask = subsets.in_masks(
    num_examples, num_runs, 0.7, scheme="balanced", seed=seed
  )
  chance = np.where(in_mask, inside[:, None], outside[:, None])
  correct = rng.random(chance.shape) < chance
  if is_noisy is None:
    is_noisy = np.zeros(num_examples, bool)
  return sizes.SizeStudy(
    family="cifar_resnet",
    recipe="one_hot",
    subsets="r0.70",
    models=tuple(over_sizes.WIDTHS[:num_sizes]),
    parameters=tuple(range(1, num_sizes + 1)),
    examples=pd.DataFrame(
      {"label": np.zeros(num_examples, int), "is_noisy": is_noisy}
    ),
    in_mask=in_mask,
    correct=correct,
    test_correct=rng.random((num_sizes, num_runs, 200)) < 0.8,
    block=np.arange(num_runs) // 10,
  )


class RulesTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.01, 0.03, 0.1, "shown"),
    (0.0, 0.03, 0.1, "not shown"),
    (-0.03, 0.12, 0.1, "cannot tell"),
    (-0.03, -0.01, 0.0, "not shown"),
    (-0.03, 0.01, 0.0, "cannot tell"),
    (np.nan, np.nan, 0.1, "cannot tell"),
  )
  def test_answers(self, low, high, delta, answer):
    self.assertEqual(part(low, high, delta).answer, answer)

  def test_a_small_effect_is_said_to_be_small(self):
    self.assertIn("below the effect", part(0.01, 0.02, 0.1).text)
    self.assertNotIn("below the effect", part(0.01, 0.2, 0.1).text)

  @parameterized.parameters(
    (((1, 2), (1, 2)), "shown"),
    (((1, 2), (-1, 2)), "cannot tell"),
    (((1, 2), (-2, -1)), "not shown"),
    (((-1, 2), (-2, -1)), "not shown"),
  )
  def test_all_parts_must_be_shown(self, ends, answer):
    self.assertEqual(rules.all_of([part(*e) for e in ends]), answer)

  def test_another_level_is_the_interval_of_that_level(self):
    error, degrees = 0.3, 5
    reach = [error * stats.t.ppf(p, degrees) for p in (0.975, 0.995)]

    wide = rules.at_level(part(1 - reach[0], 1 + reach[0]), 0.99, degrees + 1)

    self.assertAlmostEqual(wide.low, 1 - reach[1])
    self.assertAlmostEqual(wide.high, 1 + reach[1])

  def test_a_verdict_that_hangs_on_stuck_runs_cannot_be_told(self):
    first = rules.Verdict(finding="f", study="a", verdict="shown")
    second = dataclasses.replace(first, verdict="cannot tell")

    found = rules.without_stuck_runs(first, second)

    self.assertEqual(found.verdict, "cannot tell")
    self.assertIn("shown with all runs", found.beside[0])
    self.assertIs(rules.without_stuck_runs(first, first), first)


class OverSizesTest(parameterized.TestCase):
  def study(self, found):
    return mock.Mock(ladder=lambda *_: found)

  @parameterized.parameters(
    (0.7, 0.8, 1.0, "shown"),
    (0.8, 0.7, 1.0, "not shown"),
    (0.7, 0.8, 0.9, "cannot tell"),  # neither fits its training data
  )
  def test_a_fall_of_mean_memorization(self, before, after, inside, answer):
    found = ladder(
      np.full((2, 500), inside), np.repeat([[before], [after]], 500, axis=1)
    )

    verdict = over_sizes.falls_with_size(
      self.study(found), "a", "small", "large", True
    )

    self.assertEqual(verdict.verdict, answer)
    self.assertAlmostEqual(verdict.parts[0].theta, after - before, delta=0.02)

  def test_without_its_conditions_a_fall_is_not_told(self):
    found = ladder(np.ones((2, 500)), [[0.7] * 500, [0.8] * 500])

    verdict = over_sizes.falls_with_size(
      self.study(found), "a", "small", "large", False
    )

    self.assertEqual(verdict.verdict, "cannot tell")

  def test_conditions(self):
    rising = np.repeat([[0.6], [0.7], [0.8]], 500, axis=1)
    fitted = np.repeat([[0.9], [1.0], [1.0]], 500, axis=1)

    for inside, outside, holds in (
      (fitted, rising, True),
      (np.ones((3, 500)), rising, False),
      (fitted, rising[::-1], False),
      (np.minimum(fitted, 0.95), rising, False),
    ):
      found = over_sizes.conditions(self.study(ladder(inside, outside)))
      self.assertEqual(found[0], holds, found[1])

  def test_planted_and_natural_apart(self):
    planted = np.arange(600) < 200
    natural = np.arange(600) >= 400
    outside = np.full((2, 600), 0.95)
    outside[:, planted] = 0.05
    outside[:, natural] = [[0.3], [0.6]]
    found = ladder(np.ones((2, 600)), outside, is_noisy=planted)
    before = mock.Mock()
    before.scores.return_value.scores.memorization = np.where(
      natural | planted, 0.7, 0.05
    )

    verdict = over_sizes.natural_and_planted(self.study(found), before)

    self.assertEqual(verdict.verdict, "shown")
    self.assertAlmostEqual(verdict.parts[0].theta, 0.3, delta=0.05)
    self.assertAlmostEqual(verdict.parts[1].theta, 0.3, delta=0.05)
    self.assertIn("200 planted, 200 natural", verdict.beside[2])

  @parameterized.parameters(40, 20)
  def test_distillation_of_increasing_images_alone(self, num_runs):
    increasing, decreasing = np.arange(900) < 300, np.arange(900) >= 600
    outside = np.full((5, 900), 0.95)
    outside[:, increasing] = np.linspace(0.95, 0.2, 5)[:, None]
    outside[:, decreasing] = np.linspace(0.2, 0.95, 5)[:, None]
    inside = np.ones((5, 900))
    lowered = np.where(increasing, 0.6 * inside + 0.4 * outside, inside)
    one_hot = ladder(inside, outside, num_runs=num_runs, seed=1)
    student = ladder(lowered, outside, num_runs=num_runs, seed=1)
    whole = ladder(inside, outside, num_runs=60, seed=1)
    b = mock.Mock(
      ladder=lambda models, recipe="one_hot": (
        one_hot if recipe == "one_hot" else student
      )
    )

    lowers, accuracy, mostly = over_sizes.distillation(b, self.study(whole))

    change = 0.4 * (1 - outside[:, increasing].mean())
    self.assertEqual(lowers.verdict, "shown")
    self.assertAlmostEqual(lowers.parts[0].theta, change / 3, delta=0.02)
    self.assertAlmostEqual(accuracy.parts[0].theta, change / 3, delta=0.02)
    self.assertEqual(mostly.verdict, "shown", mostly)
    self.assertAlmostEqual(mostly.parts[0].theta, change, delta=0.06)
    # The interval is that of the study's own findings, of the plan's blocks.
    blocks = {
      40: (((0, 1, 4), (2, 3)), ((2, 3, 5), (0, 1))),
      20: (((1, 2, 4), (0,)), ((0, 3, 5), (1,))),
    }[num_runs]
    members = []
    for of_classes, _ in blocks:
      rows = np.isin(whole.block, of_classes)
      shapes = dataclasses.replace(
        whole,
        in_mask=whole.in_mask[rows],
        correct=whole.correct[:, rows],
        test_correct=whole.test_correct[:, rows],
        block=whole.block[rows],
      ).classes.shape_class
      changing = ~np.isin(shapes, ("constant", "increasing"))
      members.append(np.stack([shapes == "increasing", changing]))
    *ends, _ = sets.set_changes(
      one_hot.correct,
      student.correct,
      one_hot.in_mask,
      names=("increasing", "others"),
      members=members,
      rows=[np.isin(one_hot.block, of_change) for _, of_change in blocks],
      block=one_hot.block,
    ).contrast("increasing", "others")
    part_of_6c = mostly.parts[0]
    np.testing.assert_allclose(
      [part_of_6c.theta, part_of_6c.low, part_of_6c.high], ends, rtol=1e-9
    )

  def test_too_few_changing_images_tell_nothing_of_classes(self):
    flat = ladder(np.ones((5, 300)), np.full((5, 300), 0.99))
    whole = ladder(np.ones((5, 300)), np.full((5, 300), 0.99), num_runs=60)

    verdict = over_sizes.distillation(self.study(flat), self.study(whole))[2]

    self.assertEqual(verdict.verdict, "cannot tell")

  @parameterized.parameters(
    ("yes", "no", "shown"),
    ("yes", "yes", "not shown"),
    ("no", "no", "not shown"),
    ("no", "cannot tell", "not shown"),
    ("yes", "cannot tell", "cannot tell"),
    ("cannot tell", "no", "cannot tell"),
  )
  def test_a_proxy(self, ranking, trend, answer):
    table = pd.DataFrame(
      {
        "proxy": ["other", "p"],
        "tracks_ranking": ["no", ranking],
        "tracks_trend": ["yes", trend],
        "reason": ["", ""],
      }
    )

    verdict = over_sizes.misses_the_trend(
      mock.Mock(table=lambda _: table), "p", "a"
    )

    self.assertEqual(verdict.verdict, answer)


class OverRemovalTest(parameterized.TestCase):
  def study(self, drop: float, *, repeats: int = 20, wanted: int = 20):
    """Control and arm of 500 test images; the arm loses `drop` of accuracy."""
    rng = np.random.default_rng(0)
    control = rng.random((repeats, 500)) < 0.9
    rows = []
    for comparison, threshold, lost, share in (
      ("same_classes", 0.25, drop, np.nan),
      ("same_classes", 0.5, -drop, np.nan),
      ("random", 0.25, 0.0, np.nan),
      ("targeted", np.nan, 0.1, 0.8),
    ):
      arm = rng.random((repeats, 500)) < 0.9 - lost
      found = removal_analysis.paired_difference(control, arm)
      rows.append(
        {
          "comparison": comparison,
          "threshold": threshold,
          "num_removed": 27,
          "tests": "all",
          **dataclasses.asdict(found),
          "explained_share": share,
          "explained_ci_low": share - 0.1,
          "explained_ci_high": share + 0.1,
        }
      )
    table = pd.DataFrame(rows)
    study = mock.Mock(table=lambda _: table)
    study.plan.config.removal.removal_repeats = wanted
    return study

  @parameterized.parameters(
    (0.05, "shown"), (0.0, "cannot tell"), (-0.05, "not shown")
  )
  def test_removal_against_the_same_classes_decides(self, drop, answer):
    verdict = over_removal.removal_hurts(self.study(drop), "m")

    self.assertEqual(verdict.verdict, answer)
    self.assertLess(abs(verdict.parts[0].theta - drop), 0.02)
    random, targeted = verdict.beside
    self.assertStartsWith(random, "random, tests: all: ")
    self.assertEndsWith(targeted, ", 0.80 [0.70, 0.90] of the whole drop")
    self.assertNotIn("of the whole drop", random)

  def test_unfinished_or_other_studies_are_refused(self):
    with self.assertRaisesRegex(errors.StudyError, "has 19 of 20"):
      over_removal.removal_hurts(self.study(0.05, repeats=19), "m")
    with self.assertRaisesRegex(errors.StudyError, "12 repeats"):
      over_removal.removal_hurts(self.study(0.05, repeats=5, wanted=5), "m")
    other = self.study(0.05)
    table = other.table("")
    other.table = lambda _: table[table["threshold"] != 0.25]
    with self.assertRaisesRegex(errors.StudyError, "does not compare"):
      over_removal.removal_hurts(other, "m")


class StudyTest(absltest.TestCase):
  def test_a_table_that_a_study_does_not_have_is_refused(self):
    study = study_lib.Study(
      directory_lib.StudyDirectory(self.create_tempdir().full_path),
      plan=mock.Mock(),
      by_group={},
    )

    with self.assertRaisesRegex(errors.StudyError, "effects.parquet cannot"):
      study.table("findings/removal/m/one_hot/effects.parquet")


def drawn_lines(axis) -> dict[str, list[float]]:
  """What the lines of an axis show, by their label."""
  lines = {line.get_label(): line for line in axis.lines}
  lines |= {bar.get_label(): bar.lines[0] for bar in axis.containers}
  return {label: list(line.get_ydata()) for label, line in lines.items()}


class FiguresTest(absltest.TestCase):
  def test_means_by_size_are_those_of_the_ladder(self):
    found = ladder(np.ones((3, 300)), np.repeat([[0.6], [0.7], [0.8]], 300, 1))
    study = mock.Mock(ladder=lambda *_: found)

    figure = figures.means_by_size({"d": study})

    (axis,) = figure.axes
    self.assertEqual(axis.get_title(), "(d) digits")
    lines = drawn_lines(axis)
    for column, label in (
      ("memorization", "mean memorization"),
      ("in_accuracy", "accuracy in the subset"),
      ("out_accuracy", "held-out accuracy"),
    ):
      self.assertEqual(lines[label], found.trends[0][column].tolist())

  def test_curves_of_consistency_are_within_one_model_or_between_two(self):
    curves = pd.DataFrame(
      {
        "first": ["cifar_resnet-8"] * 4,
        "second": ["cifar_resnet-8"] * 2 + ["cifar_resnet-14"] * 2,
        "threshold": [0.1, 0.2] * 2,
        "jaccard": [1.0, 1.0, 0.3, 0.4],
        "within": [0.5, 0.6, 0.7, 0.8],
      }
    )

    figure = figures.consistency({"c": mock.Mock(table=lambda _: curves)})

    one, two = drawn_lines(figure.axes[0]).values()
    self.assertEqual((one, two), ([0.5, 0.6], [0.3, 0.4]))

  def test_arms_of_removal_are_at_the_threshold_of_the_finding(self):
    effects = pd.DataFrame(
      {
        "comparison": ["same_classes", "same_classes", "targeted"],
        "threshold": [0.25, 0.5, np.nan],
        "tests": ["all", "all", "of_pairs"],
        "difference": [0.02, 0.5, 0.2],
        "ci_low": [0.01, 0.4, 0.1],
        "ci_high": [0.03, 0.6, 0.3],
      }
    )

    figure = figures.removal_arms({"f": mock.Mock(table=lambda _: effects)})

    (bar,) = figure.axes[0].containers
    self.assertEqual(list(bar.lines[0].get_xdata()), [0.02, 0.2])
    ends = [[*path[:, 0]] for path in bar.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[0.01, 0.03], [0.1, 0.3]])


class OverImagesTest(parameterized.TestCase):
  def test_distances_are_those_of_near_duplicates(self):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 6, 6, 1), dtype=np.uint8)
    images[1] = np.roll(images[0], 1, axis=1)

    found = study_lib.image_distances(images[:3], images, 255)

    u = duplicates.descriptors
    for a in range(3):
      for b in range(5):
        least = min(
          np.linalg.norm(
            u(duplicates.shifted(images[[i]], y, x), 255) - u(images[[j]], 255)
          )
          for i, j in ((a, b), (b, a))
          for y in (-1, 0, 1)
          for x in (-1, 0, 1)
        )
        self.assertAlmostEqual(found[a, b], least, places=3)

  def test_neighbours_of_one_class(self):
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (2, 8, 8, 1))
    labels = np.repeat([0, 1], 15)
    noise = rng.integers(0, 20, (30, 8, 8, 1))
    images = (patterns[labels] + noise).astype(np.uint8)
    given = labels.copy()
    given[0] = 1  # mislabelled
    every = np.arange(30)
    study = mock.Mock(
      distances=lambda a, b: study_lib.image_distances(
        images[a], images[b], 255
      )
    )

    found = over_images.neighbour_agreement(study, given)

    self.assertEqual(found[0], 0)
    self.assertTrue((found[every >= 15] == 1).all())

  def test_difference_weighs_classes_as_among_the_memorized(self):
    labels = np.array([0] * 6 + [1] * 6 + [2] * 2)
    is_high = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1], bool)
    values = np.where(is_high, 0.2, np.where(labels == 0, 0.6, 1.0))

    found = over_images.difference_by_class(values, labels, is_high)

    # Class 2 has no low image; class 0 counts three times as class 1.
    self.assertAlmostEqual(found.theta, (3 * 0.4 + 0.8) / 4)
    self.assertEqual(found.answer, "shown")

  def test_one_pair_of_each_test_image(self):
    found = over_images.one_per_test_image(
      train_ids=np.array([5, 4, 3, 2]),
      test_ids=np.array([1, 1, 1, 0]),
      influence=np.array([0.5, 0.9, 0.9, 0.2]),
      q_value=np.array([1.0, 1.0, 0.001, 1.0]),
    )

    self.assertEqual(found.tolist(), [2, 3])

  def test_certain_pairs_if_there_are_ten(self):
    q_value = np.array([1.0] * 150)
    q_value[20:31] = 0.01
    influence = np.linspace(1, 0.1, 150)

    certain = over_images.one_per_test_image(
      np.zeros(150, int), np.arange(150), influence, q_value
    )
    q_value[20:23] = 1
    others = over_images.one_per_test_image(
      np.zeros(150, int), np.arange(150), influence, q_value
    )

    self.assertEqual(certain.tolist(), list(range(20, 31)))
    self.assertEqual(others.tolist(), list(range(100)))

  def test_rank_of_one_distance(self):
    distances = np.array([0.1, 0.2, 0.2, 0.9])

    self.assertEqual(over_images.mid_rank(distances, 0.1), 0.125)
    self.assertEqual(over_images.mid_rank(distances, 0.2), 0.5)

  def test_ranks_by_chance_show_nothing(self):
    rng = np.random.default_rng(0)

    found = over_images.mean_above_chance(rng.random(100))
    low = over_images.mean_above_chance(rng.random(100) * 0.3)

    self.assertEqual(found.answer, "not shown")  # 0.25 below the mean rank
    self.assertEqual(low.answer, "shown")
    self.assertAlmostEqual(low.theta, 0.1, delta=0.03)

  @parameterized.parameters((1.0, "shown"), (0.0, "not shown"))
  def test_correlation_of_models_corrected_for_noise(self, common, answer):
    rng = np.random.default_rng(0)
    shared, own = rng.random((2, 4000))
    second = np.where(rng.random(4000) < common, shared, own)
    groups = []
    for seed, outside in enumerate((shared, second)):
      found = ladder(
        np.ones((1, 4000)), outside[None], num_runs=60, seed=5 + seed
      )
      group = mock.Mock()
      group.group.label = str(seed)
      group.stack.units = [mock.Mock(index=m) for m in range(60)]
      group.stack.correct = found.correct[0]
      group.stack.in_mask = found.in_mask
      groups.append(group)
    plain = stats.spearmanr(
      *(
        memorization.memorization_scores(
          g.stack.correct, g.stack.in_mask
        ).memorization
        for g in groups
      )
    ).statistic

    found = over_images.correlation(*groups)

    self.assertAlmostEqual(found.theta + 0.8, common, delta=0.06)
    self.assertEqual(found.answer, answer)
    if common:
      self.assertLess(plain, 0.95)


if __name__ == "__main__":
  absltest.main()
