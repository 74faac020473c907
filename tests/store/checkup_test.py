"""The doctor names everything that is not as recorded, and deletes nothing."""

import contextlib
import io
import os
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf import status
from memo_tf.experiment import plan as plan_lib
from memo_tf.store import checkup
from memo_tf.store import files
from memo_tf.store import sealed
from memo_tf.store import subset_info
from tests.support import made_up

RUN = f"runs/{made_up.unit(1).name}"


def flip(path: pathlib.Path) -> None:
  """Flips a bit and keeps the time of change."""
  times = path.stat()
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


class CheckupTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = made_up.config()
    self.directory = made_up.make(root / "a study", self.config)
    self.root = self.directory.root
    for name in ("scores/summary.json", "report/index.html"):
      (self.root / name).parent.mkdir()
      (self.root / name).write_text("[]")
    environment = sealed.dumps({"format_version": 2, "history": []})
    (self.root / "environment.json").write_text(environment)
    checkup.record_digests(self.directory)

  def findings(self) -> dict[str, str]:
    found = checkup.findings(self.directory, plan_lib.Plan.of(self.config))
    return {finding.path: finding.problem for finding in found}

  def test_a_whole_study(self):
    self.assertEqual(self.findings(), {})

  @parameterized.parameters(
    ("dataset/shard", "dataset/shard"),
    ("dataset/examples.parquet", "dataset/examples.parquet"),
    ("subsets/r0.70.npy", "subsets/r0.70.npy"),
    (f"{RUN}/predictions.parquet", RUN),
    (f"{RUN}/history.jsonl", RUN),
    (f"{RUN}/run.json", RUN),
    ("dataset/info.json", "dataset/info.json"),
    ("environment.json", "environment.json"),
    ("resolved.flags", "resolved.flags"),
    ("digests.json", "digests.json"),
    ("scores/summary.json", "scores/summary.json"),
    ("report/index.html", "report/index.html"),
  )
  def test_a_flipped_bit_is_named(self, path, found):
    if path.endswith(".npy"):  # in the array, not in the header's padding
      content = bytearray((self.root / path).read_bytes())
      content[-1] ^= 1
      (self.root / path).write_bytes(content)
    else:
      flip(self.root / path)

    self.assertEqual(list(self.findings()), [found])

  @parameterized.parameters(
    "dataset/shard",
    "dataset/info.json",
    "subsets/r0.70.npy",
    "scores/summary.json",
    f"{RUN}/history.jsonl",
  )
  def test_a_missing_file_is_named(self, path):
    (self.root / path).unlink()

    found = self.findings()

    self.assertEqual(list(found), [path])

  def test_a_run_of_another_study(self):
    path = self.root / RUN / "run.json"
    record = sealed.loads(path.read_bytes())
    for name, other in (
      ("dataset_digest", "0" * 32),
      ("recipe_digest", "other"),
      ("seed", 7),
    ):
      path.write_text(sealed.dumps(record | {name: other}))
      found = self.findings()
      self.assertEqual(list(found), [RUN])
      self.assertIn(f"its {name} is {other!r} instead of", found[RUN])

  def test_subsets_beyond_those_planned_must_be_those_of_the_seed(self):
    path = self.root / "subsets/r0.70.npy"
    longer = made_up.masks_of(made_up.config(num_subsets=30))
    np.save(path, longer)
    self.assertEqual(self.findings(), {})

    longer[25, 3] ^= True
    np.save(path, longer)

    self.assertEqual(list(self.findings()), ["subsets/r0.70.npy"])

  def test_materialized_subsets(self):
    folder = self.directory.subset_shard_dir("r0.70", 2)
    folder.mkdir(parents=True)
    (folder / "train-00000-of-00001.tfrecord").write_bytes(b"records")
    masks = made_up.masks_of(self.config)
    subset_info.write(folder, "d" * 32, masks[2])
    self.assertEqual(self.findings(), {})

    name = "subsets/r0.70/00002"
    for digest, mask, problem in (
      ("e" * 32, masks[2], "its dataset_digest is 'eee"),
      ("d" * 32, masks[1], "its subset_digest is"),
    ):
      (folder / "info.json").unlink()
      subset_info.write(folder, digest, mask)
      self.assertStartsWith(self.findings()[name], problem)
    (folder / "info.json").unlink()
    subset_info.write(folder, "d" * 32, masks[2])
    flip(folder / "train-00000-of-00001.tfrecord")
    self.assertIn("its recorded digest", self.findings()[name])

  def test_what_the_dead_left(self):
    private = files.private_name(self.root / RUN)
    parts = private.name.rsplit("~", 2)
    private = private.with_name(f"{parts[0]}~{2**22 + 1}~{parts[2]}")
    private.mkdir()

    (finding,) = checkup.findings(self.directory, plan_lib.Plan.of(self.config))

    self.assertFalse(finding.is_damage)
    self.assertEqual(finding.problem, "was left half-written")

  def test_repair_moves_and_deletes_nothing(self):
    names = (
      "dataset/shard",
      f"{RUN}/predictions.parquet",
      "scores/summary.json",
    )
    for name in names:
      flip(self.root / name)
    (self.root / f"runs/{made_up.unit(2).name}/history.jsonl").unlink()
    before = sorted(p.read_bytes() for p in self.root.rglob("*") if p.is_file())

    found = list(
      checkup.findings(self.directory, plan_lib.Plan.of(self.config))
    )
    moved = checkup.repair(self.directory, found)

    self.assertCountEqual(
      [name for name, _ in moved], ["dataset", RUN, "scores/summary.json"]
    )
    after = sorted(p.read_bytes() for p in self.root.rglob("*") if p.is_file())
    self.assertEqual(before, after)
    self.assertFalse((self.root / RUN).exists())
    # The run that lost one output stays, for the next launch to add it.
    self.assertTrue((self.root / f"runs/{made_up.unit(2).name}").exists())

  def status(self, **options) -> tuple[int, str]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
      code = status.status(self.directory, **options)
    return code, printed.getvalue()

  def test_status_is_quick_and_check_is_thorough(self):
    flip(self.root / RUN / "predictions.parquet")

    self.assertEqual(self.status()[0], 0)
    code, text = self.status(check=True)

    self.assertEqual(code, 1)
    self.assertIn(
      f"damaged: {RUN}: predictions.parquet differs from its recorded digest",
      text,
    )
    self.assertIn("--repair", text)

  def test_repaired_runs_are_pending(self):
    flip(self.root / RUN / "predictions.parquet")

    code, text = self.status(check=True, repair=True)

    self.assertEqual(code, 0, text)
    self.assertIn(f"moved: {RUN} to ", text)
    self.assertIn("1 runs pending", text)
    self.assertIn("every file is as recorded", self.status(check=True)[1])


if __name__ == "__main__":
  absltest.main()
