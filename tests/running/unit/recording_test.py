"""What a run records, and that recording leaves the run as it was."""

import io
import json
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pyarrow.parquet as pq

from memo_tf import proxies
from memo_tf.data.sources import load
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import score_epochs
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets
from memo_tf.experiment import work_units
from memo_tf.running.unit import run
from memo_tf.running.unit import session as session_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from memo_tf.training.recording import dynamics

MODEL = "cifar_resnet-8-w0.25"
UNIT = work_units.WorkUnit(MODEL, "one_hot", "r0.50", 0)
NUM_TRAIN, NUM_EPOCHS = 120, 4
ALWAYS = frozenset({"predictions.parquet", "history.jsonl"})
SCORED = frozenset({"after_epoch_2.npz", "after_epoch_3.npz"})


class Killed(BaseException):
  """Stands for a kill: what the run leaves behind is what a kill leaves."""


def study(folder: pathlib.Path, **changes):
  """A directory with data and subsets, and its session."""
  source = folder / "digits.npz"
  digits = load.load(settings_lib.DataConfig(), 0)
  np.savez(
    source,
    train_images=digits.train_images[:NUM_TRAIN],
    train_labels=digits.train_labels[:NUM_TRAIN],
    test_images=digits.test_images[:30],
    test_labels=digits.test_labels[:30],
  )
  config = config_rules.validated(
    config_lib.StudyConfig(
      data=settings_lib.DataConfig(
        dataset=f"npz:{source}", find_duplicates="off"
      ),
      subsets=settings_lib.SubsetsConfig(num_subsets=2, subset_ratio=0.5),
      models=settings_lib.ModelsConfig(models=(MODEL,)),
      training=settings_lib.TrainingConfig(
        epochs=NUM_EPOCHS, batch_size=16, augmentation="pad_crop_flip"
      ),
      running=settings_lib.RunningConfig(checkpoint_epochs=1),
      proxies=settings_lib.ProxiesConfig(
        proxies=("all",),
        record_epochs=3,
        record_checkpoints=2,
        curvature_draws=2,
        probe_neighbours=5,
        **changes,
      ),
    )
  )
  directory = directory_lib.StudyDirectory(folder / "study")
  writer.write_dataset(load.load(config.data, 0), config, directory)
  masks = subsets.parse_family("r0.50").in_mask(NUM_TRAIN, 2, 0)
  directory.in_mask_path("r0.50").parent.mkdir()
  np.save(directory.in_mask_path("r0.50"), masks)
  return config, directory, session_lib.Session(config, directory)


def arrays(directory) -> dict[str, np.ndarray]:
  """Every array that a run recorded, by file and name."""
  found = {}
  for path in sorted(directory.run_dir(UNIT).glob("*.npz")):
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
      found |= {f"{path.name}:{name}": content[name] for name in content.files}
  return found


def history(directory) -> str:
  return (directory.run_dir(UNIT) / "history.jsonl").read_text()


def setUpModule():
  global _TEMPORARY, CONFIG, PLAIN, RECORDED, SESSION
  _TEMPORARY = tempfile.TemporaryDirectory()
  root = pathlib.Path(_TEMPORARY.name)
  folders = [root / name for name in ("plain", "recorded")]
  for folder in folders:
    folder.mkdir()
  CONFIG, PLAIN, session = study(folders[0])
  run.run_unit(session, UNIT, ALWAYS)
  _, RECORDED, SESSION = study(folders[1])
  run.run_unit(SESSION, UNIT, ALWAYS | SCORED | run_outputs.outputs(CONFIG))


def tearDownModule():
  _TEMPORARY.cleanup()


