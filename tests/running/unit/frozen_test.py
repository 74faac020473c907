"""Runs of which only the last layer is trained, on one run's features."""

import itertools
import json
import pathlib
import shutil

from absl.testing import absltest
import keras
import numpy as np

from memo_tf.data.sources import load
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets
from memo_tf.experiment import work_units
from memo_tf.models import last_layer
from memo_tf.running.unit import own_models as own_models_lib
from memo_tf.running.unit import run
from memo_tf.running.unit import session as session_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import own_sources
from memo_tf.store import predictions
from memo_tf.training import kept_weights
from tests.support import own_models

BUILT_IN = "cifar_resnet-8-w0.25"
ALWAYS = frozenset(
  {"predictions.parquet", "history.jsonl", "weights.weights.h5"}
)


class Killed(BaseException):
  """Stands for a kill: what the run leaves behind is what a kill leaves."""


class Study:
  """A directory with digits and subsets, without a launch."""

  def __init__(self, test, *models, epochs=3, **training):
    self.folder = pathlib.Path(test.create_tempdir().full_path)
    source = shutil.copy(own_models.__file__, self.folder / "mine.py")
    self.config = config_rules.validated(
      config_lib.StudyConfig(
        data=settings_lib.DataConfig(find_duplicates="off"),
        subsets=settings_lib.SubsetsConfig(num_subsets=2),
        models=settings_lib.ModelsConfig(
          models=(BUILT_IN, *(f"{source}:{name}" for name in models)),
          recipes=("one_hot", "frozen"),
        ),
        training=settings_lib.TrainingConfig(
          epochs=epochs, batch_size=128, learning_rate=0.1, **training
        ),
        running=settings_lib.RunningConfig(checkpoint_epochs=1),
      )
    )
    self.directory = directory_lib.StudyDirectory(self.folder / "study")
    data = load.load(self.config.data, 0)
    writer.write_dataset(data, self.config, self.directory)
    self.masks = {}
    for family in self.config.all_family_names():
      mask = subsets.parse_family(family).in_mask(len(data.train_labels), 2, 0)
      path = self.directory.in_mask_path(family)
      path.parent.mkdir(exist_ok=True)
      np.save(path, mask)
      self.masks[family] = mask
    own_sources.keep(self.directory, self.config)

  def session(self) -> session_lib.Session:
    """A new one, as of a new process."""
    return session_lib.Session(self.config, self.directory)

  def train(self, unit, session=None, **options) -> dict:
    return run.run_unit(session or self.session(), unit, ALWAYS, **options)

  def record(self, unit) -> dict:
    return json.loads((self.directory.run_dir(unit) / "run.json").read_text())

  def weights(self, unit) -> list[np.ndarray]:
    """The kept weights of a run, in order: those of the last layer last."""
    recipe = plan_lib.Plan.of(self.config).recipes["one_hot"]
    model = self.session().trainer(unit.model, recipe).model
    kept_weights.load_weights(model, self.directory, unit)
    return model.get_weights()


def units_of(model):
  """The run on all examples, and two with its features."""
  return (
    work_units.WorkUnit(model, "one_hot", "full", 0),
    work_units.WorkUnit(model, "frozen", "r0.70", 0),
    work_units.WorkUnit(model, "frozen", "r0.70", 1),
  )


