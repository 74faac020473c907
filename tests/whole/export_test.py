"""Exported runs: opened without memo_tf and Keras, they predict the same."""

import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from memo_tf import export as export_lib
from memo_tf import models
from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.exporting import saved_model
from memo_tf.models import layers  # noqa: F401 (what model.keras is made of)
from memo_tf.store import directory as directory_lib
from memo_tf.store import sealed
from tests.support import shared_studies
from tests.support import small_study

# Of the shared study: a teacher, whose weights are kept, and its student.
TEACHER = f"{shared_studies.TEACHER}/one_hot/r0.70/00001"
STUDENT = (
  f"{small_study.MODEL}/{shared_studies.DISTILLED['recipes']}/r0.70/00001"
)
# A small model of each family that there is.
FAMILIES = {
  "cifar_resnet": ("cifar_resnet-8-w0.5", 8),
  "resnet": ("resnet-18-w0.125", 32),
  "mobilenet_v3_small": ("mobilenet_v3_small-0.25", 8),
  "mobilenet_v3_large": ("mobilenet_v3_large-0.25", 8),
}
# Opens SavedModels where nothing but TensorFlow can be imported.
BLOCK = """
import sys
for name in ("memo_tf", "keras", "tf_keras"):
  sys.modules[name] = None  # `import` of it fails from here on
try:
  import keras
except ImportError:
  pass
else:
  sys.exit("keras was not blocked")
"""
PLAIN = (
  BLOCK
  + """
import numpy as np
import tensorflow as tf
images, *folders = sys.argv[1:]
images = np.load(images)
for folder in folders:
  loaded = tf.saved_model.load(folder)
  found = {}
  for name, function in loaded.signatures.items():
    dtype = function.structured_input_signature[1]["images"].dtype
    outputs = function(images=tf.cast(images, dtype))
    for key, value in outputs.items():
      found[f"{name}/{dtype.name}/{key}"] = value.numpy()
  with open(loaded.class_names.asset_path.numpy().decode()) as file:
    found["class_names"] = np.array(file.read().split())
  np.savez(folder + ".npz", **found)
assert sys.modules["keras"] is None and sys.modules["memo_tf"] is None
"""
)


def predict_plain(
  folders: list[pathlib.Path], images: np.ndarray
) -> list[dict[str, np.ndarray]]:
  """What every signature gives, in a process without memo_tf and Keras."""
  with tempfile.TemporaryDirectory() as temporary:
    given = pathlib.Path(temporary, "in.npy")
    np.save(given, images)
    result = subprocess.run(
      [sys.executable, "-c", PLAIN, str(given), *map(str, folders)],
      cwd=temporary,
      env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
      capture_output=True,
      text=True,
      check=False,
    )
  if result.returncode:
    raise RuntimeError(result.stderr)
  return [dict(np.load(f"{folder}.npz")) for folder in folders]


def predict_here(
  folders: list[pathlib.Path], images: np.ndarray
) -> list[dict[str, np.ndarray]]:
  """What the two main signatures give, in this process."""
  found = []
  for folder in folders:
    signatures = tf.saved_model.load(str(folder)).signatures
    found.append(
      {
        f"{name}/{kind}/{key}": value.numpy()
        for name, kind in (
          ("serving_default", "uint8"),
          ("serving_float", "float32"),
        )
        for key, value in signatures[name](
          images=tf.constant(images.astype(kind))
        ).items()
      }
    )
  return found


def softmax(logits: np.ndarray) -> np.ndarray:
  exponents = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=float)
  return exponents / exponents.sum(axis=1, keepdims=True)


def export(folder, unit, output_dir):
  return small_study.run(
    [
      sys.executable,
      "-m",
      "memo_tf.export",
      f"--experiment_dir={folder}",
      f"--unit={unit}",
      f"--output_dir={output_dir}",
    ]
  )


def export_here(folder, unit, output_dir) -> str:
  """Exports in this process and returns what is printed."""
  said = io.StringIO()
  with contextlib.redirect_stdout(said):
    export_lib.export(
      directory_lib.StudyDirectory(folder),
      work_units.parse_unit(unit),
      output_dir,
    )
  return said.getvalue()


class ExportedRunTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    cls.study = shared_studies.copy("distilled", root / "a study")
    cls.before = small_study.arrays(cls.study)
    cls.outputs = {TEACHER: root / "ex port", STUDENT: root / "student"}
    cls.done = export(cls.study, TEACHER, cls.outputs[TEACHER])
    if cls.done.returncode:
      raise RuntimeError(cls.done.stderr)
    cls.said = export_here(cls.study, STUDENT, cls.outputs[STUDENT])
    images = np.load(cls.study / "dataset/images.npy")
    found = predict_plain(list(cls.outputs.values()), images)
    cls.found = dict(zip(cls.outputs, found))

  def setUp(self):
    super().setUp()
    self.temporary = pathlib.Path(self.create_tempdir().full_path)

  def test_a_run_without_kept_weights_is_trained_again(self):
    self.assertNotIn("training it again", self.done.stdout)
    self.assertIn("training it again", self.said)
    self.assertEmpty(
      small_study.differences(self.before, small_study.arrays(self.study))
    )

  @parameterized.parameters(TEACHER, STUDENT)
  def test_gives_the_stored_predictions(self, unit):
    output, found = self.outputs[unit], self.found[unit]
    record = sealed.loads(
      (self.study / "runs" / unit / "run.json").read_bytes()
    )
    images = np.load(self.study / "dataset/images.npy")
    stored = pd.read_parquet(self.study / "runs" / unit / "predictions.parquet")
    rows, labels = np.arange(len(images)), stored["label"].to_numpy()
    for name in ("serving_default/uint8", "serving_float/float32"):
      self.assertContainsSubset(
        {f"{name}/{k}" for k in ("logits", "probabilities", "features")}, found
      )
      logits = found[f"{name}/logits"]
      probability = found[f"{name}/probabilities"]
      np.testing.assert_allclose(
        probability[rows, labels], stored["label_prob"], atol=1e-5
      )
      np.testing.assert_allclose(softmax(logits), probability, atol=1e-6)
      own, others = logits[rows, labels], logits.copy()
      others[rows, labels] = -np.inf
      np.testing.assert_allclose(
        own - others.max(axis=1), stored["margin"], rtol=1e-5, atol=1e-5
      )
    loaded = keras.models.load_model(output / "model.keras")
    np.testing.assert_allclose(
      loaded.predict(images.astype(np.float32), verbose=0),
      logits,
      rtol=1e-5,
      atol=1e-5,
    )
    about = json.loads((output / "assets/about.json").read_text())
    self.assertEqual(about["unit"], unit)
    for key in ("recipe", "in_accuracy", "out_accuracy", "test_accuracy"):
      self.assertEqual(about[key], record[key])
    info = sealed.loads((self.study / "dataset/info.json").read_bytes())
    for key in ("mean", "std"):
      np.testing.assert_allclose(
        about["normalization"][key], info["normalization"][key], rtol=1e-6
      )
    self.assertEqual(about["class_names"], info["class_names"])
    self.assertEqual(found["class_names"].tolist(), info["class_names"])

  def test_the_notebook_runs_without_memo_tf_and_keras(self):
    path = small_study.ROOT / "docs/exported_model.ipynb"
    notebook = json.loads(path.read_text())
    self.assertEqual(notebook["nbformat"], 4)
    code = [
      "".join(cell["source"])
      for cell in notebook["cells"]
      if cell["cell_type"] == "code"
    ]

    result = subprocess.run(
      [sys.executable, "-c", "\n".join([BLOCK, *code])],
      cwd=self.temporary,
      env={
        **os.environ,
        "STUDY": str(self.study),
        "EXPORTED": str(self.outputs[TEACHER]),
        "MPLBACKEND": "agg",
      },
      capture_output=True,
      text=True,
      check=False,
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn(TEACHER, result.stdout)
    self.assertIn("share of neighbours with its label", result.stdout)

  def test_the_command_line_tool_of_tensorflow_runs_it(self):
    tool = shutil.which("saved_model_cli") or str(
      pathlib.Path(sys.executable).with_name("saved_model_cli")
    )
    images = np.load(self.study / "dataset/images.npy")[:5]
    np.save(self.temporary / "images.npy", images)

    ran = small_study.run(
      [
        tool,
        "run",
        "--dir",
        str(self.outputs[TEACHER]),
        "--tag_set=serve",
        "--signature_def=probabilities",
        f"--inputs=images={self.temporary / 'images.npy'}",
        f"--outdir={self.temporary}",
      ]
    )

    self.assertEqual(ran.returncode, 0, ran.stderr)
    path = self.study / "runs" / TEACHER / "predictions.parquet"
    table = pd.read_parquet(path)
    rows, labels = np.arange(5), table["label"].to_numpy()[:5]
    found = np.load(self.temporary / "probabilities.npy")
    np.testing.assert_allclose(
      found[rows, labels], table["label_prob"][:5], atol=1e-5
    )

  @parameterized.named_parameters(
    ("no_name", "cifar_resnet-8", "MODEL/RECIPE/SUBSETS/INDEX"),
    (
      "not_planned",
      f"{shared_studies.TEACHER}/one_hot/r0.70/00002",
      "--num_subsets",
    ),
  )
  def test_wrong_units(self, unit, message):
    result = export(self.study, unit, self.temporary / "out")

    self.assertEqual(result.returncode, 2, result.stderr)
    self.assertLen(result.stderr.splitlines(), 1)
    self.assertIn(message, result.stderr)
    self.assertFalse((self.temporary / "out").exists())

  def test_a_folder_that_holds_something_is_left_alone(self):
    (self.temporary / "mine.txt").write_text("mine")

    with self.assertRaisesRegex(
      errors.UsageError, "--output_dir must name a new or empty"
    ):
      export_here(self.study, TEACHER, self.temporary)

    self.assertEqual(os.listdir(self.temporary), ["mine.txt"])

  def test_predictions_that_differ_are_an_error(self):
    study = self.temporary / "study"
    shutil.copytree(self.study, study)
    run = study / "runs" / TEACHER
    other = run.with_name("00000")
    name = "weights.weights.h5"
    record = sealed.loads((run / "run.json").read_bytes())
    stolen = sealed.loads((other / "run.json").read_bytes())
    shutil.copy(other / name, run / name)
    record["outputs"][name] = stolen["outputs"][name]
    (run / "run.json").write_text(sealed.dumps(record))

    with self.assertRaisesRegex(errors.StudyError, "differs by"):
      export_here(study, TEACHER, study / "out")

    self.assertEmpty([p for p in study.iterdir() if "out" in p.name])


class ExportSavedModelTest(parameterized.TestCase):
  def export(self, model, folder, **changes):
    arguments = {
      "mean": np.array([100.0, 120.0, 90.0], np.float32),
      "std": np.array([50.0, 60.0, 70.0], np.float32),
      "class_names": ("cat", "dog", "eel"),
      "about": {"note": "made up"},
      **changes,
    }
    saved_model.export_saved_model(model, folder, **arguments)
    return arguments

  def test_a_family(self):
    self.check_families(["cifar_resnet"], predict_here)

  @pytest.mark.slow
  def test_every_family(self):
    self.check_families(models.list_models(), predict_plain)

  def check_families(self, families, predict):
    rng = np.random.default_rng(0)
    for family in families:
      name, size = FAMILIES[family]
      folder = pathlib.Path(self.create_tempdir().full_path) / family
      keras.utils.set_random_seed(1)
      model = models.build_model(
        name, image_shape=(size, size, 3), num_classes=3
      )
      images = rng.integers(0, 256, (7, size, size, 3)).astype(np.uint8)

      given = self.export(model, folder)

      [found] = predict([folder], images)
      inputs = (images.astype(np.float32) - given["mean"]) / given["std"]
      logits = np.asarray(model(inputs, training=False))
      features = np.asarray(
        keras.Model(model.input, model.layers[-1].input)(inputs)
      )
      for signature in ("serving_default/uint8", "serving_float/float32"):
        for key, expected in (
          ("logits", logits),
          ("probabilities", softmax(logits)),
          ("features", features),
        ):
          np.testing.assert_allclose(
            found[f"{signature}/{key}"], expected, rtol=1e-4, atol=1e-5
          )

  def test_a_last_layer_of_several_inputs_has_no_features(self):
    images = keras.Input((4, 4, 3))
    x = keras.layers.Flatten()(images)
    heads = [keras.layers.Dense(3)(x), keras.layers.Dense(3)(x)]
    model = keras.Model(images, keras.layers.Average()(heads))
    folder = pathlib.Path(self.create_tempdir().full_path) / "two"

    self.export(model, folder)

    signatures = tf.saved_model.load(folder).signatures
    self.assertNotIn("features", signatures)
    self.assertIn("serving_default", signatures)

  def test_rejects(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    model = models.build_model(
      "cifar_resnet-8-w0.25", image_shape=(8, 8, 3), num_classes=3
    )

    with self.assertRaisesRegex(ValueError, "3 names.*Received: 2"):
      self.export(model, folder, class_names=("a", "b"))
    (folder / "mine.txt").write_text("mine")
    with self.assertRaisesRegex(ValueError, "new or empty folder"):
      self.export(model, folder)


if __name__ == "__main__":
  absltest.main()
