"""Flagfiles: found by name, checked, and the first one's name."""

import contextlib
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.cli import flagfiles
from tests.cli import flags_test

config_from = flags_test.config_from
new_flags = flags_test.new_flags


class FlagfileTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.own = root / "project flags"
    self.here = root / "here"
    self.own.mkdir()
    self.here.mkdir()
    self.enterContext(contextlib.chdir(self.here))
    self.enterContext(
      mock.patch.object(flagfiles, "shipped_dir", lambda: self.own)
    )

  def write(self, folder, name, text):
    path = folder / name
    path.write_text(text)
    return path

  def test_bare_name_is_found_among_the_projects(self):
    path = self.write(self.own, "a.flags", "--epochs=3\n")

    found = flagfiles.resolve(["--flagfile=a.flags"])

    self.assertEqual(found, [f"--flagfile={path}"])
    self.assertEqual(config_from("--flagfile=a.flags").training.epochs, 3)

  def test_local_file_comes_first(self):
    self.write(self.own, "a.flags", "--epochs=3\n")
    self.write(self.here, "a.flags", "--epochs=4\n")

    self.assertEqual(config_from("--flagfile=a.flags").training.epochs, 4)

  @parameterized.parameters(
    (["--flagfile=a.flags"],),
    (["--flagfile", "a.flags"],),
    (["-flagfile=a.flags"],),
    (["-flagfile", "a.flags"],),
    (["--seed=1", "--flagfile", "a.flags", "--workers=2"],),
    (["--flagfile=a.flags", "--flagfile", "a.flags"],),
  )
  def test_both_ways_to_write_it(self, arguments):
    self.write(self.own, "a.flags", "--epochs=3\n")

    config = config_from(*arguments)

    self.assertEqual(config.training.epochs, 3)
    if len(arguments) == 4:
      self.assertEqual((config.running.seed, config.running.workers), (1, 2))

  def test_path_with_a_folder_is_taken_as_it_is(self):
    path = self.write(self.own, "a.flags", "--epochs=3\n")

    found = flagfiles.resolve([f"--flagfile={path}"])

    self.assertEqual(found, [f"--flagfile={path}"])

  def test_other_arguments_stay(self):
    arguments = ["--epochs=3", "--flagfiles=x", "flagfile=a", "a.flags", "--"]

    self.assertEqual(flagfiles.resolve(arguments), arguments)

  def test_later_flags_win(self):
    self.write(self.own, "a.flags", "--epochs=3\n--seed=7\n")

    after = config_from("--flagfile=a.flags", "--epochs=9")
    before = config_from("--epochs=9", "--flagfile=a.flags")

    self.assertEqual((after.training.epochs, after.running.seed), (9, 7))
    self.assertEqual((before.training.epochs, before.running.seed), (3, 7))

  @parameterized.parameters(
    (["--flagfile=none.flags"],),
    (["--flagfile", "none.flags"],),
    (["--flagfile="],),
    (["--flagfile=sub/a.flags"],),
    (["--flagfile=../none.flags"],),
  )
  def test_unknown_file_is_refused_and_the_known_are_named(self, arguments):
    self.write(self.own, "a.flags", "--epochs=3\n")

    with self.assertRaisesRegex(ValueError, "no such file.*has: a.flags") as e:
      flagfiles.resolve(arguments)

    name = arguments[-1].removeprefix("--flagfile=")
    self.assertEndsWith(str(e.exception), f"Received: --flagfile={name}")

  @parameterized.parameters(
    "--experiment_dir=runs # where",
    "--epochs=3  # three",
    "--dataset=digits #",
    "-epochs=3 # three",
  )
  def test_trailing_comment_is_refused(self, line):
    self.write(self.own, "a.flags", f"# A study.\n--seed=1\n{line}\n")

    with self.assertRaisesRegex(
      ValueError, "line 3 of .*a.flags has a trailing comment"
    ) as caught:
      flagfiles.resolve(["--flagfile=a.flags"])
    self.assertIn(repr(line), str(caught.exception))

  def test_whole_line_comments_and_blank_lines_are_fine(self):
    self.write(
      self.own, "a.flags", "# One # two.\n\n  # Three.\n--epochs=3\n// Four.\n"
    )

    self.assertEqual(config_from("--flagfile=a.flags").training.epochs, 3)

  def test_sharp_within_a_value_is_fine(self):
    self.write(self.own, "a.flags", "--experiment_dir=run#3\n")
    values = new_flags()

    values(["x", *flagfiles.resolve(["--flagfile=a.flags"])])

    self.assertEqual(values["experiment_dir"].value, "run#3")

  def test_file_that_is_no_text_is_refused(self):
    (self.own / "a.flags").write_bytes(b"\xff\xfe--epochs")

    with self.assertRaisesRegex(ValueError, "a.flags cannot be read"):
      flagfiles.resolve(["--flagfile=a.flags"])


class FirstNameTest(parameterized.TestCase):
  @parameterized.parameters(
    ([], None),
    (["--seed=1"], None),
    (["--flagfile=cifar10.flags"], "cifar10"),
    (["--seed=1", "--flagfile", "mine/c.10.flags"], "c.10"),
    (["-flagfile=a.flags", "--flagfile=mobilenet_v3.flags"], "a"),
    # The value of another flag that looks like one.
    (["--labels_file=--flagfile=a.flags"], None),
  )
  def test_the_first_flagfile_names_the_study(self, arguments, expected):
    self.assertEqual(flagfiles.first_name(arguments), expected)


class ShippedDirTest(absltest.TestCase):
  def test_an_installed_package_has_its_own_folder(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    package = folder / "memo_tf"
    package.mkdir()
    with mock.patch.object(flagfiles, "_PACKAGE", package):
      self.assertEqual(flagfiles.shipped_dir(), folder / "flags")
      (package / "flagfiles").mkdir()
      self.assertEqual(flagfiles.shipped_dir(), package / "flagfiles")


if __name__ == "__main__":
  absltest.main()
