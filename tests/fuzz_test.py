"""Whatever a file of a study holds: one line, and no changed number goes by.

Every JSON and Parquet file of a small study is changed at random. Two kinds of
change: of its bytes, which the digests must show, and of its content with all
digests made right again, by one who means harm. After either no reader may end
in a traceback. After the first kind, whatever was read without complaint must
be what it was.
"""

import contextlib
import io
import json
import os
import pathlib
import tempfile
from typing import Any

from absl.testing import absltest
import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from memo_tf import status
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets
from memo_tf.findings import proxy_files
from memo_tf.scoring import groups
from memo_tf.store import checkup
from memo_tf.store import dataset_info
from memo_tf.store import files
from memo_tf.store import merging
from memo_tf.store import opening
from memo_tf.store import predictions
from memo_tf.store import sealed
from memo_tf.store import subset_info
from memo_tf.store import survey
from tests.support import made_up
from tests.support import mutations

SHARDS = "subsets/r0.70/00001"
RUN = f"runs/{made_up.unit(1).name}"
JSON_FILES = (
  "config.json",
  "dataset/info.json",
  f"{RUN}/run.json",
  "digests.json",
  "environment.json",
  f"{SHARDS}/info.json",
  "scores/summary.json",
  "work/launches/abc.json",
)
TABLES = ("dataset/examples.parquet", f"{RUN}/predictions.parquet")
OTHERS = ("resolved.flags", "subsets/r0.70.npy", f"{RUN}/history.jsonl")
# What a study vouches for: none of it may change unnoticed.
VOUCHED = frozenset(
  {
    "config.json",
    "dataset/info.json",
    f"{RUN}/run.json",
    "digests.json",
    "environment.json",
    f"{SHARDS}/info.json",
    "scores/summary.json",
    *TABLES,
    *OTHERS,
  }
)
EXPECTED = (errors.StudyError, errors.UsageError)


def settings(examples: int):
  return hypothesis.settings(
    max_examples=examples,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
  )


class FuzzTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    # In memory, if there is such a place: the files are flushed very often.
    self.where = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = self.enterContext(tempfile.TemporaryDirectory(dir=self.where))
    self.root = pathlib.Path(folder) / "study"
    self.config = made_up.config()
    self.directory = made_up.make(self.root, self.config)
    self.plan = plan_lib.Plan.of(self.config)
    for name, content in (
      ("scores/summary.json", [{**made_up.GROUP._asdict(), "certainty": "x"}]),
      ("work/launches/abc.json", {"host": "h", "pid": 1, "beat": 3}),
    ):
      path = self.root / name
      path.parent.mkdir(parents=True)
      path.write_text(json.dumps(content))
    environment = {"format_version": 2, "python": "3.11", "cores": 2}
    (self.root / "environment.json").write_text(sealed.dumps(environment))
    shards = self.root / SHARDS
    shards.mkdir(parents=True)
    (shards / "train-00000-of-00001.tfrecord").write_bytes(b"records")
    subset_info.write(shards, "d" * 32, made_up.masks_of(self.config)[1])
    checkup.record_digests(self.directory)
    self.whole = {
      name: (self.root / name).read_bytes()
      for name in (*JSON_FILES, *TABLES, *OTHERS)
    }
    self.times = {name: os.stat(self.root / name) for name in self.whole}
    self.baseline = self.read()
    self.assertFalse(self.is_noticed(self.baseline), self.baseline)

  @contextlib.contextmanager
  def changed(self, name: str, content: bytes, **more: bytes):
    """The study with other content of a file, and of `more` files."""
    names = {name: content, **more}
    for each, other in names.items():
      (self.root / each).write_bytes(other)
    try:
      yield
    finally:
      for each in names:
        path, found = self.root / each, self.times[each]
        path.write_bytes(self.whole[each])
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

  def read(self) -> dict[str, Any]:
    """What every reader of the study gives: numbers, or a complaint."""
    found: dict[str, Any] = {}
    for name, read in (
      ("config", lambda: opening.recorded_config(self.directory)),
      ("info", lambda: dataset_info.read_info(self.directory)),
      ("scores", self._scores),
      ("check", lambda: list(checkup.findings(self.directory, self.plan))),
      ("survey", lambda: survey.survey(self.directory, self.plan)),
      ("merge", self._merge),
      ("opened", lambda: opening.is_recorded(self.directory, self.config)),
      ("status", self._status),
    ):
      try:
        found[name] = read()
      except EXPECTED as error:
        text = str(error)
        if "\n" in text or "\0" in text or len(text) > 3000:
          raise AssertionError(f"not one line: {text[:300]!r}") from error
        found[name] = error
    return found

  def _scores(self):
    examples = predictions.read_examples(self.directory)
    result = groups.score_group(self.directory, self.plan.units, examples)
    scores = result.scores
    arrays = (
      scores.memorization,
      scores.num_in,
      scores.standard_error,
      result.stack.label_prob,
      result.stack.in_mask,
      examples["clean_label"].to_numpy(),
      examples["is_noisy"].to_numpy(),
    )
    return [np.asarray(a).tobytes() for a in arrays] + [result.parameters]

  def _merge(self):
    with tempfile.TemporaryDirectory(dir=self.where) as folder:
      into = type(self.directory)(pathlib.Path(folder) / "into")
      return merging.merge(into, [self.directory]).num_copied

  def _status(self):
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
      code = status.status(self.directory)
    return code

  def is_noticed(self, found: dict[str, Any]) -> bool:
    """Whether something was said of a change."""
    wrong = any(isinstance(value, Exception) for value in found.values())
    state = found["survey"]
    return wrong or bool(found["check"] or state.damaged or state.foreign)

  def check_bytes(self, name: str, content: bytes) -> None:
    """A file of other bytes is noticed, and until then changes no number."""
    if content == self.whole[name]:
      return
    with self.changed(name, content):
      found = self.read()
    if name in VOUCHED and not self.is_same_array(name, content):
      self.assertTrue(self.is_noticed(found), f"{name}: {content[:2000]!r}")
    for number in ("config", "info", "scores"):
      value = found[number]
      state = found["survey"]
      is_lost = isinstance(value, Exception) or state.damaged or state.foreign
      if not is_lost:
        self.assertEqual(value, self.baseline[number], f"{name}, {number}")

  def is_same_array(self, name: str, content: bytes) -> bool:
    """Whether an array is the same, with bytes behind it that nobody reads."""
    try:
      arrays = [
        np.load(io.BytesIO(each), allow_pickle=False)
        for each in (content, self.whole[name])
      ]
    except Exception:
      return False
    return subsets.same_masks(*arrays)

  def check_harm(self, name: str, content: Any) -> None:
    """A file whose digest is right is read, or refused in one line."""
    sealed_too = name not in ("scores/summary.json", "work/launches/abc.json")
    text = mutations.dumps(content)
    if sealed_too and isinstance(content, dict) and content:
      text = sealed.seal_json(text)
    with self.changed(name, text.encode("utf-8", "surrogatepass")):
      self.read()

  def check_table(self, name: str, content: bytes) -> None:
    """A table whose digest is right is read, or refused in one line."""
    path = "dataset/info.json" if "examples" in name else f"{RUN}/run.json"
    record = sealed.loads(self.whole[path])
    part = record["files" if "examples" in name else "outputs"]
    part[name.rpartition("/")[2]] = {
      "bytes": len(content),
      "digest": files.digest_bytes(content),
    }
    with self.changed(name, content, **{path: sealed.dumps(record).encode()}):
      self.read()

  def fuzz(self, examples: int) -> None:
    names = sorted(self.whole)

    @settings(examples)
    @hypothesis.given(st.data())
    def bytes_of(data):
      name = data.draw(st.sampled_from(names))
      self.check_bytes(name, data.draw(mutations.of_bytes(self.whole[name])))

    @settings(examples)
    @hypothesis.given(st.data())
    def json_of(data):
      name = data.draw(st.sampled_from(JSON_FILES))
      content = json.loads(self.whole[name])
      if isinstance(content, dict):
        content.pop(sealed.KEY, None)
      self.check_harm(name, data.draw(mutations.of_json(content)))

    @settings(examples // 4)
    @hypothesis.given(st.data())
    def table_of(data):
      name = data.draw(st.sampled_from(TABLES))
      self.check_table(name, data.draw(mutations.of_table(self.whole[name])))

    bytes_of()
    json_of()
    table_of()

  def test_a_hundred_changed_files(self):
    self.fuzz(45)

  @pytest.mark.slow
  def test_thousands_of_changed_files(self):
    self.fuzz(1500)


class OwnTableTest(absltest.TestCase):
  """The user's own Parquet files (`--proxy_files`)."""

  def fuzz(self, examples: int) -> None:
    root = pathlib.Path(self.create_tempdir().full_path)
    path = root / "x.parquet"
    import pandas as pd

    pd.DataFrame(
      {"example_id": range(20), "mine": np.arange(20.0), "mine_known": True}
    ).to_parquet(path)
    whole = path.read_bytes()

    @settings(examples)
    @hypothesis.given(
      st.one_of(mutations.of_bytes(whole), mutations.of_table(whole))
    )
    def read(content):
      path.write_bytes(content)
      try:
        proxy_files.read((str(path),), 20, ["m"])
      except ValueError as error:
        self.assertNotIn("\n", str(error))

    read()

  def test_a_few(self):
    self.fuzz(20)

  @pytest.mark.slow
  def test_many(self):
    self.fuzz(400)


if __name__ == "__main__":
  absltest.main()
