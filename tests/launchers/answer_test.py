"""What a launcher is given, and where its study goes."""

import contextlib
import os
import pathlib

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from launchers import contract
from memo_tf.cli import program

UNIT = "cifar_resnet-8/one_hot/r0.70/00001"


class AnswerTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.here = pathlib.Path(self.create_tempdir().full_path)
    self.enterContext(contextlib.chdir(self.here))
    self.given = []

  def answer(self, *arguments):
    values = flags.FlagValues()
    contract.define_flags(values, "launcher")
    values(["launcher", *(a for a in arguments if "flagfile" not in a)])

    def body(values, config, directory, units):
      self.given.append((values.task_retries, config, directory.root, units))
      return 5

    return contract.answer("launchers.some", body, values, arguments)

  def test_flags_config_folder_and_units(self):
    code = self.answer(
      "--experiment_dir=a study",
      "--task_retries=7",
      "--epochs=3",
      f"--work_units={UNIT}",
    )

    self.assertEqual(code, 5)
    [(retries, config, root, units)] = self.given
    self.assertEqual((retries, config.training.epochs), (7, 3))
    self.assertEqual(root, self.here / "a study")
    self.assertEqual([unit.name for unit in units], [UNIT])

  @parameterized.parameters(
    (["--dataset=cifar10"], "studies/cifar10"),
    (["--flagfile=mine.flags", "--flagfile=b.flags"], "studies/mine"),
    (["--flagfile=mine.flags", "--smoke"], "studies/mine-smoke"),
  )
  def test_the_default_folder_is_an_absolute_path(self, arguments, expected):
    self.assertEqual(self.answer(*arguments), 5)

    [(_, _, root, _)] = self.given
    self.assertEqual(root, self.here / expected)
    self.assertEmpty(os.listdir())

  def test_a_folder_that_scripts_cannot_name(self):
    os.mkdir("a,b")
    os.chdir("a,b")

    self.assertEqual(self.answer(), program.WRONG_USE)
    self.assertEmpty(self.given)


if __name__ == "__main__":
  absltest.main()
