"""A checkpoint's key takes in everything that a run's state depends on."""

import dataclasses
import types

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.running.unit import fit
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


if __name__ == "__main__":
  absltest.main()