class RecordingTest(absltest.TestCase):
  def table(self, directory):
    return pq.read_table(directory.run_dir(UNIT) / "predictions.parquet")

  def test_the_run_is_the_same_to_the_bit(self):
    self.assertEqual(history(PLAIN), history(RECORDED))
    self.assertTrue(
      predictions.same_predictions(self.table(PLAIN), self.table(RECORDED))
    )

  def test_every_file_and_record_is_there(self):
    found = arrays(RECORDED)

    files = {name.partition(":")[0] for name in found}
    self.assertEqual(files, SCORED | run_outputs.outputs(CONFIG))
    record = json.loads((RECORDED.run_dir(UNIT) / "run.json").read_text())
    self.assertLessEqual(files, set(record["outputs"]))
    self.assertGreater(record["seconds"]["recording"], 0)
    shapes = {name.partition(":")[2]: a.shape for name, a in found.items()}
    for name in dynamics.FIELDS:
      self.assertEqual(shapes[name], (2, NUM_TRAIN))
      self.assertEqual(shapes[f"batch_{name}"], (2, NUM_TRAIN))
    for name in run_outputs.CHECKPOINT_RECORDS:
      self.assertEqual(shapes[name], (2, NUM_TRAIN))
    self.assertEqual(shapes["probabilities"], (NUM_TRAIN, 10))
    for name in ("second_correct", "second_divergence"):
      self.assertEqual(shapes[name], (NUM_EPOCHS, NUM_TRAIN))
    np.testing.assert_array_equal(found["dynamics.npz:epochs"], [3, 4])
    np.testing.assert_array_equal(found["grand.npz:checkpoint_epochs"], [2, 4])

  def test_the_last_row_is_what_the_run_predicts(self):
    found, table = arrays(RECORDED), self.table(RECORDED)
    for name in ("label_prob", "margin"):
      np.testing.assert_allclose(
        found[f"dynamics.npz:{name}"][-1],
        table[name].to_numpy()[:NUM_TRAIN],
        rtol=1e-6,
      )
    right = table["predicted"].to_numpy() == table["label"].to_numpy()
    np.testing.assert_array_equal(
      found["dynamics.npz:correct"][-1], right[:NUM_TRAIN]
    )

  def test_scored_epochs_are_those_of_the_dynamics(self):
    found = arrays(RECORDED)
    expected = found["dynamics.npz:correct"]  # after epochs 3 and 4

    bits = found["after_epoch_3.npz:correct"]
    count = int(found["after_epoch_3.npz:num_examples"])

    self.assertEqual(count, NUM_TRAIN + 30)
    right = np.unpackbits(bits, count=count).astype(bool)
    np.testing.assert_array_equal(right[:NUM_TRAIN], expected[0])
    size = (RECORDED.run_dir(UNIT) / "after_epoch_3.npz").stat().st_size
    guess = score_epochs.estimated_bytes(1, count)
    self.assertBetween(size, guess / 1.5, guess * 1.5)
    # Test images follow; after another epoch the answers are others.
    self.assertTrue(right[NUM_TRAIN:].any())
    other = found["after_epoch_2.npz:correct"]
    self.assertTrue((bits != other).any())
    seconds = json.loads((RECORDED.run_dir(UNIT) / "run.json").read_text())
    self.assertGreater(
      seconds["seconds"]["total"],
      sum(seconds["seconds"][n] for n in ("training", "evaluation")),
    )

  def test_batches_have_what_was_presented(self):
    found = arrays(RECORDED)["batch_dynamics.npz:batch_loss"]
    mask = np.load(RECORDED.in_mask_path("r0.50"))[0]

    # 60 in the subset: 3 batches of 16, and 12 wait, other ones each epoch.
    self.assertTrue(np.isnan(found[:, ~mask]).all())
    np.testing.assert_array_equal((~np.isnan(found)).sum(axis=1), [48, 48])
    # Mean loss and accuracy of the epoch are those that the loop reports.
    lines = [json.loads(line) for line in history(RECORDED).splitlines()]
    correct = arrays(RECORDED)["batch_dynamics.npz:batch_correct"]
    for row, epoch in enumerate((3, 4)):
      np.testing.assert_allclose(
        np.nanmean(found[row]), lines[epoch - 1]["loss"], rtol=1e-5
      )
      self.assertEqual(np.nanmean(correct[row]), lines[epoch - 1]["accuracy"])

  def test_representations_are_of_the_runs_own_examples(self):
    mask = np.load(RECORDED.in_mask_path("r0.50"))[0]
    found = arrays(RECORDED)
    for name in ("prediction_depth", "knn_label_agreement"):
      values = found[f"{name}.npz:{name}"]
      np.testing.assert_array_equal(np.isnan(values), ~mask)

  def test_a_killed_run_goes_on_to_the_same_arrays(self):
    for epoch in (2, 3):
      folder = pathlib.Path(self.create_tempdir().full_path)
      _, directory, _ = study(folder)
      SESSION.directory, before = directory, SESSION.directory
      self.addCleanup(setattr, SESSION, "directory", before)
      outputs = ALWAYS | SCORED | run_outputs.outputs(CONFIG)

      def kill(finished, epochs, at=epoch):
        if finished == at + 1:
          raise Killed

      with self.assertRaises(Killed):
        run.run_unit(SESSION, UNIT, outputs, kill)
      record = run.run_unit(SESSION, UNIT, outputs)

      self.assertEqual(record["resumed_after_epoch"], epoch)
      found, expected = arrays(directory), arrays(RECORDED)
      self.assertEqual(found.keys(), expected.keys())
      for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, name)

  def test_a_checkpoint_of_another_version_is_not_resumed(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    _, directory, _ = study(folder)
    SESSION.directory, before = directory, SESSION.directory
    self.addCleanup(setattr, SESSION, "directory", before)

    def kill(finished, epochs):
      if finished == 3:
        raise Killed

    with self.assertRaises(Killed):
      run.run_unit(SESSION, UNIT, ALWAYS, kill)
    newer = SESSION.environment["versions"] | {"tensorflow": "9.9"}
    self.addCleanup(setattr, SESSION, "environment", SESSION.environment)
    SESSION.environment = SESSION.environment | {"versions": newer}
    record = run.run_unit(SESSION, UNIT, ALWAYS)

    self.assertEqual(record["resumed_after_epoch"], 0)
    self.assertEqual(record["versions"]["tensorflow"], "9.9")

  def test_one_more_output_is_added_to_a_finished_run(self):
    before = (PLAIN.run_dir(UNIT) / "predictions.parquet").read_bytes()
    SESSION.directory, kept = PLAIN, SESSION.directory
    self.addCleanup(setattr, SESSION, "directory", kept)

    run.run_unit(SESSION, UNIT, ALWAYS | {"dynamics.npz"})
    run.run_unit(SESSION, UNIT, ALWAYS | {"after_epoch_2.npz"})

    path = PLAIN.run_dir(UNIT) / "predictions.parquet"
    self.assertEqual(path.read_bytes(), before)
    expected = arrays(RECORDED)
    for name, array in arrays(PLAIN).items():
      np.testing.assert_array_equal(array, expected[name], name)


class WantedTest(absltest.TestCase):
  def config(self, **settings):
    return config_rules.validated(
      config_lib.StudyConfig(
        models=settings_lib.ModelsConfig(
          models=("cifar_resnet-8",), recipes=("distilled-cifar_resnet-14-t3",)
        ),
        subsets=settings_lib.SubsetsConfig(
          num_subsets=4, subset_families=("r0.50",)
        ),
        proxies=settings_lib.ProxiesConfig(**settings),
      )
    )

  def test_the_first_runs_of_what_is_asked_for_record(self):
    config = self.config(proxies=("el2n", "forgetting_events"), proxy_runs=2)

    wanted = plan_lib.Plan.of(config).wanted

    recording = {
      u.name for u, names in wanted.items() if "dynamics.npz" in names
    }
    student = "cifar_resnet-8/distilled-cifar_resnet-14-t3/r0.70"
    self.assertEqual(recording, {f"{student}/00000", f"{student}/00001"})
    for unit, names in wanted.items():
      self.assertEqual(
        "batch_dynamics.npz" in names, unit.name in recording, unit.name
      )

  def test_without_a_proxy_nothing_is_recorded(self):
    config = self.config()

    wanted = plan_lib.Plan.of(config).wanted

    self.assertFalse(
      any(map(run_outputs.is_recorded, set().union(*wanted.values())))
    )

  def test_each_proxy_has_its_records(self):
    for name in settings_lib.PROXY_NAMES:
      if name == "all":
        continue
      files = run_outputs.outputs(self.config(proxies=(name,)))
      of_runs = name in (
        "cscore",
        "cscore_profile",
        "self_confidence",
        "membership_separation",
      )
      self.assertEqual(not files, of_runs, name)

  def test_settings_reach_the_formula_and_are_checked(self):
    config = self.config(proxies=("all",), proxy_settings=("el2n.at=none",))
    given = {"el2n": np.array([[0.0], [1.0]]), "epochs": np.array([1, 2])}

    values, _ = proxies.evaluate(run_outputs.chosen(config)["el2n"], given)

    np.testing.assert_array_equal(values, [0.5])
    with self.assertRaisesRegex(ValueError, "--proxy_settings: must be PROXY"):
      self.config(proxy_settings=("el2n=none",))

  def test_an_unknown_proxy_is_refused(self):
    with self.assertRaisesRegex(ValueError, "--proxies must be among: all, "):
      self.config(proxies=("third_split_forgetting",))

  def test_windows_have_their_epochs(self):
    config = self.config(proxies=("all",), record_epochs=3)
    self.assertEqual(run_outputs.num_recorded(config), 7)
    window = ("dynamic_uncertainty.window=7",)

    found = run_outputs.chosen(
      self.config(proxies=("all",), record_epochs=3, proxy_settings=window)
    )

    self.assertNotIn("dynamic_uncertainty", run_outputs.chosen(config))
    self.assertIn("dynamic_uncertainty", found)
    self.assertNotIn("temporal_dual_depth", found)
    with self.assertRaisesRegex(
      ValueError, "names dynamic_uncertainty, which needs 10 recorded epochs"
    ):
      self.config(proxies=("dynamic_uncertainty",), record_epochs=3)

  def test_a_second_training_takes_a_batch_that_was_held_out(self):
    config = self.config(proxies=("second_split_forgetting",))
    asked = run_outputs.chosen(config).values()
    batch = config.training.batch_size

    run_outputs.check_subset_sizes(config, asked, 1000, batch)
    with self.assertRaisesRegex(
      ValueError, f"here there are {batch - 1}. Choose"
    ):
      run_outputs.check_subset_sizes(config, asked, 1000, batch - 1)
    other = run_outputs.chosen(self.config(proxies=("el2n",))).values()
    run_outputs.check_subset_sizes(config, other, 1000, 0)

  def test_dynamics_from_another_source(self):
    clean = self.config(proxies=("forgetting_events",), proxy_dynamics="clean")
    batch = self.config(proxies=("el2n",), proxy_dynamics="batch")

    self.assertEqual(run_outputs.outputs(clean), {"dynamics.npz"})
    self.assertEqual(run_outputs.outputs(batch), {"batch_dynamics.npz"})

  def test_epochs_and_checkpoints(self):
    self.assertEqual(run_outputs.recorded_epochs(7, 3), [3, 6, 7])
    self.assertEqual(run_outputs.recorded_epochs(2, 3), [2])
    self.assertEqual(run_outputs.checkpoint_epochs(20, 5), [4, 8, 12, 16, 20])
    self.assertEqual(run_outputs.checkpoint_epochs(3, 5), [1, 2, 3])


if __name__ == "__main__":
  absltest.main()
