"""Compressed recipes in a study: trained, compressed, scored, exported."""

import json
import pathlib
import tempfile

from absl.testing import absltest
import keras
import numpy as np
import pandas as pd
import pytest

from memo_tf.compression import counted
from memo_tf.compression import litert
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.models import layers  # noqa: F401 (what model.keras is made of)
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from tests.support import small_study

RECIPES = ("pruned-0.9-e1", "clustered-16-e1", "int8")
SMALL = {
  "recipes": ",".join(("one_hot", *RECIPES)),
  "num_subsets": 2,
  "epochs": 2,
  "workers": 1,
}


def unit_of(recipe, index=1):
  return work_units.WorkUnit(small_study.MODEL, recipe, "r0.70", index)


@pytest.mark.slow
class CompressedStudyTest(absltest.TestCase):
  """One launch for all; its runs keep no weights but those required."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # Anew each time: a finished study would not be trained again.
    temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(temporary.cleanup)
    cls.folder = pathlib.Path(temporary.name) / "compressed"
    done = small_study.launch(cls.folder, **SMALL)
    if done.returncode:
      raise AssertionError(done.stdout + done.stderr)
    cls.directory = directory_lib.StudyDirectory(cls.folder)

  def record(self, recipe):
    state = self.directory.run_state(unit_of(recipe), check_digests=True)
    return state.record

  def export(self, recipe):
    out = self.folder.parent / f"export-{recipe}"
    done = small_study.run(
      [
        *small_study.command(None, program="export")[:3],
        f"--experiment_dir={self.folder}",
        f"--unit={unit_of(recipe).name}",
        f"--output_dir={out}",
      ]
    )
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
    return out

  def stored_margins(self, recipe):
    table = predictions.read_run(self.directory, unit_of(recipe))
    return table["margin"].to_numpy()

  def margins_of(self, logits):
    table = predictions.read_run(self.directory, unit_of("int8"))
    labels = table["label"].to_numpy()
    rows = np.arange(len(labels))
    own = logits[rows, labels]
    others = logits.copy()
    others[rows, labels] = -np.inf
    return own - others.max(axis=1)

  def images(self):
    return np.load(self.directory.dataset_dir / "images.npy")

  def test_runs_say_what_they_are_made_of(self):
    for recipe in RECIPES:
      record = self.record(recipe)
      source = self.record("one_hot")
      self.assertEqual(record["source"]["unit"], unit_of("one_hot").name)
      self.assertEqual(
        record["source"]["subset_digest"], source["subset_digest"]
      )
      self.assertEqual(record["subset_digest"], source["subset_digest"])
    self.assertAlmostEqual(
      self.record(RECIPES[0])["compressed"]["kernel_sparsity"], 0.9, delta=0.01
    )
    clusters = self.record(RECIPES[1])["compressed"]["largest_clusters"]
    self.assertEqual(clusters, 16)
    self.assertGreater(self.record("int8")["compressed"]["int8_tensors"], 20)

  def test_findings_and_page(self):
    folder = self.folder / "findings" / "compression" / small_study.MODEL
    levels = pd.read_csv(folder / "r0.70" / "levels.csv")

    self.assertCountEqual(levels["recipe"], RECIPES)
    self.assertEqual(set(levels["num_runs"]), {2})
    page = (self.folder / "report" / "index.html").read_text()
    self.assertIn("Compressed models", page)

  def test_exports_are_repeated_to_the_bit_and_reload_to_equal_logits(self):
    images = self.images().astype(np.float32)
    for recipe in RECIPES[:2]:
      # The run kept no weights: it is compressed again, and must reproduce.
      out = self.export(recipe)

      model = keras.saving.load_model(out / "model.keras")
      logits = model.predict(images, verbose=0).astype(np.float64)
      np.testing.assert_allclose(
        self.margins_of(logits),
        self.stored_margins(recipe),
        rtol=1e-4,
        atol=1e-4,
      )
      inner = next(x for x in model.layers if isinstance(x, keras.Model))
      self.assertEqual(
        counted.of_model(inner), _without_source(self.record(recipe))
      )

  def test_8_bit_runs_are_exported_as_tflite(self):
    out = self.export("int8")

    about = json.loads((out / "about.json").read_text())
    normalization = about["normalization"]
    model = litert.Int8Model((out / plan_lib.TFLITE).read_bytes())
    inputs = self.images().astype(np.float32) - np.array(
      normalization["mean"], np.float32
    )
    scale = np.float32(1.0) / np.array(normalization["std"], np.float32)
    logits = model(inputs * scale).astype(np.float64)
    np.testing.assert_allclose(
      self.margins_of(logits), self.stored_margins("int8"), atol=1e-5
    )


def _without_source(record):
  return {k: v for k, v in record["compressed"].items() if k != "source"}


if __name__ == "__main__":
  absltest.main()
