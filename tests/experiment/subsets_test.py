"""Subset families: margins, prefixes, chance, and frozen draws."""

import hashlib
import math

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.experiment import subsets


def pair_counts(masks):
  """How often each two examples are in a subset together."""
  together = masks.T.astype(np.int64) @ masks.astype(np.int64)
  return together[np.triu_indices(masks.shape[1], 1)]


class BalancedTest(parameterized.TestCase):
  def test_both_margins_are_exact(self):
    masks = subsets.in_masks(1500, 40, 0.7, seed=0)

    self.assertEqual(masks.dtype, bool)
    self.assertEqual(masks.shape, (40, 1500))
    # 0.7 of 1,500 in each subset; each example in 0.7 of 40 subsets.
    np.testing.assert_array_equal(masks.sum(axis=1), 1050)
    np.testing.assert_array_equal(masks.sum(axis=0), 28)

  @parameterized.parameters(
    # ratio, N, block, members of a row, members of a column
    (0.7, 1500, 10, 1050, 7),
    (0.5, 100, 2, 50, 1),
    (0.25, 64, 4, 16, 1),
    (0.35, 200, 20, 70, 7),
    (0.9, 50, 10, 45, 9),
    (0.01, 300, 100, 3, 1),
    (0.99, 300, 100, 297, 99),
    (0.875, 80, 8, 70, 7),
  )
  def test_each_block_has_both_margins(
    self, ratio, num_examples, block, row, column
  ):
    self.assertEqual(subsets.block_size(ratio), block)

    masks = subsets.in_masks(num_examples, 3 * block, ratio, seed=1)

    np.testing.assert_array_equal(masks.sum(axis=1), row)
    for b in range(3):
      in_block = masks[b * block : (b + 1) * block]
      np.testing.assert_array_equal(in_block.sum(axis=0), column)

  @parameterized.parameters(
    (0.7, 1501), (0.7, 11), (0.5, 33), (0.25, 66), (0.35, 201), (0.9, 57)
  )
  def test_sizes_differ_by_at_most_one_where_not_whole(
    self, ratio, num_examples
  ):
    block = subsets.block_size(ratio)

    masks = subsets.in_masks(num_examples, 2 * block, ratio, seed=2)

    for part in (masks[:block], masks[block:]):
      sizes = part.sum(axis=1)
      self.assertEqual(sizes.min(), math.floor(ratio * num_examples))
      self.assertEqual(sizes.max(), math.ceil(ratio * num_examples))
      np.testing.assert_array_equal(part.sum(axis=0), round(ratio * block))

  @parameterized.parameters((1 / 3, 33, 34), (2 / 3, 66, 67), (0.123, 12, 13))
  def test_ratio_of_a_large_denominator(self, ratio, low, high):
    self.assertEqual(subsets.block_size(ratio), 100)

    masks = subsets.in_masks(300, 100, ratio, seed=3)

    columns = masks.sum(axis=0)
    self.assertEqual(set(columns), {low, high})
    # Of 300 examples of 33.33 subsets on average, a third are in 34.
    self.assertEqual(columns.sum(), round(ratio * 100 * 300))
    rows = masks.sum(axis=1)
    self.assertLessEqual(rows.max() - rows.min(), 1)

  def test_rows_of_an_incomplete_block_have_the_size(self):
    masks = subsets.in_masks(1000, 13, 0.7, seed=4)

    np.testing.assert_array_equal(masks.sum(axis=1), 700)
    np.testing.assert_array_equal(masks[:10].sum(axis=0), 7)
    # Three random rows: nobody in more than three, and not all alike.
    self.assertEqual(set(masks[10:].sum(axis=0)), {0, 1, 2, 3})

  def test_blocks_differ(self):
    masks = subsets.in_masks(200, 20, 0.7, seed=5)

    self.assertLen({row.tobytes() for row in masks}, 20)

  def test_pairs_go_together_no_more_than_chance_makes_them(self):
    num_examples, num_subsets, size = 100, 200, 70
    masks = subsets.in_masks(num_examples, num_subsets, 0.7, seed=6)
    rng = np.random.default_rng(0)
    independent = np.zeros_like(masks)
    for m in range(num_subsets):
      independent[m, rng.choice(num_examples, size, replace=False)] = True

    counts, chance = pair_counts(masks), pair_counts(independent)

    # Rows of the same size give the same mean; what may go wrong is spread.
    together = size * (size - 1) / (num_examples * (num_examples - 1))
    self.assertAlmostEqual(counts.mean(), num_subsets * together, 9)
    self.assertAlmostEqual(chance.mean(), num_subsets * together, 9)
    self.assertLess(counts.var(), chance.var())
    self.assertLessEqual(counts.max(), chance.max())
    self.assertGreaterEqual(counts.min(), chance.min())
    # And no less: 7 of 10 twice, at random, has this variance in a block of
    # 10 (the hypergeometric's), and there are 20 blocks.
    hypergeometric = 7 * 0.7 * 0.3 * (10 - 7) / (10 - 1)
    np.testing.assert_allclose(counts.var(), 20 * hypergeometric, rtol=0.15)

  def test_halves_do_not_pair_complements_of_examples(self):
    masks = subsets.in_masks(40, 200, 0.5, seed=7)

    counts = pair_counts(masks)

    # In a block of two, two examples are together once or never: 100 fair
    # coins a pair, over 780 pairs. Five standard deviations are 25.
    self.assertBetween(counts.min(), 24, 45)
    self.assertBetween(counts.max(), 53, 74)

  def test_every_place_is_equally_likely(self):
    num_seeds = 500
    total = sum(
      subsets.in_masks(15, 10, 0.7, seed=seed).astype(int)
      for seed in range(num_seeds)
    )

    # 150 places of 500 draws each; 15 * 0.7 = 10.5 is not whole.
    error = np.sqrt(0.7 * 0.3 / num_seeds)
    self.assertLess(np.abs(total / num_seeds - 0.7).max(), 4.5 * error)


class UniformTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.7, 1500, 1050), (0.7, 1501, 1051), (0.5, 7, 4), (1 / 3, 10, 3)
  )
  def test_every_row_has_the_rounded_size(self, ratio, num_examples, size):
    masks = subsets.in_masks(num_examples, 25, ratio, scheme="uniform", seed=0)

    self.assertEqual(masks.dtype, bool)
    np.testing.assert_array_equal(masks.sum(axis=1), size)
    self.assertEqual(round(ratio * num_examples), size)

  def test_columns_are_binomial(self):
    masks = subsets.in_masks(2000, 50, 0.7, scheme="uniform", seed=1)

    columns = masks.sum(axis=0)

    # Balanced columns would have variance 0. The variance of 2,000 has a
    # relative standard error of sqrt(2 / 2000) = 0.032.
    np.testing.assert_allclose(columns.var(), 50 * 0.7 * 0.3, rtol=0.13)

  def test_rows_overlap_as_independent_draws_do(self):
    masks = subsets.in_masks(1000, 30, 0.7, scheme="uniform", seed=2)

    overlaps = pair_counts(masks.T)

    # Hypergeometric: mean 490, variance 700 * 0.7 * 0.3 * 300 / 999 = 44.1.
    self.assertLess(abs(overlaps.mean() - 490), 4 * np.sqrt(44.1 / 435))
    self.assertLess(np.abs(overlaps - 490).max(), 4.5 * np.sqrt(44.1))


# Complementary subsets exist at ratio 0.5 alone.
ANY_RATIO = tuple(s for s in subsets.SCHEMES if s != "complementary")


