"""The names that others rely on, reached from `import memo_tf`."""

import pathlib
import subprocess
import sys

from absl.testing import absltest

ROOT = pathlib.Path(__file__).resolve().parents[1]


class PublicNamesTest(absltest.TestCase):
  def run_python(self, program: str, *options: str):
    return subprocess.run(
      [sys.executable, *options, "-c", program],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=False,
    )

  def test_names_are_there_and_load_no_tensorflow(self):
    result = self.run_python(
      """
import sys
import memo_tf
memo_tf.estimators.memorization_scores
memo_tf.estimators.MemorizationTally(3)
memo_tf.experiment.subsets.in_masks(10, 10, 0.7).sum() == 70 or sys.exit(3)
memo_tf.analysis.auroc
memo_tf.Study.open
memo_tf.study_from_predictions
"tensorflow" in sys.modules and sys.exit(4)
try:
  memo_tf.no_such_name
except AttributeError as error:
  print(error)
"""
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("no attribute 'no_such_name'", result.stdout)

  def test_models_distillation_and_exporting_are_reached_the_same_way(self):
    result = self.run_python(
      "import memo_tf; print(memo_tf.models.build_model('cifar_resnet-8', "
      "image_shape=(8, 8, 1), num_classes=10).output_shape, "
      "memo_tf.distillation.distillation_loss("
      "[[0.0, 1.0]], [[0.0, 1.0]], temperature=3.0).shape, "
      "callable(memo_tf.distillation.Distiller), "
      "callable(memo_tf.exporting.export_saved_model))"
    )

    self.assertIn("(None, 10) (1,) True True", result.stdout, result.stderr)

  def test_ci_runs_the_second_command_of_the_readme(self):
    readme = (ROOT / "README.md").read_text()
    commands = [
      x for x in readme.splitlines() if x.startswith("python3 -m venv")
    ]

    self.assertLen(commands, 2)
    self.assertIn("memo_tf.launch --flagfile=digits.flags", commands[0])
    self.assertIn(commands[1], (ROOT / ".ci/run").read_text().splitlines())


if __name__ == "__main__":
  absltest.main()
