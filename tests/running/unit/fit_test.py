"""A checkpoint's key takes in everything that a run's state depends on."""

import dataclasses
import types

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.data import pipeline
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.running.unit import fit
from memo_tf.store import directory as directory_lib
from memo_tf.store import environments

CONFIG = config_lib.StudyConfig()
ENVIRONMENT = environments.current()
NEWER = ENVIRONMENT["versions"] | {"tensorflow": "9.9"}
UNIT = work_units.WorkUnit("cifar_resnet-8", "one_hot", "r0.70", 3)


def key(
  unit=UNIT,
  members=(0, 2),
  digest="d" * 32,
  teacher=None,
  gpu="",
  training=CONFIG.training,
  versions=ENVIRONMENT["versions"],
  source="",
  **running,
) -> str:
  """The key of a run of these settings."""
  config = dataclasses.replace(
    CONFIG, running=dataclasses.replace(CONFIG.running, **running)
  )
  session = types.SimpleNamespace(
    config=config,
    data=types.SimpleNamespace(digest=digest),
    environment={**environments.current(gpu), "versions": versions},
    own_models=types.SimpleNamespace(digest=lambda model: source),
  )
  trainer = types.SimpleNamespace(recipe=recipes.parse("one_hot", training))
  return fit._checkpoint_key(
    session, trainer, unit, np.array(members), teacher or {}, None
  )


class CheckpointKeyTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ("threads", {"threads_per_unit": 2}),
    ("seed", {"seed": 1}),
    ("subset", {"members": (0, 3)}),
    ("data", {"digest": "e" * 32}),
    ("teacher", {"teacher": {"unit": "x"}}),
    ("recipe", {"training": settings_lib.TrainingConfig(epochs=7)}),
    ("machine", {"gpu": "another"}),
    ("version", {"versions": NEWER}),
    ("source", {"source": "f" * 32}),
    ("unit", {"unit": dataclasses.replace(UNIT, index=4)}),
  )
  def test_another_run_has_another_key(self, change):
    self.assertEqual(key(), key())
    self.assertNotEqual(key(), key(**change))


class _Started(Exception):
  """Ends a run where its first epoch would train."""


class StreamsTest(absltest.TestCase):
  def start(self, family, index=3, members=range(20)):
    """What a run of a subset family starts from: a name, and an order."""
    recipe = recipes.parse(
      "one_hot", dataclasses.replace(CONFIG.training, batch_size=4)
    )
    found = {}

    def train_epoch(images, labels, order, rates, views, **options):
      found["order"] = order
      raise _Started

    trainer = types.SimpleNamespace(
      recipe=recipe,
      initialize=lambda seed, name: found.update(name=name),
      train_epoch=train_epoch,
    )
    session = types.SimpleNamespace(
      config=CONFIG,
      directory=directory_lib.StudyDirectory(self.create_tempdir().full_path),
      data=types.SimpleNamespace(
        digest="d" * 32, train_labels=np.zeros(30, int)
      ),
      environment=ENVIRONMENT,
      own_models=types.SimpleNamespace(digest=lambda model: ""),
      own_checked={},
      images=None,
      labels=None,
    )
    unit = dataclasses.replace(UNIT, subsets=family, index=index)
    with self.assertRaises(_Started):
      fit.fit(
        session, trainer, unit, np.array(members), {}, None, lambda *_: None
      )
    return found["name"], found["order"]

  def test_arms_of_a_removal_start_alike(self):
    name, order = self.start("without-memorized-t0.25-cifar_resnet-8")

    for family in (
      "without-random-t0.25-cifar_resnet-8",
      "without-targeted-cifar_resnet-8",
    ):
      other, other_order = self.start(family)
      self.assertEqual(other, name)
      np.testing.assert_array_equal(other_order, order)
    again, another = self.start("without-targeted-cifar_resnet-8", index=4)
    self.assertNotEqual(again, name)
    self.assertFalse(np.array_equal(another, order))

  def test_other_families_have_streams_of_their_own(self):
    name, order = self.start("r0.70")

    self.assertEqual(name, "cifar_resnet-8/one_hot/r0.70/00003")
    expected = pipeline.epoch_order(
      20, 4, seed=0, family="r0.70", index=3, epoch=0
    )
    np.testing.assert_array_equal(order, expected)
    self.assertFalse(np.array_equal(order, self.start("r0.50")[1]))


if __name__ == "__main__":
  absltest.main()
