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
from memo_tf.experiment import settings as settings_lib
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
  def run_three_of_four(self, wait=lambda: None):
    """Three runs of 100 s end on two workers, one of them failed."""
    shown = progress.Progress(PLAN, UNITS, {}, workers=2)
    for unit in UNITS[:3]:
      shown.started(unit)
    shown.show()
    wait()
    shown.done(UNITS[0], 100.0)
    wait()
    shown.epoch(UNITS[1], 0.5)
    wait()
    shown.done(UNITS[1], 100.0)
    wait()
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
    # Three are left, of 100 s on two workers.
    self.assertIn("1/4 runs, about 150 s left", text)
    self.assertIn("3/4 runs, about 100 s left, 1 failed", text)
    self.assertIn(f"{UNITS[2].name} failed: the loss became nan", text)

  def lines(self, act) -> list[str]:
    """What `act` shows outside a terminal, given a function to wait 6 s."""
    text, now = io.StringIO(), [0.0]

    def wait():
      now[0] += 6.0

    with mock.patch.object(sys, "stderr", text):
      with mock.patch.object(progress.time, "monotonic", lambda: now[0]):
        act(wait)
    return text.getvalue().splitlines()

  def test_elsewhere_it_is_a_line_every_ten_seconds(self):
    self.assertEqual(
      self.lines(self.run_three_of_four),
      [
        # After 12 s: three are left, of 100 s on two workers; two began.
        "1/4 runs, about 138 s left",
        f"{UNITS[2].name} failed: the loss became nan",
        "3/4 runs, about 100 s left, 1 failed",  # after 24 s
      ],
    )

  def test_the_first_epochs_tell_before_a_run_has_finished(self):
    def act(wait):
      shown = progress.Progress(PLAN, UNITS, {}, workers=2)
      shown.started(UNITS[0])
      wait()
      wait()
      shown.epoch(UNITS[0], 0.25)

    # 12 s for a quarter of a run: 48 s each, four runs, two workers, less 6 s.
    self.assertEqual(self.lines(act), ["0/4 runs, about 90 s left"])

  def test_recording_counts_apart_and_is_not_forgotten_before_it_is_known(self):
    config = config_lib.StudyConfig(
      proxies=settings_lib.ProxiesConfig(proxies=("grand",), proxy_runs=2)
    )

    def act(wait):
      plan = plan_lib.Plan.of(config)
      shown = progress.Progress(plan, UNITS, {UNITS[0].group: 10.0}, workers=1)
      shown.started(UNITS[0])
      wait()
      wait()
      shown.show()
      shown.done(UNITS[0], 110.0, 100.0)
      wait()
      wait()
      shown.show()

    self.assertEqual(
      self.lines(act),
      [
        "0/4 runs, at least 30 s left (no run that records for proxies has "
        "finished)",
        "1/4 runs, about 130 s left",  # three of 10 s, one with 100 s more
      ],
    )


if __name__ == "__main__":
  absltest.main()
