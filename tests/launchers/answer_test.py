"""How a launcher ends when something asks it to."""

import signal

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from launchers import contract
from memo_tf.cli import flags as flags_lib
from memo_tf.cli import program


def raised(number: int, in_compiled_code: bool):
  """A launcher's body in which a signal arrives."""

  def body(*unused):
    try:
      raise contract._Signalled(number)
    except contract._Signalled as error:
      if in_compiled_code:  # so says Ray's: a result with an exception set
        raise SystemError("returned a result with an exception set") from error
      raise

  return body


class AnswerTest(parameterized.TestCase):
  def answer(self, body) -> int:
    values = flags.FlagValues()
    flags_lib.define_flags(values, "launcher")
    values(["launcher", "--experiment_dir=/nowhere/study"])
    return contract.answer("launchers.some", body, values)

  @parameterized.product(
    number=(signal.SIGINT, signal.SIGTERM), in_compiled_code=(False, True)
  )
  def test_a_signal_ends_it_wherever_it_arrives(self, number, in_compiled_code):
    code = self.answer(raised(number, in_compiled_code))

    self.assertEqual(
      code,
      program.INTERRUPTED if number == signal.SIGINT else program.TERMINATED,
    )

  def test_another_error_is_not_hidden(self):
    def body(*unused):
      raise SystemError("something else")

    with self.assertRaisesRegex(SystemError, "something else"):
      self.answer(body)


if __name__ == "__main__":
  absltest.main()
