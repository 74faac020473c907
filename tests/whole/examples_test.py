"""The examples of the documents, run as they stand."""

import os
import pathlib
import subprocess
import sys

from absl.testing import absltest
import pandas as pd
import pytest

from memo_tf.experiment import plan as plan_lib
from memo_tf.store import checkup
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from tests.support import small_study

DOCS = small_study.ROOT / "docs"


@pytest.mark.slow
class ExamplesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def check(self, root: pathlib.Path, num_runs: int) -> None:
    """The study is whole, and nothing in it is damaged."""
    directory = directory_lib.StudyDirectory(root)
    plan = plan_lib.Plan.of(opening.recorded_config(directory))
    self.assertLen(plan.units, num_runs)
    self.assertEmpty(list(checkup.findings(directory, plan)))
    self.assertTrue(directory.report_path.exists())

  def test_the_notebook_of_own_data(self):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(DOCS / "own_study.ipynb", 4)
    code = [c.source for c in notebook.cells if c.cell_type == "code"]
    lines = [x for text in code[1:] for x in text.splitlines() if x.strip()]
    self.assertLess(len(lines), 25)
    before = [c.outputs for c in notebook.cells if c.cell_type == "code"]
    self.assertTrue(all(before), "commit it with its outputs")
    os.environ.update(small_study.environment())

    client = nbclient.NotebookClient(
      notebook, timeout=900, resources={"metadata": {"path": self.folder}}
    )
    client.execute()

    self.check(self.folder / "studies/own_data", 20)
    kinds = {
      key for o in notebook.cells[6].outputs for key in o.get("data", ())
    }
    self.assertIn("image/png", kinds)

  def test_the_example_of_pytorch(self):
    pytest.importorskip("torch")

    result = subprocess.run(
      [sys.executable, str(DOCS / "pytorch_example.py")],
      cwd=self.folder,
      env=small_study.environment(),
      capture_output=True,
      text=True,
      check=False,
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    root = self.folder / "studies/pytorch"
    self.check(root, 20)
    scores = pd.read_parquet(
      root / "scores/given-mlp/given/r0.70/memorization.parquet"
    )
    self.assertGreater(scores["in_accuracy"].mean(), 0.98)
    self.assertBetween(scores["memorization"].mean(), 0.005, 0.06)
    text = (DOCS / "pytorch_example.py").read_text()
    code = [
      x
      for x in text.splitlines()
      if x.strip() and not x.startswith(("#", '"""'))
    ]
    self.assertLessEqual(len(code), 25)


if __name__ == "__main__":
  absltest.main()
