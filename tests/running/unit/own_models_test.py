"""Runs of own models: checked, trained, killed and resumed, exported."""

import json
import pathlib
import shutil
import tempfile

from absl.testing import absltest
import keras
import numpy as np
import pyarrow.parquet as pq
import pytest

from memo_tf.data.sources import load
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets
from memo_tf.experiment import work_units
from memo_tf.exporting import export_run
from memo_tf.models import cost
from memo_tf.running.unit import own_models as own_models_lib
from memo_tf.running.unit import run
from memo_tf.running.unit import session as session_lib
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import origins
from memo_tf.store import own_sources
from memo_tf.store import predictions
from tests.support import own_models

NUM_TRAIN, NUM_EPOCHS = 100, 3
ALWAYS = frozenset(
  {"predictions.parquet", "history.jsonl", "weights.weights.h5"}
)
DISTILLED = "distilled-own-large-t3"


class Killed(BaseException):
  """Stands for a kill: what the run leaves behind is what a kill leaves."""


def unit(model: str, recipe: str = "one_hot") -> work_units.WorkUnit:
  return work_units.WorkUnit(model, recipe, "r0.50", 0)


class Study:
  """A directory with data and subsets for the own models of a file."""

  def __init__(self, test: absltest.TestCase):
    self.folder = pathlib.Path(test.create_tempdir().full_path)
    source = shutil.copy(own_models.__file__, self.folder / "mine.py")
    names = ("small", "large", "scaled", "tuned")
    self.config = config_rules.validated(
      config_lib.StudyConfig(
        data=settings_lib.DataConfig(
          dataset=f"npz:{DIGITS}", find_duplicates="off"
        ),
        subsets=settings_lib.SubsetsConfig(num_subsets=2, subset_ratio=0.5),
        models=settings_lib.ModelsConfig(
          models=tuple(f"{source}:{name}" for name in names),
          recipes=("one_hot", DISTILLED),
        ),
        training=settings_lib.TrainingConfig(
          epochs=NUM_EPOCHS, batch_size=16, augmentation="pad_crop_flip"
        ),
        running=settings_lib.RunningConfig(checkpoint_epochs=1),
      )
    )
    self.directory = directory_lib.StudyDirectory(self.folder / "study")
    data = load.load(self.config.data, 0)
    writer.write_dataset(data, self.config, self.directory)
    masks = subsets.parse_family("r0.50").in_mask(NUM_TRAIN, 2, 0)
    self.directory.in_mask_path("r0.50").parent.mkdir()
    np.save(self.directory.in_mask_path("r0.50"), masks)
    own_sources.keep(self.directory, self.config)

  def session(self) -> session_lib.Session:
    """A new one, as of a new process."""
    return session_lib.Session(self.config, self.directory)

  def table(self, of: work_units.WorkUnit):
    return pq.read_table(self.directory.run_dir(of) / "predictions.parquet")

  def record(self, of: work_units.WorkUnit) -> dict:
    return json.loads((self.directory.run_dir(of) / "run.json").read_text())


def setUpModule():
  global _TEMPORARY, DIGITS
  _TEMPORARY = tempfile.TemporaryDirectory()
  DIGITS = pathlib.Path(_TEMPORARY.name) / "digits.npz"
  digits = load.load(settings_lib.DataConfig(), 0)
  np.savez(
    DIGITS,
    train_images=digits.train_images[:NUM_TRAIN],
    train_labels=digits.train_labels[:NUM_TRAIN],
    test_images=digits.test_images[:30],
    test_labels=digits.test_labels[:30],
  )


def tearDownModule():
  _TEMPORARY.cleanup()


