"""A study's runs as judges of an attribution, and what the words say."""

import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import errors
from memo_tf.findings import attribution
from memo_tf.report import material
from memo_tf.report.sections import attribution as section_lib
from memo_tf.running.elsewhere import study
from memo_tf.store import checkup
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import selections
from tests.support import linear_runs

NUM_RUNS, NUM_TRAIN, NUM_TEST = 40, 30, 20


def make_study(root) -> tuple[np.ndarray, np.ndarray]:
  """A study of simulated runs; its true attribution and outputs."""
  truth, in_mask, outputs = linear_runs.linear_runs(
    NUM_RUNS, NUM_TRAIN, NUM_TEST, noise=0.1
  )
  rng = np.random.default_rng(0)
  margins = rng.normal(size=in_mask.shape) + in_mask
  values = {
    "in_mask": in_mask,
    "labels": np.arange(NUM_TRAIN) % 3,
    "test_labels": np.arange(NUM_TEST) % 3,
    "margin": {"mine": margins, "other": margins},
    "test_margin": {"mine": outputs, "other": -outputs},
  }
  study.make(directory_lib.StudyDirectory(root), values, {})
  return truth, outputs


class StudyTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.root = pathlib.Path(folder, "study")
    cls.truth, cls.outputs = make_study(cls.root)
    cls.directory = directory_lib.StudyDirectory(cls.root)
    config = opening.recorded_config(cls.directory)
    cls.plan = selections.plan(cls.directory, config)

  def judges(self, **options):
    return attribution.judges_of_study(self.directory, self.plan, **options)

  def test_the_runs_are_those_of_the_group(self):
    found = self.judges(group="given-1-mine", test_ids=np.array([4, 2]))

    self.assertEqual(found.group.name, "given-1-mine/given/r0.70")
    self.assertEqual(found.outcome, "margin")
    np.testing.assert_allclose(
      found.runs.outputs, self.outputs[:, [4, 2]], rtol=1e-6
    )
    self.assertEqual(found.runs.in_mask.shape, (NUM_RUNS, NUM_TRAIN))
    np.testing.assert_array_equal(np.bincount(found.blocks), [10] * 4)

  def test_the_truth_predicts_and_its_opposite_does_not(self):
    table = self.judges(group="given-1-mine").judge(self.truth, top_k=5)
    other = self.judges(group="given-2-other").judge(self.truth, top_k=5)

    rows = table.set_index(["judged_by", "method", "measure"])["value"]
    self.assertGreater(rows["all runs", "attribution", "lds"], 0.95)
    self.assertGreater(rows["half of the runs", "difference", "lds"], 0)
    self.assertLen(rows, 2 + 6)
    text = " ".join(attribution.sentences(table))
    self.assertIn("The linear datamodeling score is 0.9", text)
    self.assertIn("predicts these runs better than the influence", text)
    self.assertNotIn("not shown.", text)
    text = " ".join(attribution.sentences(other))
    self.assertIn("That it is better than chance is not shown", text)
    self.assertIn("predicts these runs worse than", text)

  def test_a_single_test_image_has_no_interval(self):
    judges = self.judges(group="given-1-mine", test_ids=np.array([3]))
    table = judges.judge(self.truth[:, [3]], top_k=5)

    text = " ".join(attribution.sentences(table))

    self.assertRegex(text, r"score is 0\.9\d+ \(no interval\)\. That it is")
    self.assertNotIn("nan", text)

  def test_the_table_is_written_beside_the_group(self):
    judges = self.judges(group="given-1-mine", outcome="correctness")
    table = judges.judge(self.truth, top_k=5)

    path = attribution.write(self.directory, judges.group, "mine", table)

    self.assertEqual(
      path.relative_to(self.root).as_posix(),
      "findings/attribution/given-1-mine/given/r0.70/mine.csv",
    )
    again = pd.read_parquet(path.with_suffix(".parquet"))
    self.assertEqual(set(again["outcome"]), {"correctness"})
    with self.assertRaisesRegex(errors.UsageError, "no spaces"):
      attribution.write(self.directory, judges.group, "my own", table)

  def test_the_page_shows_it_and_a_damaged_table_stops_nothing(self):
    judges = self.judges(group="given-1-mine")
    table = judges.judge(self.truth, top_k=5)
    path = attribution.write(self.directory, judges.group, "shown", table)
    # Written once more with other content, it is still as recorded.
    attribution.write(self.directory, judges.group, "shown", table.iloc[:2])
    self.assertEmpty(list(checkup.findings(self.directory, self.plan)))
    shown = material.Material(
      directory=self.directory,
      config=self.plan.config,
      results=[],
      failures={},
      settings="",
      studies=(),
      compared=(),
      info={},
    )

    parts = {p["name"]: p for p in section_lib.make(shown).content["parts"]}
    self.assertLen(parts["shown"]["rows"], 2)
    self.assertIn("linear datamodeling", parts["shown"]["sentences"][0])

    path.with_suffix(".parquet").write_bytes(b"PAR1")
    parts = {p["name"]: p for p in section_lib.make(shown).content["parts"]}
    self.assertEmpty(parts["shown"]["rows"])
    page = self.root / "report" / "index.html"
    study.score(self.directory, self.plan.config)
    self.assertIn("Run memo_tf.attribution again", page.read_text())

  def test_rejects(self):
    for options, message in (
      ({}, "--group must name one group.*given-1-mine/given/r0.70.*none"),
      ({"group": "given-1"}, "--group must name one group"),
      ({"group": "given-1-mine", "outcome": "label_probability"}, "--outcome"),
      ({"group": "given-1-mine", "test_ids": np.array([20])}, "0 to 19"),
      ({"group": "given-1-mine", "test_ids": np.array([1, 1])}, "different"),
    ):
      with self.assertRaisesRegex(errors.UsageError, message):
        self.judges(**options)


if __name__ == "__main__":
  absltest.main()
