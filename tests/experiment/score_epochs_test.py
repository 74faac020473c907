"""Which runs keep what they have right after which epochs."""

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import score_epochs
from memo_tf.experiment import smoke

MODEL = "cifar_resnet-8"


def config(**settings):
  given = {"models": MODEL, "epochs": 10, "num_subsets": 2} | settings
  return config_rules.from_settings(given)


def files(*epochs):
  return {score_epochs.output(epoch) for epoch in epochs}


def wanted(**settings):
  """Names of the epochs' files that each unit must have, by unit."""
  found = plan_lib.Plan.of(config(**settings)).wanted
  return {
    unit.name: {n for n in names if score_epochs.epoch_of(n)}
    for unit, names in found.items()
  }


class WantedTest(parameterized.TestCase):
  def test_every_run_keeps_the_epochs_before_its_last(self):
    recipes = ("one_hot", "one_hot-e3", "one_hot-e20", "frozen")

    found = wanted(recipes=recipes, score_epochs=(5, 10, 2))

    for index in ("00000", "00001"):
      for recipe, epochs in zip(recipes, [(2, 5), (2,), (2, 5, 10), (2, 5)]):
        unit = f"{MODEL}/{recipe}/r0.70/{index}"
        self.assertEqual(found[unit], files(*epochs))

  def test_a_teacher_keeps_them_too(self):
    found = wanted(recipes="distilled-cifar_resnet-14-t3", score_epochs=5)

    self.assertLen(found, 4)
    self.assertEqual(set(map(frozenset, found.values())), {frozenset(files(5))})

  def test_who_keeps_none(self):
    found = wanted(
      recipes=("one_hot", "int8"), subset_families="full", score_epochs=5
    )

    keep = {name for name, names in found.items() if names}
    self.assertEqual(
      keep, {f"{MODEL}/one_hot/r0.70/{m}" for m in ("00000", "00001")}
    )
    self.assertFalse(any(wanted().values()))

  @parameterized.parameters(
    ((5, 11), r"must be at most --epochs, 10. .*score_epochs=5,11"),
    ((0,), "must be epochs, from 1. .*score_epochs=0"),
    ((5, 5), "must not name anything twice"),
  )
  def test_rules(self, epochs, message):
    with self.assertRaisesRegex(ValueError, message):
      config(score_epochs=epochs)

  def test_subsets_of_two_sizes_are_refused(self):
    with self.assertRaisesRegex(ValueError, "must not be two_sizes with"):
      config(score_epochs=5, subset_scheme="two_sizes")

  def test_epochs_are_added_to_a_study(self):
    before, given = config(score_epochs=5), config(score_epochs=2)

    self.assertEqual(
      config_lib.merge(before, given).outputs.score_epochs, (5, 2)
    )

  def test_a_smoke_study_fits(self):
    self.assertEqual(
      smoke.smoke(config(score_epochs=(5, 10))).outputs.score_epochs, (1,)
    )


if __name__ == "__main__":
  absltest.main()