class FrozenRunsTest(absltest.TestCase):
  def check_bodies(self, model, study):
    """All weights but the classifier's are those of the run on all, to the bit.

    Also after another run in the same session, with the same trace.
    """
    session = study.session()
    full, *frozen = units_of(model)
    for unit in (full, *frozen):
      study.train(unit, session)

    source, *heads = (study.weights(u) for u in (full, *frozen))
    for place, kept in enumerate(source):
      is_kept = place < len(source) - 2  # all but its kernel and bias
      for one, other in itertools.combinations(
        [kept, *(h[place] for h in heads)], 2
      ):
        self.assertEqual(np.array_equal(one, other), is_kept, place)
    for unit in frozen:
      record = study.record(unit)
      self.assertEqual(record["source"]["unit"], full.name)
      self.assertEqual(record["parameters"], study.record(full)["parameters"])
      table = predictions.read_run(study.directory, unit)
      mask = table["in_subset"].to_numpy()[: len(study.masks["full"][0])]
      np.testing.assert_array_equal(mask, study.masks["r0.70"][unit.index])

  def test_only_the_last_layer_is_trained(self):
    self.check_bodies(BUILT_IN, Study(self, augmentation="pad_crop_flip"))

  def test_only_the_last_layer_of_an_own_model_is_trained(self):
    """Its batch normalization and dropout work as in the finished model."""
    study = Study(self, "small")
    found = own_models_lib.check(study.session(), ["own-small"], [])
    own_sources.note_checked(study.directory, found)

    self.assertEqual(found["own-small"]["recipes"], ["frozen"])
    self.check_bodies("own-small", study)

  def test_a_killed_run_is_resumed_to_the_bit(self):
    study = Study(self, "small")
    full, unit, _ = units_of("own-small")
    for each in (full, unit):
      study.train(each)
    table = predictions.read_run(study.directory, unit)
    weights = study.weights(unit)
    shutil.rmtree(study.directory.run_dir(unit))

    def kill(epoch, epochs):
      if epoch == 3:  # the state after epoch 2 is on disk
        raise Killed

    with self.assertRaises(Killed):
      study.train(unit, on_epoch=kill)
    study.train(unit)

    self.assertEqual(study.record(unit)["resumed_after_epoch"], 2)
    again = predictions.read_run(study.directory, unit)
    self.assertTrue(predictions.same_predictions(table, again))
    for one, other in zip(weights, study.weights(unit), strict=True):
      np.testing.assert_array_equal(one, other)

  def test_a_source_that_did_not_see_all_is_refused(self):
    study = Study(self, epochs=1)
    full, unit, _ = units_of(BUILT_IN)
    np.save(study.directory.in_mask_path("full"), study.masks["r0.70"])
    study.train(full)

    with self.assertRaisesRegex(errors.UnitError, "examples that frozen says"):
      study.train(unit)

  def test_own_models_without_a_classifier_are_refused_beforehand(self):
    study = Study(self, "late")
    message = (
      "--recipes: frozen cannot be had of mine.py:late: its last layer with "
      "weights must be a trainable keras.layers.Dense of 10 units, one for "
      "each class. Received: _Linear"
    )

    with self.assertRaisesRegex(errors.UsageError, message):
      own_models_lib.check(study.session(), ["own-late"], [])


class LastLayerTest(absltest.TestCase):
  def test_of_models_as_people_write_them(self):
    shape = (8, 8, 1)
    for make in (own_models.small, own_models.scaled, own_models.tuned):
      model = make(shape, 10)
      if model.input_shape[1] is None:
        model = keras.Sequential([keras.Input(shape), model])
      before = model.get_weights()

      last_layer.check(model, 10)

      self.assertIs(last_layer.find(model, 10), _last_dense(model))
      for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

  def test_subclassed(self):
    images = keras.Input((8, 8, 1))
    made = own_models.large((8, 8, 1), 10)
    model = keras.Model(images, made(images))

    last_layer.check(model, 10)

    self.assertIs(last_layer.find(model, 10), made.head)

  def test_what_is_no_classifier(self):
    images = keras.Input((4,))
    hidden = keras.layers.Dense(10)(images)
    norm = keras.layers.BatchNormalization()(hidden)
    frozen = keras.layers.Dense(10, trainable=False)(images)
    for outputs, message in (
      (norm, "Received: BatchNormalization"),
      (keras.layers.Dense(7)(hidden), "Received: Dense .* of 7 units"),
      (frozen, "which is not trained"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        last_layer.find(keras.Model(images, outputs), 10)

  def test_a_way_past_the_classifier(self):
    images = keras.Input((10,))
    logits = keras.layers.Dense(10)(images)
    past = keras.Model(images, keras.layers.Add()([logits, images]))
    scaled = keras.Model(images, keras.layers.Rescaling(0.5)(logits))

    last_layer.check(scaled, 10)
    with self.assertRaisesRegex(ValueError, "another way from the images"):
      last_layer.check(past, 10)


def _last_dense(model):
  """The classifier, by the order in which a test's model lists its layers."""
  while isinstance(model, keras.Model):
    model = model.layers[-1]
  return model


if __name__ == "__main__":
  absltest.main()
