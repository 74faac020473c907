"""Nothing from outside is trusted: names, records, archives, flagfiles, text.

A study's folder may come from someone else. Its names must not lead out of it,
its files must not run code, and its text must stay text on the page.
"""

import json
import pathlib
import pickle
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.data.sources import labels
from memo_tf.data.sources import npz
from memo_tf.experiment import errors
from memo_tf.experiment import model_names
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets
from memo_tf.experiment import work_units
from memo_tf.interchange import files as interchange_files
from memo_tf.report import assets
from memo_tf.report import charts
from memo_tf.store import checkup
from memo_tf.store import dataset_info
from memo_tf.store import files
from memo_tf.store import opening
from memo_tf.store import predictions
from memo_tf.store import sealed
from memo_tf.training import checkpoints
from tests.support import made_up

# What would lead out of a folder, or into another part of it.
PATHS = ("../x", "..", ".", "", "/etc/passwd", "a/../../x", "x\0y", "x\ny", "~")


class Bomb:
  """Unpickled, it would leave a mark."""

  def __init__(self, mark):
    self.mark = str(mark)

  def __reduce__(self):
    return (open, (self.mark, "w"))


class NamesTest(parameterized.TestCase):
  @parameterized.parameters(*PATHS)
  def test_no_name_is_a_path(self, name):
    training = settings_lib.TrainingConfig()
    for parse in (
      model_names.parse,
      lambda n: model_names.parse(f"cifar_resnet-8{n}" if n else n),
      lambda n: recipes.parse(n, training),
      lambda n: recipes.parse(f"distilled-{n}-t3", training),
      subsets.parse_family,
      lambda n: work_units.parse_unit(f"{n}/one_hot/r0.70/00000"),
      lambda n: work_units.parse_unit(f"cifar_resnet-8/{n}/r0.70/00000"),
      lambda n: work_units.parse_unit(f"cifar_resnet-8/one_hot/{n}/00000"),
      lambda n: work_units.parse_unit(f"cifar_resnet-8/one_hot/r0.70/{n}"),
    ):
      with self.assertRaises(ValueError):
        parse(name)

  def test_digits_of_other_scripts_are_no_digits(self):
    for name in ("cifar_resnet-٨", "cifar_resnet-8-w٠.٥"):
      with self.assertRaises(ValueError):
        model_names.parse(name)
    for name in ("r0.٧٠", "r0.70-unıform"):
      with self.assertRaises(ValueError):
        subsets.parse_family(name)
    with self.assertRaises(ValueError):
      work_units.parse_unit("cifar_resnet-8/one_hot/r0.70/٠٠٠٠٠")

  @parameterized.parameters(
    ("cifar10/..", False),
    ("cifar10/../../x", False),
    ("a/b/c", False),
    ("../cifar10", False),
    ("eurosat/rgb:2.0.0", True),
  )
  def test_data_set_names(self, name, is_name):
    self.assertEqual(settings_lib.is_dataset_name(name), is_name)


class RecordsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = made_up.config()
    self.directory = made_up.make(self.root / "study", self.config)

  @parameterized.parameters(*PATHS)
  def test_names_in_config_json(self, name):
    content = json.loads(self.config.to_json())
    for group, field in (
      ("models", "models"),
      ("models", "recipes"),
      ("subsets", "subset_families"),
    ):
      changed = json.loads(json.dumps(content))
      changed[group][field] = [name]
      self.directory.config_path.write_text(sealed.dumps(changed))
      with self.assertRaises(errors.StudyError):
        opening.recorded_config(self.directory)

  @parameterized.parameters(
    '{"format_version": 1, "recipe": {"epochs": "many"}}',
    '{"format_version": 2, "training": {"epochs": "many"}}',
    '{"format_version": 2, "training": 3}',
    '{"format_version": 1, "models": {"models": 3}}',
    '{"format_version": 1, "models": {"models": [["a"]]}}',
    '{"format_version": 1, "running": {"seed": null}}',
    "[" * 100_000,
    "\ud800",
  )
  def test_nonsense_in_config_json_is_one_line(self, text):
    self.directory.config_path.write_bytes(
      text.encode("utf-8", "surrogatepass")
    )

    with self.assertRaises(errors.StudyError) as caught:
      opening.recorded_config(self.directory)

    self.assertNotIn("\n", str(caught.exception))

  def test_a_flipped_bit_in_config_json_is_found(self):
    path = self.directory.config_path
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"seed": 0', b'"seed": 1'))

    with self.assertRaisesRegex(errors.StudyError, "digest recorded in it"):
      opening.recorded_config(self.directory)

  @parameterized.parameters("../../outside", "/etc/passwd", "a/b", "..", "")
  def test_outputs_in_run_json(self, name):
    path = self.directory.run_dir(made_up.unit(1)) / "run.json"
    record = sealed.loads(path.read_bytes())
    record["outputs"][name] = record["outputs"]["history.jsonl"]
    path.write_text(sealed.dumps(record))

    state = self.directory.run_state(made_up.unit(1), check_digests=True)

    self.assertRegex(state.problem, "names an output")

  @parameterized.parameters("../outside", "/etc/passwd", "a/../../b")
  def test_files_in_info_json_and_digests_json(self, name):
    entry = {"bytes": 1, "digest": "0"}
    path = self.directory.dataset_dir / "info.json"
    info = sealed.loads(path.read_bytes())
    info["files"][name] = entry
    path.write_text(sealed.dumps(info))
    with self.assertRaises(errors.StudyError):
      dataset_info.read_info(self.directory)

    digests = {"format_version": 1, "files": {name: entry}}
    (self.directory.root / checkup.DIGESTS).write_text(sealed.dumps(digests))
    found = checkup.findings(self.directory, plan_lib.Plan.of(self.config))
    self.assertIn(checkup.DIGESTS, [finding.path for finding in found])

  def test_a_table_with_other_columns_is_a_damaged_run(self):
    unit = made_up.unit(1)
    path = self.directory.run_dir(unit) / "predictions.parquet"
    table = predictions.read_run(self.directory, unit).drop_columns(["margin"])
    path.write_bytes(predictions.table_bytes(table))
    record = sealed.loads((path.parent / "run.json").read_bytes())
    record["outputs"][path.name] = files.file_entry(path)
    (path.parent / "run.json").write_text(sealed.dumps(record))

    with self.assertRaisesRegex(errors.DamagedRunError, "lacks a column"):
      predictions.read_run(self.directory, unit)


class PickleTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.mark = self.root / "mark"
    self.bomb = np.array([Bomb(self.mark)], object)

  def tearDown(self):
    self.assertFalse(self.mark.exists())
    super().tearDown()

  def test_own_files(self):
    path = self.root / "x.npz"
    np.savez(path, train_images=self.bomb, train_labels=self.bomb)
    with self.assertRaisesRegex(errors.UsageError, "plain arrays"):
      npz.load(path)
    np.save(self.root / "labels.npy", self.bomb)
    with self.assertRaises(errors.UsageError):
      labels.read(str(self.root / "labels.npy"), 1)

  def test_a_bare_pickle_in_place_of_arrays(self):
    path = self.root / "x.npz"
    path.write_bytes(pickle.dumps(Bomb(self.mark)))
    with self.assertRaises(errors.UsageError):
      npz.load(path)
    with self.assertRaises(interchange_files.InterchangeError):
      interchange_files.load_npz(path, ["a"])
    with self.assertRaises(interchange_files.InterchangeError):
      interchange_files.load_npy(path)

  def test_checkpoints(self):
    path = self.root / "checkpoint.npz"
    about = json.dumps({"key": "k", "epoch": 1, "history": []})
    np.savez(path, about=np.array(about), weight_0=self.bomb)

    self.assertIsNone(checkpoints.load(path, "k"))

  def test_subsets(self):
    directory = made_up.make(self.root / "study", made_up.config())
    np.save(directory.in_mask_path("r0.70"), self.bomb)

    with self.assertRaises(errors.StudyError):
      predictions.stack_runs(directory, [made_up.unit(0)])
    found = [
      f.path
      for f in checkup.findings(directory, plan_lib.Plan.of(made_up.config()))
    ]
    self.assertEqual(found, ["subsets/r0.70.npy"])


class OwnFilesTest(parameterized.TestCase):
  def load(self, **changes):
    path = pathlib.Path(self.create_tempdir().full_path) / "x.npz"
    arrays = {
      "train_images": np.zeros((4, 8, 8), np.uint8),
      "train_labels": np.array([0, 1, 0, 1]),
      "test_images": np.zeros((2, 8, 8), np.uint8),
      "test_labels": np.array([0, 1]),
    }
    np.savez(path, **{**arrays, **changes})
    return npz.load(path)

  @parameterized.parameters("two\nlines", "\x1b[31mred", "", "x" * 300)
  def test_class_names_are_a_line_of_text(self, name):
    with self.assertRaisesRegex(errors.UsageError, "class's name"):
      self.load(class_names=np.array(["a", name]))

  def test_class_names_may_be_in_any_script(self):
    names = ("猫", "<b>&\"'")

    self.assertEqual(self.load(class_names=np.array(names)).class_names, names)

  def test_one_label_does_not_ask_for_a_billion_classes(self):
    with self.assertRaisesRegex(errors.UsageError, "label 1000000000"):
      self.load(train_labels=np.array([0, 1, 0, 10**9]))


class PageTest(absltest.TestCase):
  def test_text_in_data_stays_text(self):
    name = '</text><script>alert(1)</script>"$\\frac{1}{0}$ & $x'
    line = charts.Line(name=name, values=[0.1, 0.2])
    chart = charts.lines("a", name, [name, "b"], [line], y_label=name, alt=name)

    text = assets.script_text(name, {name: chart.item})

    self.assertNotRegex(text, "[<>&]")
    _, _, value = text.removesuffix(")").partition(",")
    self.assertEqual(list(json.loads(value)), [name])


if __name__ == "__main__":
  absltest.main()
