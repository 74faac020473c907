"""The Python face of a study."""

import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap

from absl.testing import absltest
import numpy as np
import pandas as pd
import pytest

import memo_tf
from memo_tf import scoring
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from tests.store import old_format_test
from tests.support import made_up
from tests.support import shared_studies
from tests.support import small_study

SETTINGS = {
  "num_subsets": 2,
  "subset_ratio": 0.5,
  "epochs": 2,
  "batch_size": 16,
  "workers": 1,
}
MODEL = "cifar_resnet-8-w0.25"


def arrays(seed: int = 0):
  """`(x_train, y_train), (x_test, y_test)` of 8x8 pixels, 3 classes."""
  rng = np.random.default_rng(seed)
  labels = np.arange(60) % 3
  images = rng.integers(0, 80, (60, 8, 8), dtype=np.uint8)
  images[np.arange(60), labels * 2] += 150
  return (images[:40], labels[:40]), (images[40:], labels[40:])


class RunTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def test_flags_and_python_make_the_same_study_to_the_bit(self):
    (x, y), (x_test, y_test) = data = arrays()
    np.savez(
      self.folder / "data.npz",
      train_images=x,
      train_labels=y,
      test_images=x_test,
      test_labels=y_test,
    )
    lines: list[str] = []

    study = memo_tf.Study(
      self.folder / "python", data=data, model=MODEL, **SETTINGS
    ).run(progress=lines.append)
    launched = small_study.run(
      [
        sys.executable,
        "-m",
        "memo_tf.launch",
        f"--experiment_dir={self.folder}/flags",
        "--dataset=npz:data.npz",
        f"--data_dir={self.folder}",
        f"--models={MODEL}",
        *(f"--{name}={value}" for name, value in SETTINGS.items()),
      ]
    )

    self.assertEqual(launched.returncode, 0, launched.stderr)
    one, other = (
      small_study.arrays(self.folder / name) for name in ("python", "flags")
    )
    self.assertGreater(len(one), 20)
    self.assertEmpty(small_study.differences(one, other))
    flags = [
      (self.folder / name / "resolved.flags").read_text()
      for name in ("python", "flags")
    ]
    self.assertEqual(*flags)
    self.assertIn("2 runs: 0 done, 2 to run on 1 worker.", lines)
    self.assertTrue(study.report().exists())
    self._opens_again(study, data)

  def _opens_again(self, study, data):
    """The same data give the same study; other data are refused."""
    again = memo_tf.Study(study.directory, data=data, model=MODEL, **SETTINGS)
    lines: list[str] = []
    again.run(progress=lines.append)
    self.assertIn("2 runs: 2 done, 0 to run on 1 worker.", lines)
    with self.assertRaisesRegex(errors.UsageError, "other arrays"):
      memo_tf.Study(study.directory, data=arrays(1), model=MODEL, **SETTINGS)
    with self.assertRaisesRegex(errors.UsageError, "--epochs: recorded 2"):
      memo_tf.Study(
        study.directory, data=data, model=MODEL, **SETTINGS | {"epochs": 3}
      )
    opened = memo_tf.Study.open(study.directory)
    self.assertEqual(opened.config, again.config)
    pd.testing.assert_frame_equal(opened.scores(), study.scores())

  @pytest.mark.slow
  def test_a_script_without_a_guard_is_interrupted_and_resumed(self):
    """It starts workers by their command line: nothing imports it."""
    script = self.folder / "script.py"
    script.write_text(
      textwrap.dedent(f"""
        import memo_tf
        from tests import study_test
        print("started", flush=True)
        memo_tf.Study(
          {str(self.folder / "study")!r}, data=study_test.arrays(),
          model={MODEL!r}, **study_test.SETTINGS | {{"num_subsets": 6}},
        ).run()
      """)
    )

    process = small_study.start_command([sys.executable, str(script)])
    small_study.wait_for(
      lambda: small_study.finished_runs(self.folder / "study")
    )
    workers = small_study.children_of(process.pid)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)

    self.assertNotEqual(process.returncode, 0)
    self.assertIn("KeyboardInterrupt", stderr)
    self.assertEqual(stdout.count("started"), 1)
    self.assertFalse(any(map(small_study.is_working, workers)))
    first = small_study.finished_runs(self.folder / "study")
    self.assertLess(len(first), 6)
    times = [path.stat().st_mtime_ns for path in first]
    resumed = small_study.run([sys.executable, str(script)])
    self.assertEqual(resumed.returncode, 0, resumed.stderr)
    self.assertEqual([path.stat().st_mtime_ns for path in first], times)
    self.assertLen(small_study.finished_runs(self.folder / "study"), 6)

  @pytest.mark.slow
  def test_a_script_may_hold_its_own_model(self):
    """Workers import the file; without a guard that is one clear error."""
    run = """
      memo_tf.Study(
        {root!r}, data=study_test.arrays(), model=small,
        **study_test.SETTINGS,
      ).run()
    """
    text = """
      import keras
      import memo_tf
      from tests import study_test

      def small(image_shape, num_classes):
        return keras.Sequential([
          keras.Input(image_shape),
          keras.layers.Flatten(),
          keras.layers.Dense(num_classes),
        ])
    """
    guarded = 'if __name__ == "__main__":\n' + textwrap.indent(
      textwrap.dedent(run), "  "
    )
    results = {}
    for name, last in (
      ("guarded", guarded),
      ("bare", textwrap.dedent(run)),
    ):
      script = self.folder / f"{name}.py"
      root = str(self.folder / name)
      script.write_text(textwrap.dedent(text) + last.format(root=root))
      results[name] = small_study.run([sys.executable, str(script)])

    self.assertEqual(
      results["guarded"].returncode, 0, results["guarded"].stderr
    )
    study = memo_tf.Study.open(self.folder / "guarded")
    self.assertEqual(study.models, ("own-small",))
    self.assertLen(study.scores("small"), 40)
    self.assertNotEqual(results["bare"].returncode, 0)
    self.assertIn("put that part under", results["bare"].stderr)

  @pytest.mark.slow
  def test_a_built_model_is_studied(self):
    import keras

    def build():
      layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
      return keras.Sequential([keras.Input((8, 8, 1)), *layers])

    place = self.folder / "study"
    for _ in range(2):  # built again, it is the same model
      study = memo_tf.Study(
        place, data=arrays(), model=build(), **SETTINGS
      ).run(progress=False)

    self.assertEqual(study.models, ("own-sequential",))
    self.assertLen(study.scores("sequential"), 40)
    self.assertLen(small_study.finished_runs(place), 2)

  @pytest.mark.slow
  def test_runs_that_fail_are_one_error(self):
    study = memo_tf.Study(
      self.folder / "study",
      data=arrays(),
      model=MODEL,
      max_retries=0,
      **SETTINGS | {"learning_rate": 1e30},
    )

    with self.assertRaisesRegex(errors.StudyError, "2 of 2 runs") as caught:
      study.run(progress=False)

    self.assertNotIn("\n", str(caught.exception))
    self.assertIn("0 of 2 runs done", repr(study))


class StudyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def test_refuses_settings_before_anything_is_written(self):
    place = self.folder / "new"
    for settings, message in (
      ({"num_subset": 4}, "did you mean num_subsets"),
      ({"epochs": 0}, "--epochs must be at least 1. Received: --epochs=0"),
      ({"epochs": "3"}, "--epochs must be of type"),
      ({"models": ["cifar_resnet-9"], "model": None}, "6n . 2"),
      ({"models": [MODEL]}, "Received: both"),
      ({"dataset": "digits"}, "`data` names the data set"),
      ({"proxies": "nonsense"}, "--proxies"),
      ({"model": "given-mine"}, "--models"),
    ):
      with self.subTest(message):
        with self.assertRaisesRegex(errors.UsageError, message) as caught:
          memo_tf.Study(place, **{"data": arrays(), "model": MODEL, **settings})
        self.assertNotIn("\n", str(caught.exception))
        self.assertFalse(place.exists())

  def test_settings_are_those_of_the_flags(self):
    study = memo_tf.Study(
      self.folder,
      data="digits",
      model=[MODEL, "cifar_resnet-8"],
      num_subsets=np.int64(6),
      decay_epochs=[1, 2],
      proxies="cscore",
    )

    config = study.config
    self.assertEqual(config.data.dataset, "digits")
    self.assertEqual(config.subsets.num_subsets, 6)
    self.assertEqual(config.training.decay_epochs, (1, 2))
    self.assertEqual(config.proxies.proxies, ("cscore",))
    self.assertEqual(study.models, (MODEL, "cifar_resnet-8"))
    self.assertEqual(study.directory, self.folder)

  def test_paths_are_folders_and_npz_files(self):
    file = self.folder / "mine.npz"
    for path, name in ((self.folder, "folder"), (file, "npz")):
      study = memo_tf.Study(self.folder / "s", data=path)
      self.assertEqual(study.config.data.dataset, f"{name}:{path}")

  def test_opens_what_a_launch_has_made(self):
    place = self.folder / "study"
    shutil.copytree(shared_studies.finished("four").folder, place)

    study = memo_tf.Study.open(place)

    self.assertIn("4 of 4 runs done", repr(study))
    self.assertLen(study.scores(), 1500)
    self.assertIn("mean_memorization", study._repr_html_())
    with self.assertRaisesRegex(errors.StudyError, "no trajectories"):
      study.trajectories()

  def test_opens_a_study_of_an_older_format(self):
    directory = old_format_test.make_old(self.folder / "old")

    study = memo_tf.Study.open(directory.root)

    self.assertIn("4 of 4 runs done", repr(study))
    scoring.score_study(directory, plan_lib.Plan.of(study.config))
    self.assertEqual(
      study.scores()["label_name"].tolist(),
      [str(label) for label in made_up.LABELS],
    )

  def test_a_folder_of_nothing_is_no_study(self):
    with self.assertRaisesRegex(errors.StudyError, "holds no study"):
      memo_tf.Study.open(self.folder)
    study = memo_tf.Study(self.folder, data="digits", num_subsets=2)
    with self.assertRaisesRegex(errors.StudyError, "no scores yet"):
      study.scores()
    with self.assertRaisesRegex(errors.StudyError, "no page yet"):
      study.report()
    self.assertIn("0 of 2 runs done", study._repr_html_())

  def test_what_a_notebook_shows_is_escaped(self):
    study = memo_tf.Study(
      self.folder / "<script>", data="npz:<b>.npz", num_subsets=2
    )

    text = study._repr_html_()

    self.assertNotIn("<script>", text)
    self.assertIn("&lt;b&gt;.npz", text)

  def test_a_worker_starts_no_workers(self):
    """A file of models that runs a study when a worker imports it."""
    program = f"""
import importlib.machinery, sys
main = sys.modules["__main__"]
main.__spec__ = importlib.machinery.ModuleSpec("memo_tf.running.worker", None)
import memo_tf
study = memo_tf.Study({str(self.folder)!r}, data="digits")
try:
  study.run()
except ValueError as error:
  print(error)
"""
    result = subprocess.run(
      [sys.executable, "-c", program],
      cwd=small_study.ROOT,
      capture_output=True,
      text=True,
      check=False,
    )

    self.assertIn("__main__", result.stdout, result.stderr)
    self.assertEmpty(list(self.folder.iterdir()))


if __name__ == "__main__":
  absltest.main()
