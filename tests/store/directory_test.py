"""The directory: whole files or none, damage that is named, leftovers."""

import errno
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files as files_lib
from memo_tf.store import sealed
from tests.support import made_up

UNIT = work_units.WorkUnit("cifar_resnet-8", "one_hot", "r0.70", 3)


def no_space():
  return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_run(folder, outputs, *, unit=UNIT, **record):
  """Writes a run by hand: files and the `run.json` that names them."""
  folder.mkdir(parents=True, exist_ok=True)
  entries = {}
  for name, content in outputs.items():
    (folder / name).write_bytes(content)
    entries[name] = {
      "bytes": len(content),
      "digest": files_lib.digest_bytes(content),
    }
  content = {
    **made_up.ABOUT_RUN,
    "unit": unit.name,
    "outputs": entries,
    **record,
  }
  (folder / "run.json").write_text(json.dumps(content))
  return content


def tree(root):
  """Content by path of every file under a folder."""
  return {
    str(path.relative_to(root)): path.read_bytes()
    for path in root.rglob("*")
    if path.is_file()
  }


def dead_pid():
  """The id of a process that has ended."""
  process = subprocess.Popen([sys.executable, "-S", "-c", ""])
  process.wait()
  return process.pid


class DirectoryTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.root = pathlib.Path(folder) / "a study"
    self.directory = directory_lib.StudyDirectory(self.root)
    self.folder = self.directory.run_dir(UNIT)


class PathsTest(DirectoryTestCase):
  def test_paths_are_as_documented(self):
    self.assertEqual(
      self.folder, self.root / "runs/cifar_resnet-8/one_hot/r0.70/00003"
    )
    self.assertEqual(
      self.directory.work_dir(UNIT),
      self.root / "work/cifar_resnet-8/one_hot/r0.70/00003",
    )
    self.assertEqual(
      self.directory.scores_dir(UNIT.group),
      self.root / "scores/cifar_resnet-8/one_hot/r0.70",
    )
    self.assertEqual(
      self.directory.in_mask_path("r0.70"), self.root / "subsets/r0.70.npy"
    )
    self.assertEqual(self.directory.config_path, self.root / "config.json")
    self.assertEqual(self.directory.dataset_dir, self.root / "dataset")
    self.assertEqual(
      self.directory.report_path, self.root / "report/index.html"
    )

  def test_asking_for_paths_creates_nothing(self):
    self.directory.run_state(UNIT, check_digests=True)

    self.assertFalse(self.root.exists())


