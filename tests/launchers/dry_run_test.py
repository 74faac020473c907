"""What would be sent, and bad input: no scheduler is needed for either."""

import contextlib
import importlib
import io
import os
import pathlib
import subprocess
import sys
import types
from unittest import mock

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from launchers import contract
from launchers import slurm_script
from tests.launchers import clusters
from tests.support import small_study

RECIPES = "one_hot,distilled-cifar_resnet-14-t3"


class DryRunTest(parameterized.TestCase):
  def test_slurm(self):
    folder = self.create_tempdir().full_path + "/a study"

    result = small_study.run(
      clusters.command(
        "slurm_array",
        folder,
        "--dry_run",
        "--units_per_task=4",
        "--max_tasks=2",
        "--partition=long",
        "--time_limit=1:00:00",
        "--sbatch_option=--account=me",
        recipes=RECIPES,
      )
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    lines = result.stdout.splitlines()
    # 10 teachers and 10 one_hot runs in 3 tasks each, then 10 students in 3.
    self.assertEqual(
      lines[0], "Slurm: 30 of 30 runs in 9 tasks of 1 CPU, 0 GPU."
    )
    first, second, last = lines[1:4]
    self.assertIn(" --array=0-5%2 ", first)
    self.assertNotIn("--dependency", first)
    self.assertIn(" --array=0-2%2 ", second)
    self.assertIn("--dependency=afterok:JOB0 --kill-on-invalid-dep=yes", second)
    self.assertIn("--dependency=afterany:JOB0:JOB1", last)
    for line in (first, second):
      self.assertIn("--requeue", line)
      self.assertIn("--signal=B:USR1@60", line)
      self.assertIn("--time=1:00:00", line)
      self.assertIn("--partition=long --account=me", line)
    self.assertIn("--workers=1 --work_units=", result.stdout)
    self.assertFalse(pathlib.Path(folder).exists())

  def test_slurm_script_is_bash(self):
    for text in (
      slurm_script.array_script(
        python="/a b/python",
        root="/a $b",
        arguments=["-m", "x"],
        units="/it's/units",
        requeues=3,
      ),
      slurm_script.last_script(python="python", root="/r", arguments=["-m"]),
    ):
      checked = subprocess.run(
        ["bash", "-n"], input=text, text=True, capture_output=True, check=False
      )
      self.assertEqual(checked.returncode, 0, checked.stderr)

  def test_ray(self):
    result = small_study.run(
      clusters.command(
        "ray_cluster",
        "/nowhere/study",
        "--dry_run",
        "--units_per_task=4",
        "--cpus_per_task=2",
        "--gpus_per_task=0.5",
        recipes=RECIPES,
      )
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn(
      "30 of 30 runs in 9 tasks; each 2 CPU, 0.5 GPU", result.stdout
    )
    self.assertRegex(result.stdout, r"wave 1  task 00006  4 runs: .*distilled")
    self.assertIn("python -m memo_tf.launch --flagfile=", result.stdout)


class BadInputTest(parameterized.TestCase):
  def answer(self, launcher, *arguments):
    """Exit code and standard error of a launcher, in this process."""
    module = importlib.import_module(f"launchers.{launcher}")
    values = flags.FlagValues()
    module.define_flags(values, "program")
    values(["program", *arguments])
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
      code = contract.answer(module.PROGRAM, module.launch, values)
    return code, told.getvalue()

  @parameterized.named_parameters(
    ("ray_gpus", "ray_cluster", ["--gpus_per_task=1.5"], "up to 1, or a whole"),
    ("ray_units", "ray_cluster", ["--units_per_task=-1"], "units_per_task=-1"),
    ("slurm_gpus", "slurm_array", ["--gpus_per_task=0.5"], "whole GPUs"),
    (
      "slurm_multi_worker",
      "slurm_array",
      ["--strategy=multi_worker"],
      "launchers.ray_cluster",
    ),
    (
      "slurm_target",
      "slurm_array",
      ["--target_ci_width=0.2"],
      "Received: --target_ci_width=0.2",
    ),
    ("rule", "slurm_array", ["--subset_ratio=2"], "--subset_ratio"),
    ("units", "slurm_array", ["--work_units=x"], "MODEL/RECIPE"),
    ("no_folder", "slurm_array", ["--experiment_dir="], "--experiment_dir"),
    ("comma", "ray_cluster", ["--experiment_dir=/a,b"], "no comma"),
  )
  def test_one_line_and_exit_2(self, launcher, more, message):
    folder = self.create_tempdir().full_path + "/study"

    code, told = self.answer(launcher, f"--experiment_dir={folder}", *more)

    self.assertEqual(code, 2)
    [line] = told.splitlines()
    self.assertStartsWith(line, f"launchers.{launcher}: ")
    self.assertIn(message, line)
    self.assertFalse(pathlib.Path(folder).exists())

  @parameterized.named_parameters(
    ("form", "nowhere", "HOST:PORT"),
    ("nobody", "127.0.0.1:9", "no answer from --ray_address=127.0.0.1:9"),
  )
  def test_ray_address(self, address, message):
    folder = self.create_tempdir().full_path + "/study"

    with mock.patch.dict(sys.modules, ray=types.ModuleType("ray")):
      code, told = self.answer(
        "ray_cluster", f"--experiment_dir={folder}", f"--ray_address={address}"
      )

    self.assertEqual(code, 2)
    self.assertIn(message, told)
    self.assertFalse(pathlib.Path(folder).exists())

  def test_no_ray(self):
    with mock.patch.dict(sys.modules, ray=None):
      code, told = self.answer("ray_cluster", "--experiment_dir=/nowhere/study")

    self.assertEqual(code, 2)
    self.assertIn("pip install -r requirements-ray.txt", told)

  def test_no_slurm(self):
    with mock.patch.dict(os.environ, PATH="/nowhere"):
      code, told = self.answer("slurm_array", "--experiment_dir=/nowhere/study")

    self.assertEqual(code, 2)
    self.assertIn("squeue is missing", told)

  def test_flags_are_parsed_as_the_main_job_does(self):
    result = small_study.run(
      clusters.command("ray_cluster", "/nowhere/study", "--cpus_per_task=-1")
    )

    self.assertEqual(result.returncode, 2)
    [line] = result.stderr.splitlines()
    self.assertStartsWith(line, "launchers.ray_cluster: ")
    self.assertIn("--cpus_per_task", line)


if __name__ == "__main__":
  absltest.main()