class BothSchemesTest(parameterized.TestCase):
  @parameterized.product(
    scheme=ANY_RATIO, ratio=[0.7, 0.5, 1 / 3], small=[1, 15, 20]
  )
  def test_first_rows_do_not_depend_on_how_many(self, scheme, ratio, small):
    few = subsets.in_masks(90, small, ratio, scheme=scheme, seed=3)
    many = subsets.in_masks(90, 60, ratio, scheme=scheme, seed=3)

    self.assertLen(few, small)
    np.testing.assert_array_equal(few, many[:small])

  @parameterized.parameters(*ANY_RATIO)
  def test_seed_decides(self, scheme):
    one = subsets.in_masks(200, 10, 0.7, scheme=scheme, seed=0)
    same = subsets.in_masks(200, 10, 0.7, scheme=scheme, seed=0)
    other = subsets.in_masks(200, 10, 0.7, scheme=scheme, seed=1)

    np.testing.assert_array_equal(one, same)
    # No row in common, and half of what chance lets differ does.
    self.assertTrue((one != other).any(axis=1).all())
    self.assertBetween((one != other).mean(), 0.3, 0.55)

  @parameterized.parameters(*ANY_RATIO)
  def test_ratios_have_streams_of_their_own(self, scheme):
    one = subsets.in_masks(400, 100, 0.7, scheme=scheme, seed=0)
    other = subsets.in_masks(400, 100, 0.71, scheme=scheme, seed=0)

    # From one stream, the smaller subset would be nearly within the larger.
    self.assertBetween((one & ~other).mean(), 0.15, 0.25)

  # Recorded studies depend on these: the same seed must draw the same subsets.
  def test_draws_are_frozen(self):
    balanced = subsets.in_masks(6, 4, 0.5, seed=0)
    uniform = subsets.in_masks(6, 4, 0.5, scheme="uniform", seed=0)

    np.testing.assert_array_equal(
      balanced.astype(int),
      [
        [1, 0, 0, 0, 1, 1],
        [0, 1, 1, 1, 0, 0],
        [1, 0, 1, 1, 0, 0],
        [0, 1, 0, 0, 1, 1],
      ],
    )
    np.testing.assert_array_equal(
      uniform.astype(int),
      [
        [1, 1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0, 1],
        [1, 0, 1, 0, 1, 0],
        [0, 0, 1, 0, 1, 1],
      ],
    )

  @parameterized.parameters(
    (
      "balanced",
      "0566e23ab81f4b708effca44b2a90730db2f11536739d37f8dc880627a4eb454",
    ),
    (
      "uniform",
      "78c73b6f57cad4e751b32bbf9f989e8009ad6700727dd725029f8143ecb71aa4",
    ),
  )
  def test_draws_of_a_whole_study_are_frozen(self, scheme, expected):
    masks = subsets.in_masks(1500, 40, 0.7, scheme=scheme, seed=0)

    self.assertEqual(hashlib.sha256(masks.tobytes()).hexdigest(), expected)


class RejectsTest(parameterized.TestCase):
  @parameterized.parameters(0.0, 1.0, -0.1, 1.5, float("nan"))
  def test_ratio(self, ratio):
    with self.assertRaisesRegex(
      ValueError, f"`subset_ratio` must be strictly between.*={ratio}"
    ):
      subsets.in_masks(100, 10, ratio)

  def test_scheme(self):
    with self.assertRaisesRegex(
      ValueError, "`subset_scheme`.*balanced, uniform.*'random'"
    ):
      subsets.in_masks(100, 10, 0.5, scheme="random")

  @parameterized.parameters(0, -3)
  def test_num_subsets(self, num_subsets):
    with self.assertRaisesRegex(ValueError, f"at least 1.*{num_subsets}"):
      subsets.in_masks(100, num_subsets, 0.5)

  @parameterized.product(
    sizes=[(10, 0.01), (10, 0.99), (1, 0.5), (0, 0.5)],
    scheme=["balanced", "uniform"],
  )
  def test_too_few_examples(self, sizes, scheme):
    num_examples, ratio = sizes

    with self.assertRaisesRegex(
      ValueError, f"ratio={ratio} of num_examples={num_examples}"
    ):
      subsets.in_masks(num_examples, 10, ratio, scheme=scheme)


class FamilyTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.7, "balanced", "r0.70"),
    (0.7, "uniform", "r0.70-uniform"),
    (0.5, "balanced", "r0.50"),
    (0.05, "balanced", "r0.05"),
    (0.125, "balanced", "r0.125"),
    (0.333333, "uniform", "r0.333333-uniform"),
    (0.999, "balanced", "r0.999"),
    (0.0001, "balanced", "r0.0001"),
  )
  def test_round_trip(self, ratio, scheme, name):
    self.assertEqual(subsets.family_name(ratio, scheme), name)

    family = subsets.parse_family(name)

    self.assertEqual(
      family, subsets.SubsetFamily(name=name, ratio=ratio, scheme=scheme)
    )

  def test_every_percentage_round_trips(self):
    for percent in range(1, 100):
      for scheme in ANY_RATIO:
        name = subsets.family_name(percent / 100, scheme)

        self.assertEqual(subsets.parse_family(name).ratio, percent / 100)
        self.assertEqual(name[:5], f"r0.{percent:02d}")

  @parameterized.parameters("r0.70", "r0.35", "r0.50-uniform")
  def test_in_mask_is_that_of_its_ratio_and_scheme(self, name):
    family = subsets.parse_family(name)

    np.testing.assert_array_equal(
      family.in_mask(60, 7, seed=8),
      subsets.in_masks(60, 7, family.ratio, scheme=family.scheme, seed=8),
    )

  def test_full_holds_everything(self):
    family = subsets.parse_family("full")

    self.assertEqual((family.ratio, family.scheme), (1.0, "full"))
    mask = family.in_mask(5, 3, seed=0)
    self.assertEqual(mask.dtype, bool)
    np.testing.assert_array_equal(mask, np.ones((3, 5), bool))

  @parameterized.parameters(
    "",
    "0.70",
    "r1.00",
    "r0.00",
    "r0.7",
    "r.70",
    "r-0.70",
    "r0.70-balanced",
    "r0.70-full",
    "r0.70-",
    "r0.70/..",
    "../r0.70",
    "r0.70\n",
    "r0.1234567",
    "Full",
    "full-uniform",
  )
  def test_wrong_names(self, name):
    with self.assertRaisesRegex(
      ValueError, "`r0.70` .*`r0.70-uniform` .*or `full`"
    ) as caught:
      subsets.parse_family(name)
    self.assertIn(repr(name), str(caught.exception))

  @parameterized.parameters(
    ("r0.700", "r0.70"), ("r0.3330", "r0.333"), ("r0.700-uniform", "r0.70-uni")
  )
  def test_one_family_has_one_name(self, name, right):
    with self.assertRaisesRegex(ValueError, f"is written '{right}.*'{name}'"):
      subsets.parse_family(name)


class ComplementTest(parameterized.TestCase):
  @parameterized.parameters("r0.70", "r0.30-uniform", "r0.25-bernoulli")
  def test_holds_what_the_family_holds_out(self, name):
    family = subsets.parse_family(name)
    complement = subsets.parse_family(subsets.complement_name(name))

    self.assertEqual(complement.name, f"{name}-complement")
    self.assertAlmostEqual(complement.ratio, 1 - family.ratio)
    self.assertEqual(complement.scheme, family.scheme)
    self.assertEqual(complement.block, family.block)
    self.assertEqual(complement.estimand, family.estimand)
    np.testing.assert_array_equal(
      complement.in_mask(40, 12, 3), ~family.in_mask(40, 12, 3)
    )

  def test_a_block_is_balanced(self):
    in_mask = subsets.parse_family("r0.70-complement").in_mask(100, 10, 0)

    self.assertEqual(set(in_mask.sum(axis=0)), {3})
    self.assertEqual(set(in_mask.sum(axis=1)), {30})

  def test_ratio_is_a_tidy_number(self):
    self.assertEqual(subsets.parse_family("r0.70-complement").ratio, 0.3)

  @parameterized.parameters(
    ("full-complement", "hold nothing out"),
    ("r0.50-complementary-complement", "complements of each other"),
    ("r0.50-two_sizes-complement", "not be those of the definition"),
    ("r0.70-complement-complement", "'r0.70' itself"),
    ("r0.7-complement", "two decimals|A subset family is"),
    ("-complement", "A subset family is"),
  )
  def test_families_without(self, name, message):
    with self.assertRaisesRegex(ValueError, message):
      subsets.parse_family(name)