class DigestTest(DirectoryTestCase):
  # Recorded studies hold such digests: the function may not change. These are
  # XXH3-128 with seed 0, as in the reference implementation.
  @parameterized.parameters(
    (b"", "99aa06d3014798d86001c324468d497f"),
    (b"abc", "06b05ab6733a618578af5f94892f3950"),
  )
  def test_is_frozen(self, content, expected):
    self.assertEqual(files_lib.digest_bytes(content), expected)

  @parameterized.parameters(0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1)
  def test_of_a_file_is_that_of_its_bytes(self, size):
    path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "x"
    content = bytes(range(251)) * (size // 251 + 1)
    path.write_bytes(content[:size])

    self.assertEqual(
      files_lib.digest_file(path),
      files_lib.digest_bytes(content[:size]),
    )


class WriteAtomicTest(DirectoryTestCase):
  def test_writes_bytes_and_text_and_makes_folders(self):
    files_lib.write_atomic(self.root / "a/b.bin", b"\x00\xff")
    files_lib.write_atomic(self.root / "a/c.txt", "é\n")

    self.assertEqual(
      tree(self.root), {"a/b.bin": b"\x00\xff", "a/c.txt": b"\xc3\xa9\n"}
    )

  def test_replaces_the_old_file(self):
    path = self.root / "x"
    files_lib.write_atomic(path, b"a longer old content")

    files_lib.write_atomic(path, b"new")

    self.assertEqual(tree(self.root), {"x": b"new"})

  @parameterized.parameters("replace", "fsync")
  def test_failure_leaves_the_old_file_and_nothing_else(self, function):
    path = self.root / "x"
    files_lib.write_atomic(path, b"old")

    with mock.patch.object(os, function, side_effect=no_space()):
      with self.assertRaises(OSError) as caught:
        files_lib.write_atomic(path, b"new")

    self.assertEqual(caught.exception.errno, errno.ENOSPC)
    self.assertEqual(tree(self.root), {"x": b"old"})

  def test_interrupt_leaves_nothing(self):
    with mock.patch.object(os, "replace", side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        files_lib.write_atomic(self.root / "x", b"new")

    self.assertEqual(tree(self.root), {})

  def test_old_file_is_whole_until_the_rename(self):
    path = self.root / "x"
    files_lib.write_atomic(path, b"old")
    seen, replace = [], os.replace

    def watch(source, target):
      seen.append((path.read_bytes(), pathlib.Path(source).read_bytes()))
      replace(source, target)

    with mock.patch.object(os, "replace", watch):
      files_lib.write_atomic(path, b"new")

    self.assertEqual(seen, [(b"old", b"new")])

  def test_private_names_are_hidden_siblings_and_differ(self):
    path = self.root / "predictions.parquet"

    names = {files_lib.private_name(path) for _ in range(50)}

    self.assertLen(names, 50)
    for name in names:
      self.assertEqual(name.parent, self.root)
      self.assertStartsWith(name.name, ".predictions.parquet~")
      self.assertEqual(name.name.split("~")[2], str(os.getpid()))


class RunStateTest(DirectoryTestCase):
  outputs = {"predictions.parquet": b"0123456789", "history.jsonl": b"{}\n"}

  def state(self, check_digests=True):
    return self.directory.run_state(UNIT, check_digests=check_digests)

  def test_nothing_there(self):
    self.assertEqual(self.state(), directory_lib.RunState(None, None))
    self.assertFalse(self.state().has(frozenset()))

  def test_good_run(self):
    record = write_run(self.folder, self.outputs, in_accuracy=0.75)

    for check_digests in (False, True):
      state = self.state(check_digests)
      self.assertEqual(state.record, record)
      self.assertIsNone(state.problem)
    self.assertTrue(state.has(frozenset()))
    self.assertTrue(state.has(frozenset(self.outputs)))
    self.assertFalse(state.has(frozenset({"logits.npy"})))
    self.assertFalse(state.has(frozenset({"history.jsonl", "logits.npy"})))

  def assert_problem(self, message, **options):
    state = self.state(**options)
    self.assertIsNone(state.record)
    self.assertRegex(state.problem, message)

  def test_folder_without_run_json(self):
    self.folder.mkdir(parents=True)

    self.assert_problem("has no run.json")

  @parameterized.parameters(
    "", "{", "null", "[]", "3", "{}", '{"format_version": 1, "outputs": {}}'
  )
  def test_damaged_json(self, text):
    self.folder.mkdir(parents=True)
    (self.folder / "run.json").write_text(text)

    self.assert_problem("run.json is damaged")

  def test_json_cut_short(self):
    write_run(self.folder, self.outputs)
    path = self.folder / "run.json"
    path.write_bytes(path.read_bytes()[:-5])

    self.assert_problem("run.json is damaged")

  def test_outputs_without_digest(self):
    record = write_run(self.folder, self.outputs)
    del record["outputs"]["history.jsonl"]["digest"]
    (self.folder / "run.json").write_text(json.dumps(record))

    self.assert_problem("run.json is damaged")

  def test_json_of_bytes_that_are_no_text(self):
    self.folder.mkdir(parents=True)
    (self.folder / "run.json").write_bytes(b"\xff\xfe\x00")

    self.assert_problem("run.json cannot be read")

  def test_run_of_another_unit(self):
    other = work_units.WorkUnit("cifar_resnet-8", "one_hot", "r0.70", 4)
    write_run(self.folder, self.outputs, unit=other)

    self.assert_problem(f"run.json is that of '{other.name}'")

  @parameterized.parameters(True, False)
  def test_output_missing(self, check_digests):
    write_run(self.folder, self.outputs)
    (self.folder / "history.jsonl").unlink()

    state = self.state(check_digests)

    self.assertIsNone(state.problem)
    self.assertEqual(state.missing, ("history.jsonl",))
    self.assertTrue(state.has(frozenset({"predictions.parquet"})))
    self.assertFalse(state.has(frozenset({"history.jsonl"})))

  @parameterized.parameters(True, False)
  def test_without_its_predictions_a_run_is_no_run(self, check_digests):
    write_run(self.folder, self.outputs)
    (self.folder / "predictions.parquet").unlink()

    self.assert_problem(
      "predictions.parquet is missing", check_digests=check_digests
    )

  def test_a_folder_in_place_of_an_output(self):
    write_run(self.folder, self.outputs)
    (self.folder / "history.jsonl").unlink()
    (self.folder / "history.jsonl").mkdir()

    self.assert_problem("history.jsonl is not a file", check_digests=False)

  @parameterized.parameters(True, False)
  def test_output_truncated(self, check_digests):
    write_run(self.folder, self.outputs)
    (self.folder / "predictions.parquet").write_bytes(b"0123")

    self.assert_problem(
      "predictions.parquet has 4 bytes instead of 10",
      check_digests=check_digests,
    )

  def test_flipped_bit_is_found_by_the_digest_only(self):
    record = write_run(self.folder, self.outputs)
    (self.folder / "predictions.parquet").write_bytes(b"0123456788")

    self.assertEqual(self.state(check_digests=False).record, record)
    self.assert_problem(
      "predictions.parquet differs from its recorded digest",
      check_digests=True,
    )

  def test_newer_format_is_refused_and_not_called_damaged(self):
    write_run(self.folder, self.outputs, format_version=3)

    with self.assertRaisesRegex(
      errors.StudyError, r"newer memo_tf \(format_version 3\)"
    ):
      self.state()

  def test_files_that_the_record_does_not_name_do_not_count(self):
    write_run(self.folder, self.outputs)
    (self.folder / "logits.npy").write_bytes(b"half")

    state = self.state()

    self.assertIsNone(state.problem)
    self.assertFalse(state.has(frozenset({"logits.npy"})))


class MoveAsideTest(DirectoryTestCase):
  def test_keeps_the_content_each_time(self):
    for content in (b"first", b"second", b"third"):
      self.folder.mkdir(parents=True)
      (self.folder / "x").write_bytes(content)

      target = self.directory.move_aside(UNIT)

      self.assertFalse(self.folder.exists())
      self.assertEqual((target / "x").read_bytes(), content)

    self.assertEqual(
      tree(self.root / "damaged"),
      {
        "cifar_resnet-8/one_hot/r0.70/00003-0/x": b"first",
        "cifar_resnet-8/one_hot/r0.70/00003-1/x": b"second",
        "cifar_resnet-8/one_hot/r0.70/00003-2/x": b"third",
      },
    )

  def test_makes_place_for_a_new_run(self):
    self.folder.mkdir(parents=True)

    self.directory.move_aside(UNIT)

    self.assertEqual(
      self.directory.run_state(UNIT, check_digests=True),
      directory_lib.RunState(None, None),
    )


class CleanPrivateTest(DirectoryTestCase):
  def leftover(self, path, pid, *, host=None, folder=False):
    """Leaves what a process would: a private file or folder beside `path`."""
    private = files_lib.private_name(path)
    parts = private.name.rsplit("~", 3)
    parts[1], parts[2] = host or parts[1], str(pid)
    private = private.with_name("~".join(parts))
    if folder:
      private.mkdir(parents=True)
      (private / "weights").write_bytes(b"half")
    else:
      private.parent.mkdir(parents=True, exist_ok=True)
      private.write_bytes(b"half")
    return private

  def test_removes_what_the_dead_left_and_nothing_else(self):
    write_run(self.folder, {"predictions.parquet": b"whole"})
    finished = tree(self.root)
    pid = dead_pid()
    gone = [
      self.leftover(self.folder, pid, folder=True),
      self.leftover(self.folder / "run.json", pid),
      self.leftover(self.directory.in_mask_path("r0.70"), pid),
      self.leftover(self.directory.dataset_dir, pid, folder=True),
      self.leftover(self.directory.config_path, pid),
      self.leftover(self.directory.report_path, pid),
      self.leftover(self.root / "scores/a/b/c/memorization.parquet", pid),
    ]

    self.directory.clean_private()

    for path in gone:
      self.assertFalse(path.exists(), path)
    self.assertEqual(tree(self.root), finished)

  @unittest.skipUnless(os.path.exists("/proc/self/stat"), "needs /proc")
  def test_removes_what_one_left_that_ended_and_was_not_waited_for(self):
    with subprocess.Popen(["true"]) as process:
      path = self.leftover(self.folder, process.pid, folder=True)
      # Ended, seen without collecting it: it keeps its number.
      os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
      os.kill(process.pid, 0)

      self.directory.clean_private()

    self.assertFalse(path.exists())

  def test_keeps_what_a_living_process_writes(self):
    kept = [
      self.leftover(self.folder, os.getpid(), folder=True),
      self.leftover(self.directory.config_path, os.getpid()),
      self.leftover(self.directory.in_mask_path("full"), os.getppid()),
    ]

    self.directory.clean_private()

    for path in kept:
      self.assertTrue(path.exists(), path)

  def test_keeps_what_is_of_another_host(self):
    path = self.leftover(self.folder, dead_pid(), host="elsewhere", folder=True)

    self.directory.clean_private()

    self.assertTrue((path / "weights").exists())

  def test_a_machine_of_the_same_name_is_another_host(self):
    here = files_lib.host_name()
    self.addCleanup(files_lib._boot_id.cache_clear)
    files_lib._boot_id.cache_clear()
    with mock.patch.object(
      pathlib.Path, "read_text", lambda path: "another-boot\n"
    ):
      there = files_lib.host_name()

    self.assertNotEqual(here, there)
    self.assertRegex(there, r"^[A-Za-z0-9]+$")

  def test_keeps_what_is_another_users(self):
    path = self.leftover(self.folder, 12345, folder=True)

    with mock.patch.object(os, "kill", side_effect=PermissionError):
      self.directory.clean_private()

    self.assertTrue(path.exists())

  def test_keeps_files_that_only_look_alike(self):
    self.root.mkdir(parents=True)
    for name in (".config.json~", "a~b~1~c", ".x~y~z", ".a~b~notapid~c"):
      (self.root / name).write_bytes(b"mine")
    before = tree(self.root)

    self.directory.clean_private()

    self.assertEqual(tree(self.root), before)

  def test_nothing_there_is_fine(self):
    self.directory.clean_private()

    self.assertFalse(self.root.exists())


class PublishTest(DirectoryTestCase):
  def private(self, content):
    private = files_lib.private_name(self.folder)
    write_run(private, {"predictions.parquet": content})
    return private

  def test_first_one_is_there_whole(self):
    private = self.private(b"first")
    expected = tree(private)

    self.assertTrue(files_lib.publish(private, self.folder))

    self.assertFalse(private.exists())
    self.assertEqual(tree(self.folder), expected)

  def test_later_one_is_thrown_away(self):
    files_lib.publish(self.private(b"first"), self.folder)
    expected = tree(self.root)
    later = self.private(b"later")

    self.assertFalse(files_lib.publish(later, self.folder))

    self.assertEqual(tree(self.root), expected)
    self.assertFalse(later.exists())

  def test_another_failure_is_raised_and_loses_nothing(self):
    private = self.private(b"first")

    with mock.patch.object(os, "rename", side_effect=no_space()):
      with self.assertRaises(OSError):
        files_lib.publish(private, self.folder)

    self.assertEqual((private / "predictions.parquet").read_bytes(), b"first")
    self.assertFalse(self.folder.exists())


class PublishedTest(DirectoryTestCase):
  def test_target_appears_when_the_block_ends(self):
    with files_lib.published(self.folder) as private:
      write_run(private, {"predictions.parquet": b"first"})
      self.assertEqual(private.parent, self.folder.parent)
      self.assertFalse(self.folder.exists())
      expected = tree(private)

    self.assertEqual(tree(self.folder), expected)
    self.assertEqual(os.listdir(self.folder.parent), [self.folder.name])

  def test_nothing_is_left_if_the_block_raises(self):
    with self.assertRaises(KeyboardInterrupt):
      with files_lib.published(self.folder) as private:
        (private / "half").write_bytes(b"")
        raise KeyboardInterrupt

    self.assertEqual(os.listdir(self.folder.parent), [])

  def test_nothing_is_left_if_the_rename_fails(self):
    with mock.patch.object(os, "rename", side_effect=no_space()):
      with self.assertRaises(OSError):
        with files_lib.published(self.folder) as private:
          (private / "whole").write_bytes(b"")

    self.assertEqual(os.listdir(self.folder.parent), [])

  def test_the_first_to_finish_wins(self):
    with files_lib.published(self.folder) as later:
      (later / "file").write_bytes(b"later")
      with files_lib.published(self.folder) as first:
        (first / "file").write_bytes(b"first")

    self.assertEqual(tree(self.folder), {"file": b"first"})
    self.assertEqual(os.listdir(self.folder.parent), [self.folder.name])

  def test_replaces_if_told_so(self):
    write_run(self.folder, {"predictions.parquet": b"old"})

    with files_lib.published(self.folder, replace=True) as private:
      (private / "file").write_bytes(b"new")

    self.assertEqual(tree(self.folder), {"file": b"new"})
    self.assertEqual(os.listdir(self.folder.parent), [self.folder.name])

  def test_what_a_killed_process_left_is_recognized(self):
    with files_lib.published(self.folder) as private:
      with mock.patch.object(files_lib, "is_alive", return_value=False):
        found = files_lib.left_by_the_dead(
          private.parent, os.listdir(private.parent)
        )

    self.assertEqual(found, [private])

  def test_files_and_folders_are_on_disk_before_the_rename(self):
    synced = []

    def fsync(number, real=os.fsync):
      synced.append(os.readlink(f"/proc/self/fd/{number}"))
      real(number)

    def rename(source, target, real=os.rename):
      self.assertEqual(
        synced[-3:],
        [f"{source}/inner/file", f"{source}/inner", str(source)],
      )
      real(source, target)

    with (
      mock.patch.object(os, "fsync", fsync),
      mock.patch.object(os, "rename", rename),
      files_lib.published(self.folder) as private,
    ):
      (private / "inner").mkdir()
      (private / "inner" / "file").write_bytes(b"")

    self.assertEqual(synced[-1], str(self.folder.parent))


class ExtendTest(DirectoryTestCase):
  def setUp(self):
    super().setUp()
    self.old = write_run(self.folder, {"predictions.parquet": b"first"})
    self.private = files_lib.private_name(self.folder)
    self.record = write_run(
      self.private, {"predictions.parquet": b"again", "logits.npy": b"logits"}
    )
    entries = self.record["outputs"] | self.old["outputs"]
    self.record = {**self.record, "outputs": entries}

  def extend(self):
    files_lib.extend(
      self.private, self.folder, self.old["outputs"], sealed.dumps(self.record)
    )

  def test_adds_only_what_is_new(self):
    self.extend()

    files = tree(self.folder)
    self.assertEqual(sealed.loads(files.pop("run.json")), self.record)
    self.assertEqual(
      files, {"predictions.parquet": b"first", "logits.npy": b"logits"}
    )
    self.assertFalse(self.private.exists())
    state = self.directory.run_state(UNIT, check_digests=True)
    self.assertIsNone(state.problem)
    self.assertTrue(state.has(frozenset({"predictions.parquet", "logits.npy"})))

  def test_what_a_broken_attempt_left_is_replaced(self):
    (self.folder / "logits.npy").write_bytes(b"half of an earlier attempt")

    self.extend()

    state = self.directory.run_state(UNIT, check_digests=True)
    self.assertIsNone(state.problem)
    self.assertEqual((self.folder / "logits.npy").read_bytes(), b"logits")

  def test_failure_leaves_the_old_run_usable(self):
    with mock.patch.object(os, "replace", side_effect=no_space()):
      with self.assertRaises(OSError):
        self.extend()

    state = self.directory.run_state(UNIT, check_digests=True)
    self.assertEqual(state.record, self.old)
    self.assertFalse(state.has(frozenset({"logits.npy"})))


if __name__ == "__main__":
  absltest.main()
