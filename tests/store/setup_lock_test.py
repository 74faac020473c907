"""One launch at a time sets a study up, and the first one's settings stay."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from unittest import mock

from absl.testing import absltest

from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import opening
from memo_tf.store import setup_lock
from tests.support import made_up
from tests.support import small_study

HOLDER = """
import sys, time
from memo_tf.store import directory, setup_lock
with setup_lock.held(directory.StudyDirectory(sys.argv[1])) as is_held:
  print(is_held, flush=True)
  time.sleep(60)
"""


class SetupLockTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.directory = directory_lib.StudyDirectory(root / "a study")

  def holder(self) -> subprocess.Popen:
    """A process that holds the lock."""
    process = subprocess.Popen(
      [sys.executable, "-c", HOLDER, str(self.directory.root)],
      stdout=subprocess.PIPE,
      text=True,
      env=small_study.environment(),
    )
    self.addCleanup(process.communicate)
    self.addCleanup(process.kill)
    self.assertEqual(process.stdout.readline(), "True\n")
    return process

  def assert_waits(self, process):
    """Another one waits until `process` is killed."""
    waited = []

    def on_wait(seconds):
      waited.append(seconds)
      if len(waited) == 3:
        process.kill()
      self.assertLess(seconds, 30)

    with setup_lock.held(self.directory, on_wait) as is_held:
      self.assertTrue(is_held)
    self.assertGreaterEqual(len(waited), 3)

  def test_others_wait_until_the_holder_has_died(self):
    self.assert_waits(self.holder())

  def test_a_paused_holder_keeps_it(self):
    process = self.holder()
    process.send_signal(signal.SIGSTOP)

    self.assert_waits(process)

  def test_is_free_after_the_block_and_after_an_error(self):
    for _ in range(2):
      with contextlib.suppress(KeyError):
        with setup_lock.held(self.directory, self.fail) as is_held:
          self.assertTrue(is_held)
          raise KeyError

  def test_a_holder_that_removes_the_folder_leaves_no_lock_behind(self):
    entered = threading.Event()
    waits = threading.Event()

    def second():
      with setup_lock.held(self.directory, lambda seconds: waits.set()):
        entered.set()
        # The lock that is held is that of the file that is there.
        with self.assertRaises(TimeoutError):
          with setup_lock.held(self.directory, self.give_up):
            pass

    with setup_lock.held(self.directory):
      thread = threading.Thread(target=second)
      thread.start()
      self.assertTrue(waits.wait(30))
      shutil.rmtree(self.directory.root / "work")
    thread.join(30)
    self.assertTrue(entered.is_set())

  def give_up(self, seconds):
    raise TimeoutError


class WriteSettingsTest(absltest.TestCase):
  """Whatever happens between the look for config.json and its creation."""

  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.directory = directory_lib.StudyDirectory(root)
    self.mine = made_up.config()

  def write_after(self, theirs):
    """Another launch creates its config.json right before this one does."""
    create = files.create

    def later(path, content):
      with mock.patch.object(files, "create", create):
        opening.write_settings(self.directory, theirs)
      create(path, content)

    with mock.patch.object(files, "create", later):
      opening.write_settings(self.directory, self.mine)

  def test_other_settings_are_refused_and_stay(self):
    theirs = made_up.config(learning_rate=0.3)

    with self.assertRaisesRegex(
      errors.UsageError, "--learning_rate: recorded 0.3, given 0.1"
    ):
      self.write_after(theirs)

    self.assertEqual(opening.recorded_config(self.directory), theirs)

  def test_the_same_settings_are_fine(self):
    self.write_after(self.mine)

    self.assertEqual(opening.recorded_config(self.directory), self.mine)

  def test_without_links_too(self):
    refused = OSError(1, "no links here")
    with mock.patch.object(os, "link", side_effect=refused):
      self.write_after(self.mine)
      with self.assertRaises(FileExistsError):
        files.create(self.directory.config_path, "x")

    self.assertEqual(opening.recorded_config(self.directory), self.mine)
    self.assertCountEqual(
      os.listdir(self.directory.root), ["config.json", "resolved.flags"]
    )


if __name__ == "__main__":
  absltest.main()
