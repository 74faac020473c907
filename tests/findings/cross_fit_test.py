"""No run measures both a proxy and the memorization beside it."""

import dataclasses

from absl.testing import absltest
import numpy as np

from memo_tf.analysis.proxies import verdicts
from memo_tf.estimators import exposure
from memo_tf.estimators import memorization
from memo_tf.findings import cross_fit
from memo_tf.findings import proxies
from memo_tf.findings import proxy_values
from tests.findings import sizes_test


def proxy(name, values, **options):
  return proxy_values.ProxyValues(
    name=name,
    sign=options.pop("sign", -1),
    paper="",
    values=values,
    never=np.zeros(len(values)),
    **options,
  )


def recorded(values, rng):
  nowhere = np.zeros(len(values), bool)
  return tuple(
    (values + 0.01 * rng.standard_normal(len(values)), nowhere)
    for _ in range(5)
  )


class RowsTest(absltest.TestCase):
  def test_blocks_are_by_index_where_runs_are_missing(self):
    (group, _), _ = sizes_test.make_groups()
    group = sizes_test.without_runs(group, {0, 1, 25})

    blocks = cross_fit.blocks_of(group)

    self.assertEqual(np.bincount(blocks).tolist(), [8, 10, 9, 10])
    odd = cross_fit.odd_blocks(group)
    self.assertEqual(set(blocks[odd]), {1, 3})
    used = blocks == 2
    rest = cross_fit.other_blocks(group, used)
    self.assertEqual(set(blocks[rest]), {0, 1, 3})
    self.assertTrue(cross_fit.has_two_blocks(group, rest))
    self.assertFalse(cross_fit.has_two_blocks(group, used))

  def test_memorization_is_that_of_the_rows(self):
    (group, _), _ = sizes_test.make_groups()
    rows = ~cross_fit.odd_blocks(group)

    found = cross_fit.memorization(group, rows)

    expected = memorization.memorization_scores(
      group.stack.correct[rows], group.stack.in_mask[rows]
    )
    np.testing.assert_allclose(found.values, expected.memorization)
    self.assertEqual(found.parts.ids, (0, 2))
    np.testing.assert_allclose(
      found.parts.scores_of(np.ones((1, 2)))[0], expected.memorization
    )


class SeparationTest(absltest.TestCase):
  def test_it_is_that_of_the_rows_with_replicates(self):
    (group, _), _ = sizes_test.make_groups()
    rng = np.random.default_rng(0)
    stack = group.stack
    p = (0.2 + 0.5 * stack.in_mask) + 0.2 * rng.random(stack.in_mask.shape)
    stack = dataclasses.replace(
      stack, label_prob=p, margin=np.full(p.shape, np.nan)
    )
    group = dataclasses.replace(group, stack=stack)
    rows = cross_fit.odd_blocks(group)

    found = cross_fit.membership_separation(group, rows)

    expected = exposure.separation(
      np.log(p / (1 - p))[rows], stack.in_mask[rows]
    )
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)
    self.assertGreater(np.nanmin(found.values), 0)
    self.assertTrue(found.shares_runs)
    self.assertEqual(found.num_drawn, 2)


class CompareTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.groups, _ = sizes_test.make_groups()
    rng = np.random.default_rng(0)
    cls.members = []
    for result in cls.groups:
      values = rng.random(60)
      cls.members.append(
        proxy_values.ProxyGroup(
          result=result,
          recorded=np.arange(40) < 5,
          found=(
            proxy(
              "cscore", values, is_of_many_runs=True, is_from_recording=False
            ),
            proxy("el2n", values, per_run=recorded(values, rng)),
            proxy(
              "ensemble_disagreement",
              values,
              is_of_many_runs=True,
              per_run=recorded(values, rng),
            ),
            proxy("mine", values, is_custom=True, is_from_recording=False),
          ),
        )
      )

  def compare(self, members):
    return proxies._compare(
      "cifar_resnet",
      "one_hot",
      members,
      lambda v: np.repeat("constant", v.shape[1]),
    )

  def test_who_is_compared_with_what(self):
    found = self.compare(self.members)
    small = "cifar_resnet-8"

    ids = {name: m[small].parts.ids for name, m in found.beside.items()}
    self.assertEqual(
      ids,
      {
        "cscore": (0, 2),
        "el2n": (1, 2, 3),
        "ensemble_disagreement": (1, 2, 3),
        "mine": (0, 1, 2, 3),
      },
    )
    # The C-score is that of the odd blocks.
    stack = self.groups[0].stack
    odd = cross_fit.odd_blocks(self.groups[0])
    out = np.where(stack.in_mask[odd], np.nan, stack.correct[odd])
    np.testing.assert_allclose(
      found.proxies["cscore"][small], np.nanmean(out, axis=0)
    )

  def test_what_shares_runs_gets_no_verdict(self):
    table = self.compare(self.members).tables
    rows = table.criteria.groupby("proxy")["shares_runs"].all()

    self.assertEqual(
      rows.to_dict(),
      {
        "cscore": True,
        "el2n": False,
        "ensemble_disagreement": True,
        "mine": False,
      },
    )
    verdict = table.verdicts.set_index("proxy")["verdict"]
    self.assertEqual(verdict["cscore"], verdicts.SHARES_RUNS)
    self.assertEqual(verdict["ensemble_disagreement"], verdicts.SHARES_RUNS)
    self.assertIn("ranking:", verdict["el2n"])
    # Memorization's own rows are there once, from all runs.
    own = table.distributions[table.distributions["score"] == "memorization"]
    self.assertLen(own, 2)
    self.assertAlmostEqual(
      own["mean"].iloc[0], self.groups[0].scores.memorization.mean()
    )

  def test_where_every_block_recorded_runs_are_shared(self):
    members = [
      proxy_values.ProxyGroup(
        result=member.result,
        found=member.found,
        recorded=np.arange(40) % 10 == 0,
      )
      for member in self.members
    ]

    verdict = self.compare(members).tables.verdicts.set_index("proxy")

    self.assertEqual(verdict.loc["el2n", "verdict"], verdicts.SHARES_RUNS)


if __name__ == "__main__":
  absltest.main()