class OwnModelRunsTest(absltest.TestCase):
  def test_a_killed_run_is_resumed_to_the_bit(self):
    """With the draws of dropout and the statistics of batch normalization."""
    self.check_resumed("own-small")

  @pytest.mark.slow
  def test_a_killed_run_of_a_subclassed_model_is_resumed_to_the_bit(self):
    self.check_resumed("own-large")

  def check_resumed(self, model):
    whole, killed = Study(self), Study(self)
    run.run_unit(whole.session(), unit(model), ALWAYS)

    def kill(epoch, epochs):
      if epoch == 3:  # the state after epoch 2 is on disk
        raise Killed

    with self.assertRaises(Killed):
      run.run_unit(killed.session(), unit(model), ALWAYS, kill)
    run.run_unit(killed.session(), unit(model), ALWAYS)

    record = killed.record(unit(model))
    self.assertEqual(record["resumed_after_epoch"], 2)
    self.assertTrue(
      predictions.same_predictions(
        whole.table(unit(model)), killed.table(unit(model))
      )
    )
    histories = [
      (s.directory.run_dir(unit(model)) / "history.jsonl").read_text()
      for s in (whole, killed)
    ]
    self.assertEqual(*histories)

  @pytest.mark.slow
  def test_a_run_does_not_depend_on_those_before_it(self):
    """One trace serves many runs, whose weights are drawn anew."""
    study, alone = Study(self), Study(self)
    second = work_units.WorkUnit("own-small", "one_hot", "r0.50", 1)
    session = study.session()
    run.run_unit(session, unit("own-small"), ALWAYS)
    run.run_unit(session, second, ALWAYS)
    run.run_unit(alone.session(), second, ALWAYS)

    self.assertTrue(
      predictions.same_predictions(study.table(second), alone.table(second))
    )

  def test_the_state_of_dropout_is_in_the_checkpoint(self):
    """Without it the test above could pass by a dropout that never draws."""
    study = Study(self)
    trainer = study.session().trainer(
      "own-small", plan_lib.Plan.of(study.config).recipes["one_hot"]
    )
    trainer.initialize(0, "unit")
    before = trainer.state()

    images = np.zeros((16, 8, 8, 1), np.uint8)
    order = np.arange(16, dtype=np.int32)[None]
    views = np.zeros((1, 16, 3), np.int32)
    labels = np.zeros(16, np.int32)
    rates = np.zeros(1, np.float32)
    trainer.train_epoch(images, labels, order, rates, views)
    after = trainer.state()

    self.assertFalse(np.array_equal(before["random_0"], after["random_0"]))
    trainer.set_state(before)
    np.testing.assert_array_equal(
      trainer.state()["random_0"], before["random_0"]
    )

  @pytest.mark.slow
  def test_own_models_teach_and_learn_and_are_exported(self):
    study = Study(self)
    session = study.session()
    student = unit("own-scaled", DISTILLED)
    run.run_unit(session, unit("own-large"), ALWAYS)
    run.run_unit(session, student, ALWAYS)

    self.assertEqual(
      study.record(student)["teacher"]["unit"], unit("own-large").name
    )
    info = dataset_info.read_info(study.directory)
    for of in (student, unit("own-large")):
      folder = study.folder / of.model
      differences = export_run.export_run(
        study.directory, study.config, of, folder, {}, info
      )
      self.assertLess(max(differences.values()), 1e-6)
      about = json.loads((folder / "assets" / "about.json").read_text())
      # A subclassed model without a config cannot be written for Keras.
      is_subclassed = of.model == "own-large"
      self.assertEqual((folder / "model.keras").exists(), not is_subclassed)
      self.assertEqual("model.keras" in about, is_subclassed)
      self.assertNotIn("features", about["outputs"])
    keras.saving.load_model(study.folder / "own-scaled" / "model.keras")

  def test_frozen_weights_stay_and_another_start_is_refused(self):
    study = Study(self)
    own_models.write_base(study.folder, 0)
    session = study.session()
    found = own_models_lib.check(session, ["own-tuned"], [])
    own_sources.note_checked(study.directory, found)
    session = study.session()
    run.run_unit(session, unit("own-tuned"), ALWAYS)

    trainer = next(iter(session._trainers.values()))
    with np.load(study.folder / "base.npz") as content:
      for variable, name in zip(
        trainer.model.non_trainable_weights, content.files, strict=True
      ):
        np.testing.assert_array_equal(variable.numpy(), content[name])
    record = study.record(unit("own-tuned"))
    self.assertEqual(record["model_start"], found["own-tuned"]["start"])
    own_models.write_base(study.folder, 1)
    second = work_units.WorkUnit("own-tuned", "one_hot", "r0.50", 1)
    with self.assertRaisesRegex(errors.StudyError, "starts from other values"):
      run.run_unit(study.session(), second, ALWAYS)

  @pytest.mark.slow
  def test_a_run_of_another_source_is_foreign(self):
    study = Study(self)
    run.run_unit(study.session(), unit("own-small"), ALWAYS)
    plan = plan_lib.Plan.of(study.config)
    origin = origins.Origin.of(study.directory, plan)
    record = study.record(unit("own-small"))

    self.assertIsNone(origin.problem(unit("own-small"), record))
    record["model_source"] = "0" * 32
    problem = origin.problem(unit("own-small"), record)
    self.assertIn("model_source", problem)

  def test_proxies_that_a_model_lacks_are_named(self):
    session = Study(self).session()
    outputs = ["curvature.npz", "dynamics.npz", "vog.npz"]

    found = own_models_lib.check(session, ["own-small"], ["grand.npz"])
    own_models_lib.check(session, ["own-large"], outputs)
    for trainer in session._trainers.values():  # also of a subclassed one
      self.assertGreater(cost.multiply_adds(trainer.model), 0)

    self.assertEqual(found["own-small"]["outputs"], ["grand.npz"])
    self.assertEqual(found["own-small"]["inputs"], "normalized")
    for model, output, message in (
      ("own-large", "grand", "needs a rule"),
      ("own-large", "grand_last", "dense layer with a bias"),
      ("own-small", "prediction_depth", "named block1_"),
      ("own-scaled", "knn_label_agreement", "named block1_"),
    ):
      with self.assertRaisesRegex(
        errors.UsageError,
        f"--proxies: {output} cannot be had of mine.py:.*{message}",
      ):
        own_models_lib.check(session, [model], [f"{output}.npz"])


if __name__ == "__main__":
  absltest.main()
