"""How a program ends: exit codes, one line for an error, signals."""

import contextlib
import errno
import io
import pathlib
import signal
import subprocess
import sys

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.cli import program
from memo_tf.experiment import errors

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A program that says that it is ready and then waits.
WAITING = """
import sys, time
from absl import flags
from memo_tf.cli import program

def define(values, name):
  flags.DEFINE_string("experiment_dir", None, "", flag_values=values)
  flags.DEFINE_integer("code", 0, "What to return.", flag_values=values)
  flags.DEFINE_bool("wait", False, "", flag_values=values)

def body(values):
  try:
    print("ready", flush=True)
    while values.wait:
      time.sleep(0.01)
  finally:
    print("cleaned up", flush=True)
  return values.code

program.run_program("some.program", define, body)
"""


def raises(error):
  def body(values):
    raise error

  return body


def signalled_in_compiled_code(number):
  def body(values):
    try:
      raise program.Signalled(number)
    except program.Signalled as error:
      # As C code says it that was interrupted while it held a result.
      raise SystemError("returned a result with an exception set") from error

  return body


class AnswerTest(parameterized.TestCase):
  def answer(self, body, **options):
    values = flags.FlagValues()
    for name in ("experiment_dir", "output_dir"):
      flags.DEFINE_string(name, f"the_{name}", "", flag_values=values)
    values(["program"])
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
      code = program.answer("some.program", body, values, **options)
    return code, told.getvalue()

  @parameterized.parameters(0, 1, 7)
  def test_the_body_s_code(self, code):
    self.assertEqual(self.answer(lambda values: code), (code, ""))

  @parameterized.parameters(
    (errors.UsageError("--x must be 1."), program.WRONG_USE, "--x must be 1."),
    (errors.StudyError("it is gone."), program.FAILED, "it is gone."),
    (
      OSError(errno.ENOSPC, "No space left", "/a/file"),
      program.FAILED,
      "No space left: /a/file",
    ),
    (
      OSError(errno.EFBIG, "File too large"),
      program.FAILED,
      "File too large: the_experiment_dir",
    ),
  )
  def test_an_error_is_one_line(self, error, code, message):
    found, told = self.answer(raises(error))

    self.assertEqual(found, code)
    [line] = told.splitlines()
    self.assertStartsWith(line, f"some.program: {message}")

  def test_a_disk_error_names_the_folder_that_is_written(self):
    _, told = self.answer(raises(OSError("full")), output="output_dir")

    self.assertIn("the_output_dir", told)

  @parameterized.product(
    number=(signal.SIGINT, signal.SIGTERM), is_in_compiled_code=(False, True)
  )
  def test_a_signal_ends_it_wherever_it_arrives(
    self, number, is_in_compiled_code
  ):
    body = raises(program.Signalled(number))
    if is_in_compiled_code:
      body = signalled_in_compiled_code(number)

    code, told = self.answer(body)

    self.assertEqual(code, 130 if number == signal.SIGINT else 143)
    [line] = told.splitlines()
    self.assertIn("interrupted", line)

  @parameterized.parameters(SystemError, ValueError, RuntimeError, KeyError)
  def test_a_bug_is_not_hidden(self, kind):
    with self.assertRaisesRegex(kind, "a bug"):
      self.answer(raises(kind("a bug")))

  @parameterized.parameters("2>&-", "2>/dev/full", "2>&- >&-")
  def test_without_standard_error_code_and_log_say_why(self, closed):
    folder = pathlib.Path(self.create_tempdir().full_path)
    source = folder / "program.py"
    source.write_text(
      WAITING.replace("return values.code", "raise OSError(28, 'full')")
    )
    command = f"{sys.executable} {source} --experiment_dir={folder} {closed}"

    done = subprocess.run(
      command,
      shell=True,
      cwd=ROOT,
      env={"PYTHONPATH": str(ROOT)},
      capture_output=True,
      text=True,
      check=False,
    )

    self.assertEqual(done.returncode, program.FAILED)
    self.assertIn("full", (folder / program.LOG).read_text())
    if closed != "2>&- >&-":
      self.assertIn("full", done.stdout)

  def test_no_file_gets_the_number_of_a_closed_stream(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    source = folder / "program.py"
    opened = "print(open('/dev/null').fileno(), flush=True); return 0"
    source.write_text(WAITING.replace("return values.code", opened))

    done = subprocess.run(
      f"{sys.executable} {source} 2>&- <&-",
      shell=True,
      cwd=ROOT,
      env={"PYTHONPATH": str(ROOT)},
      capture_output=True,
      text=True,
      check=True,
    )

    self.assertGreater(int(done.stdout.split()[-1]), 2)


class RunProgramTest(parameterized.TestCase):
  def start(self, *arguments):
    return subprocess.Popen(
      [sys.executable, "-c", WAITING, *arguments],
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )

  def test_code_of_the_body(self):
    process = self.start("--code=3")

    out, err = process.communicate()

    self.assertEqual((process.returncode, out), (3, "ready\ncleaned up\n"), err)

  @parameterized.parameters(
    ("--code=many", "code"),
    ("--cod=1", "cod"),
    ("word", "flags start with --. Received: 'word'"),
    ("--flagfile=none.flags", "no such file"),
  )
  def test_wrong_use_is_one_line(self, argument, message):
    process = self.start(argument)

    out, err = process.communicate()

    self.assertEqual((process.returncode, out), (2, ""))
    [line] = err.splitlines()
    self.assertStartsWith(line, "some.program: ")
    self.assertIn(message, line)
    self.assertEndsWith(line, "--helpshort lists the flags)")

  @parameterized.parameters((signal.SIGINT, 130), (signal.SIGTERM, 143))
  def test_a_second_signal_does_not_interrupt_the_clean_up(self, number, code):
    process = self.start("--wait")
    self.assertEqual(process.stdout.readline(), "ready\n")

    process.send_signal(number)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    self.assertEqual((process.returncode, out), (code, "cleaned up\n"), err)
    [line] = err.splitlines()
    self.assertStartsWith(line, "some.program: interrupted. Finished runs")


if __name__ == "__main__":
  absltest.main()
