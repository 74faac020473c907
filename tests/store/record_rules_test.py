"""Records that make no sense are damaged, in one line; nothing ends in a trace.

Here the digests are right: the records were written so, by another program or
by someone who means harm.
"""

import copy
import json
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.store import checkup
from memo_tf.store import dataset_info
from memo_tf.store import files
from memo_tf.store import record_rules
from memo_tf.store import sealed
from tests.support import made_up

INFINITE = float("inf")


def changed(content: dict, path: str, value) -> dict:
  """A record with one field of another value; `...`: without the field."""
  content = copy.deepcopy(content)
  *parents, last = path.split("/")
  part = content
  for name in parents:
    part = part[name]
  if value is ...:
    del part[last]
  else:
    part[last] = value
  return content


class RecordRulesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = made_up.config()
    self.directory = made_up.make(self.root / "study", self.config)
    self.run = self.directory.run_dir(made_up.unit(1)) / "run.json"
    self.info = self.directory.dataset_dir / "info.json"

  def write(self, path: pathlib.Path, field: str, value) -> None:
    content = sealed.loads(path.read_bytes())
    path.write_text(sealed.dumps(changed(content, field, value)))

  @parameterized.parameters(
    ("in_accuracy", INFINITE),
    ("in_accuracy", float("nan")),
    ("in_accuracy", None),
    ("in_accuracy", "0.5"),
    ("in_accuracy", True),
    ("in_accuracy", 1.5),
    ("out_accuracy", -0.1),
    ("parameters", "many"),
    ("parameters", 10**18),
    ("parameters", ...),
    ("seconds", 3),
    ("seconds", {}),
    ("seconds/total", "x"),
    ("seconds/total", INFINITE),
    ("seconds/recording", None),
    ("seed", 1.0),
    ("threads", 0),
    ("machine", "this one"),
    ("machine", {"host": "h"}),
    ("machine/cpu", 3),
    ("versions", None),
    ("versions/tensorflow", {}),
    ("unit", 3),
    ("unit", "a\0b"),
    ("unit", ...),
    ("outputs", []),
    ("outputs", ...),
    ("outputs/history.jsonl", 3),
    ("outputs/history.jsonl/bytes", INFINITE),
    ("outputs/history.jsonl/bytes", "3"),
    ("outputs/history.jsonl/bytes", -3),
    ("outputs/history.jsonl/digest", "../x"),
    ("outputs/history.jsonl/mtime_ns", "now"),
    ("dataset_digest", None),
    ("subset_digest", ...),
    ("format_version", "2"),
    ("format_version", ...),
    ("format_version", INFINITE),
    ("recipe", []),
    ("teacher", {"unit": 3}),
  )
  def test_a_run_is_damaged(self, field, value):
    self.write(self.run, field, value)

    state = self.directory.run_state(made_up.unit(1), check_digests=True)

    self.assertIsNone(state.record)
    self.assertRegex(state.problem, "run.json is damaged")
    self.assertNotIn("\n", state.problem)
    self.assertNotIn("\0", state.problem)

  @parameterized.parameters(
    ("num_train", 10**18),
    ("num_train", 0),
    ("num_train", 2**31),
    ("num_train", "20"),
    ("num_train", 20.0),
    ("num_test", ...),
    ("num_classes", -1),
    ("num_classes", 10**9),
    ("class_names", ["a"]),
    ("class_names", "abc"),
    ("class_names", ["a", "b", 3]),
    ("image_shape", [8, 8]),
    ("image_shape", [0, 8, 1]),
    ("image_shape", [10**9, 10**9, 1]),
    ("image_shape", None),
    ("max_pixel", 0),
    ("normalization", ...),
    ("normalization", {"mean": [0.0]}),
    ("normalization/mean", [INFINITE]),
    ("normalization/std", ["1"]),
    ("normalization/std", [1.0, 1.0]),
    ("encoding", "png"),
    ("encoding", {"kind": "exe"}),
    ("digest", 3),
    ("files", []),
    ("files", {"a\0b": {"bytes": 1, "digest": "0" * 32}}),
    ("files/shard", None),
    ("files/shard/bytes", None),
    ("format_version", True),
  )
  def test_a_data_set_is_damaged(self, field, value):
    self.write(self.info, field, value)

    with self.assertRaisesRegex(errors.StudyError, "info.json.*moved?") as e:
      dataset_info.read_info(self.directory)

    self.assertNotIn("\n", str(e.exception))
    self.assertNotIn("\0", str(e.exception))
    # The check goes on, and says it.
    found = checkup.findings(self.directory, plan_lib.Plan.of(self.config))
    self.assertIn("dataset/info.json", [finding.path for finding in found])

  @parameterized.parameters(
    "runs/cifar_resnet-8/one_hot/r0.70/00001/run.json",
    "dataset/info.json",
    "thesis.txt",
    "scores/../runs/x",
    "digests.json",
    "a\0b",
  )
  def test_digests_name_derived_files_only(self, name):
    """What else it named would be moved away by --repair."""
    (self.directory.root / "thesis.txt").write_text("mine")
    entry = {"bytes": 1, "digest": "0" * 32}
    content = {"format_version": 2, "files": {name: entry}}
    path = self.directory.root / checkup.DIGESTS
    path.write_text(sealed.dumps(content))
    plan = plan_lib.Plan.of(self.config)

    found = list(checkup.findings(self.directory, plan))
    _, moved = checkup.repair_all(self.directory, plan, found)

    self.assertEqual([f.path for f in found], [checkup.DIGESTS])
    self.assertNotIn("\0", str(found[0]))
    self.assertEqual([name for name, _ in moved], [checkup.DIGESTS])
    self.assertTrue(self.run.exists())

  @parameterized.parameters(
    [3], ["x"], [{"scores/a": 3}], [{"scores/a": {}}], [None]
  )
  def test_nonsense_in_digests_is_a_finding(self, content):
    path = self.directory.root / checkup.DIGESTS
    path.write_text(sealed.dumps({"format_version": 2, "files": content}))

    found = checkup.findings(self.directory, plan_lib.Plan.of(self.config))

    self.assertEqual([f.path for f in found], [checkup.DIGESTS])

  def test_what_users_keep_beside_is_not_vouched_for(self):
    (self.directory.root / "thesis.txt").write_text("mine")
    (self.directory.root / "scores").mkdir()
    (self.directory.root / "scores/summary.json").write_text("[]")

    checkup.record_digests(self.directory)

    content = (self.directory.root / checkup.DIGESTS).read_text()
    self.assertEqual(
      list(json.loads(content)["files"]), ["scores/summary.json"]
    )

  def test_one_repair_is_enough(self):
    (self.directory.dataset_dir / "shard").write_bytes(b"other")
    masks = self.directory.in_mask_path("r0.70")
    content = bytearray(masks.read_bytes())
    content[-1] ^= 1
    masks.write_bytes(content)
    self.run.write_text("{")
    plan = plan_lib.Plan.of(self.config)

    found = list(checkup.findings(self.directory, plan))
    found, moved = checkup.repair_all(self.directory, plan, found)

    self.assertEqual(
      sorted(name for name, _ in moved),
      ["dataset", f"runs/{made_up.unit(1).name}", "subsets/r0.70.npy"],
    )
    again = checkup.findings(self.directory, plan)
    self.assertEmpty(
      [f for f in again if (self.directory.root / f.path).exists()]
    )

  def test_subsets_are_checked_without_the_data_set(self):
    self.info.unlink()
    masks = self.directory.in_mask_path("r0.70")
    masks.write_bytes(masks.read_bytes()[:-1] + b"\2")
    plan = plan_lib.Plan.of(self.config)

    found = [f.path for f in checkup.findings(self.directory, plan)]

    self.assertEqual(found, ["dataset/info.json", "subsets/r0.70.npy"])

  def test_what_a_study_writes_follows_the_rules(self):
    record_rules.check_run(sealed.loads(self.run.read_bytes()))
    record_rules.check_info(sealed.loads(self.info.read_bytes()))

  def test_names_with_a_nul_are_not_inside(self):
    self.assertFalse(files.is_inside("a\0b"))


if __name__ == "__main__":
  absltest.main()
