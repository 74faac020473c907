"""The wheel: built, installed, and used from an empty folder."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from unittest import mock
import zipfile

from absl.testing import absltest
import pytest
import tensorflow_datasets as tfds

from memo_tf.data.sources import load
from memo_tf.experiment import settings as settings_lib
from tests.data.sources import tfds_test

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("memo_tf", "launchers", "flags")


def run(*command, **options) -> subprocess.CompletedProcess:
  done = subprocess.run(
    list(map(str, command)),
    capture_output=True,
    text=True,
    check=False,
    timeout=600,
    **options,
  )
  if done.returncode:
    raise RuntimeError(f"{command}: {done.stdout}\n{done.stderr}")
  return done


def build(folder: pathlib.Path) -> pathlib.Path:
  """Builds the wheel from a copy of the tree, without the network."""
  source = folder / "source"
  source.mkdir()
  for name in PARTS:
    shutil.copytree(
      ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
    )
  for name in ("pyproject.toml", "README.md", "LICENSE"):
    shutil.copy(ROOT / name, source)
  run(
    *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index"),
    *("--no-build-isolation", "-w", folder, source),
  )
  [wheel] = folder.glob("*.whl")
  return wheel


def install(wheel: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
  """Installs the wheel in a new environment that has this one's packages."""
  run(sys.executable, "-m", "venv", "--without-pip", folder)
  python = folder / "bin/python"
  paths = sysconfig.get_paths("venv", vars={"base": str(folder)})
  ours = {sysconfig.get_paths()[name] for name in ("purelib", "platlib")}
  # Searched after the new environment's own packages.
  pathlib.Path(paths["purelib"], "dependencies.pth").write_text(
    "\n".join(sorted(ours)) + "\n"
  )
  run(
    *(sys.executable, "-m", "pip", "--python", python, "install"),
    *("--no-deps", "--no-index", wheel),
  )
  return folder / "bin"


@pytest.mark.slow
class WheelTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(temporary.cleanup)
    cls.folder = pathlib.Path(temporary.name)
    cls.wheel = build(cls.folder)
    cls.programs = install(cls.wheel, cls.folder / "environment")

  def setUp(self):
    super().setUp()
    self.here = pathlib.Path(self.create_tempdir().full_path)

  def run_here(self, *command, **variables):
    """Runs an installed program in an empty folder, away from the checkout."""
    environment = {**os.environ, **variables}
    environment.pop("PYTHONPATH", None)
    return run(
      self.programs / command[0],
      *command[1:],
      cwd=self.here,
      env=environment,
    )

  def test_content(self):
    names = set(zipfile.ZipFile(self.wheel).namelist())

    expected = {
      str(path.relative_to(ROOT))
      for part in ("memo_tf", "launchers")
      for pattern in ("*.py", "*.html", "*.css", "*.js", "py.typed")
      for path in (ROOT / part).rglob(pattern)
    }
    expected |= {
      f"memo_tf/flagfiles/{path.name}"
      for path in (ROOT / "flags").glob("*.flags")
    }
    info = "memo_tf-0.1.0.dist-info"
    self.assertEqual(
      {name for name in names if not name.startswith(info)}, expected
    )
    self.assertIn(f"{info}/licenses/LICENSE", names)

  def test_digits_by_the_console_scripts(self):
    launched = self.run_here(
      "memo-tf-launch", "--flagfile=digits.flags", "--smoke"
    )

    self.assertStartsWith(launched.stderr, "Study: studies/digits-smoke\n")
    study = self.here / "studies/digits-smoke"
    self.assertTrue((study / "report/index.html").exists(), launched.stderr)
    status = self.run_here("memo-tf-status", f"--experiment_dir={study}")
    self.assertIn("All done.", status.stdout)
    unit = "cifar_resnet-8/one_hot/r0.70/00001"
    self.run_here(
      "memo-tf-export",
      f"--experiment_dir={study}",
      f"--unit={unit}",
      "--output_dir=exported",
    )
    self.assertTrue((self.here / "exported/saved_model.pb").exists())
    self.run_here(
      "memo-tf-merge", "--experiment_dir=merged", f"--sources={study}"
    )
    dry = self.run_here(
      "memo-tf-slurm", "--flagfile=digits.flags", "--smoke", "--dry_run"
    )
    self.assertIn("0 of 6 runs", dry.stdout)

  def test_cifar10_by_its_module(self):
    data = self.here / "data"
    manual = data / "downloads/manual"
    manual.mkdir(parents=True)
    path = manual / "cifar-10-binary.tar.gz"
    tfds_test.cifar_archive(path, 1, 200)
    # TFDS knows the checksum of the published archive; ours has another.
    info = tfds.core.download.checksums.compute_url_info(path)
    url = f"https://www.cs.toronto.edu/~kriz/{path.name}"
    builder = tfds.builder_cls("cifar10")
    with mock.patch.object(builder, "url_infos", {url: info}):
      load.load(settings_lib.DataConfig(dataset="cifar10", data_dir=str(data)))

    launched = self.run_here(
      *("python", "-m", "memo_tf.launch", "--flagfile=cifar10.flags"),
      "--smoke",
      TFDS_DATA_DIR=str(data),
    )

    page = self.here / "studies/cifar10-smoke/report/index.html"
    self.assertTrue(page.exists(), launched.stderr)
    self.assertIn("cifar_resnet-110", page.read_text())


if __name__ == "__main__":
  absltest.main()
