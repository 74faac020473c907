"""The documentation builds without a warning, and its examples run."""

import os
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


class DocsTest(absltest.TestCase):
  def build(self, builder: str) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as output:
      return subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
        + ["-b", builder, "docs", output],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
      )

  def test_pages_are_built_without_a_warning(self):
    built = self.build("html")

    self.assertEqual(built.returncode, 0, built.stdout + built.stderr)

  @pytest.mark.slow
  def test_examples_of_docstrings_give_what_they_say(self):
    built = self.build("doctest")

    self.assertEqual(built.returncode, 0, built.stdout + built.stderr)


if __name__ == "__main__":
  absltest.main()