class EstimandSchemesTest(parameterized.TestCase):
  @parameterized.parameters(0.5, 0.2, 0.7)
  def test_bernoulli_examples_are_independent(self, ratio):
    masks = subsets.in_masks(40, 20_000, ratio, scheme="bernoulli", seed=1)

    error = np.sqrt(ratio * (1 - ratio) / 20_000)
    np.testing.assert_allclose(masks.mean(axis=0), ratio, atol=4.5 * error)
    # 780 correlations of deviation 1 / sqrt(20,000) each.
    correlation = np.corrcoef(masks.T)[np.triu_indices(40, 1)]
    self.assertLess(np.abs(correlation).max(), 4.5 / np.sqrt(20_000))
    # Sizes are binomial, not fixed.
    self.assertAlmostEqual(
      masks.sum(axis=1).var(), 40 * ratio * (1 - ratio), delta=0.5
    )

  def test_complementary_pairs(self):
    masks = subsets.in_masks(50, 4001, 0.5, scheme="complementary", seed=2)

    np.testing.assert_array_equal(masks[0:4000:2], ~masks[1:4000:2])
    self.assertAlmostEqual(masks[::2].sum(axis=1).var(), 12.5, delta=1.5)
    self.assertTrue((masks[0] != masks[2]).any())

  def test_complementary_takes_no_other_ratio(self):
    with self.assertRaisesRegex(ValueError, "must be 0.5.*0.7"):
      subsets.in_masks(50, 4, 0.7, scheme="complementary")
    with self.assertRaisesRegex(ValueError, "must be 0.5.*0.7"):
      subsets.parse_family("r0.70-complementary")

  def test_two_sizes_take_turns(self):
    masks = subsets.in_masks(30, 7, 0.7, scheme="two_sizes", seed=2)

    self.assertEqual(masks.sum(axis=1).tolist(), [21, 20, 21, 20, 21, 20, 21])

  @parameterized.parameters(*subsets.SCHEMES)
  def test_every_scheme_names_its_estimand_and_round_trips(self, scheme):
    family = subsets.parse_family(subsets.family_name(0.5, scheme))

    self.assertEqual(family.scheme, scheme)
    self.assertIn(family.estimand, ("conditional", "paper", "bernoulli"))
    np.testing.assert_array_equal(
      family.in_mask(20, 6, seed=1),
      subsets.in_masks(20, 6, 0.5, scheme=scheme, seed=1),
    )

  @parameterized.parameters("bernoulli", "complementary")
  def test_no_subset_is_empty_or_full(self, scheme):
    masks = subsets.in_masks(2, 400, 0.5, scheme=scheme)

    self.assertTrue((masks.sum(axis=1) == 1).all())


class TooFewExamplesTest(parameterized.TestCase):
  @parameterized.parameters((2, 0.7), (3, 0.2), (5, 0.9))
  def test_a_balanced_row_that_would_be_empty_or_full_is_refused(
    self, num_examples, ratio
  ):
    with self.assertRaisesRegex(ValueError, "one held out"):
      subsets.in_masks(num_examples, 10, ratio)

  def test_small_ratios_have_names_that_parse(self):
    name = subsets.family_name(0.00005)

    self.assertEqual(name, "r0.00005")
    self.assertEqual(subsets.parse_family(name).ratio, 0.00005)


if __name__ == "__main__":
  absltest.main()
