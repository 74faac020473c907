"""What a launch says while it waits, and shows while it runs."""

import io
import os
import pathlib
import pty
import sys
import termios
from unittest import mock

from absl.testing import absltest

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.running import progress

PLAN = plan_lib.Plan.of(config_lib.StudyConfig())
UNITS = [
  work_units.WorkUnit("cifar_resnet-8", "one_hot", "r0.70", index)
  for index in range(4)
]


class WaitingTest(absltest.TestCase):
  def test_says_nothing_at_first_and_then_something_each_minute(self):
    lines = []
    waiting = progress.Waiting(
      "Preparing x", pathlib.Path("work/log"), lines.append
    )

    for second in range(140):
      waiting(float(second))

    self.assertEqual(
      lines,
      [
        f"Preparing x: {second} s so far; see work/log"
        for second in (15, 75, 135)
      ],
    )


class ProgressTest(absltest.TestCase):
  def run_three_of_four(self):
    """Three runs of 100 s end on two workers, one of them failed."""
    shown = progress.Progress(PLAN, UNITS, {}, workers=2)
    for unit in UNITS[:3]:
      shown.started(unit)
    shown.show()
    shown.done(UNITS[0], 100.0)
    shown.epoch(UNITS[1], 0.5)
    shown.done(UNITS[1], 100.0)
    shown.failed(UNITS[2], "the loss became nan")
    shown.close()

  def read_all(self, descriptor: int) -> str:
    """What a terminal was given, which comes in blocks, until it is closed."""
    text = b""
    while True:
      try:
        block = os.read(descriptor, 1 << 16)
      except OSError:  # how Linux says that the other end is closed
        block = b""
      if not block:
        return text.decode()
      text += block

  def test_in_a_terminal_it_is_a_bar_with_the_time_left(self):
    ours, its = pty.openpty()
    self.addCleanup(os.close, ours)
    termios.tcsetwinsize(its, (24, 100))

    with os.fdopen(its, "w") as terminal:
      with mock.patch.object(sys, "stderr", terminal):
        self.run_three_of_four()
    text = self.read_all(ours)

    self.assertIn("0/4 runs, time left unknown", text)
    # Three are left, of 100 s on two workers; half of one is trained.
    self.assertIn("1/4 runs, about 125 s left", text)
    self.assertIn("3/4 runs, about 100 s left, 1 failed", text)
    self.assertIn(f"{UNITS[2].name} failed: the loss became nan", text)

  def test_elsewhere_it_is_a_line_every_ten_seconds(self):
    text, seconds = io.StringIO(), iter(range(0, 1000, 4))
    with mock.patch.object(sys, "stderr", text):
      with mock.patch.object(progress.time, "monotonic", lambda: next(seconds)):
        self.run_three_of_four()

    # Each look at the clock is 4 s after the last: of four calls of show()
    # one comes 10 s after the start, and none 10 s after that line.
    self.assertEqual(
      text.getvalue().splitlines(),
      [
        "1/4 runs, about 125 s left",
        f"{UNITS[2].name} failed: the loss became nan",
      ],
    )


if __name__ == "__main__":
  absltest.main()
