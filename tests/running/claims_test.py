"""Claims put other units first and block none for ever."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import work_units
from memo_tf.running import claims
from memo_tf.store import directory as directory_lib

UNIT = work_units.WorkUnit("cifar_resnet-8", "one_hot", "r0.70", 3)


class ClaimsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.directory = directory_lib.StudyDirectory(root)
    self.now = 1000.0
    clock = mock.patch.object(claims.time, "monotonic", lambda: self.now)
    self.enterContext(clock)

  def launch(self) -> claims.Claims:
    return self.enterContext(claims.Claims(self.directory))

  def test_a_claimed_unit_is_not_taken_while_its_launch_lives(self):
    one, other = self.launch(), self.launch()

    self.assertTrue(one.take(UNIT))
    self.assertTrue(one.take(UNIT))
    self.assertFalse(other.take(UNIT))
    for _ in range(20):  # 100 s, with beats
      self.now += 5
      one.beat()
      self.assertFalse(other.take(UNIT))

  def test_a_released_unit_is_free(self):
    one, other = self.launch(), self.launch()
    one.take(UNIT)

    one.release(UNIT)

    self.assertTrue(other.take(UNIT))

  def test_releasing_what_another_holds_changes_nothing(self):
    one, other, third = self.launch(), self.launch(), self.launch()
    one.take(UNIT)

    other.release(UNIT)

    self.assertFalse(third.take(UNIT))

  def test_a_silent_launch_loses_its_claim(self):
    one, other = self.launch(), self.launch()
    one.take(UNIT)
    self.assertFalse(other.take(UNIT))

    self.now += claims.SILENCE_SECONDS - 1
    self.assertFalse(other.take(UNIT))
    self.now += 2

    self.assertTrue(other.take(UNIT))
    self.assertFalse(one.take(UNIT))

  def test_times_on_the_disk_are_not_looked_at(self):
    one, other = self.launch(), self.launch()
    one.take(UNIT)
    for path in self.directory.root.rglob("*"):
      if path.is_file():
        os.utime(path, (0, 0))

    self.assertFalse(other.take(UNIT))

  def test_a_launch_whose_process_has_ended_loses_its_claim_at_once(self):
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    one, other = self.launch(), self.launch()
    one.take(UNIT)
    token = (self.directory.work_dir(UNIT) / "claim").read_text()
    path = self.directory.root / f"work/launches/{token}.json"
    content = json.loads(path.read_text()) | {"pid": process.pid}
    path.write_text(json.dumps(content))

    self.assertTrue(other.take(UNIT))

  def test_another_host_s_process_is_not_judged_by_its_number_here(self):
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    one, other = self.launch(), self.launch()
    one.take(UNIT)
    token = (self.directory.work_dir(UNIT) / "claim").read_text()
    path = self.directory.root / f"work/launches/{token}.json"
    content = json.loads(path.read_text())
    content |= {"pid": process.pid, "host": "elsewhere"}
    path.write_text(json.dumps(content))

    self.assertFalse(other.take(UNIT))
    self.launch()  # removes the beats of launches that have ended
    self.assertTrue(path.exists())

  @parameterized.parameters(
    # Four runs of 10 s are less than the shortest patience; of 1000 s, more.
    (10.0, claims.LONGEST_WAIT_SECONDS),
    (1000.0, 4000.0),
  )
  def test_a_living_launch_is_waited_for_so_long(self, usual, patience):
    one, other = self.launch(), self.launch()
    one.take(UNIT)
    first = self.now

    while self.now - first < patience:
      self.assertFalse(other.take(UNIT, usual))
      self.now += 5
      one.beat()

    self.assertTrue(other.take(UNIT, usual))

  @parameterized.parameters("", "gone", "../../etc/passwd", "\0" * 9)
  def test_a_claim_of_nobody_or_of_nonsense_is_taken(self, content):
    path = self.directory.work_dir(UNIT) / "claim"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    one, other = self.launch(), self.launch()

    self.assertTrue(one.take(UNIT))
    self.assertFalse(other.take(UNIT))

  def test_nothing_is_left_when_launches_end(self):
    with claims.Claims(self.directory) as one:
      one.take(UNIT)

    self.assertEmpty([p for p in self.directory.root.rglob("*") if p.is_file()])


if __name__ == "__main__":
  absltest.main()
