"""The blocks of the README, run as they stand."""

import pathlib
import re
import shlex
import subprocess
import sys

from absl.testing import absltest
import numpy as np
from PIL import Image
import pytest

from tests.support import small_study

README = (small_study.ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
  """The code blocks of a language; "" for commands."""
  found = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", README)
  return [block for name, block in found if name == language]


class ReadmeTest(absltest.TestCase):
  def test_it_is_short_and_its_links_lead_somewhere(self):
    self.assertLessEqual(len(README.splitlines()), 150)
    for link in re.findall(r"\]\(([^)#]+)\)", README):
      self.assertTrue((small_study.ROOT / link).exists(), link)

  @pytest.mark.slow
  def test_the_python_blocks_run_one_after_the_other(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    model, program = blocks("python")
    (folder / "my_models.py").write_text(model)

    printed = self.run_here(folder, [sys.executable, "-c", program])

    self.assertIn("memorization", printed)
    self.assertTrue((folder / "studies/mine/report/index.html").exists())

  @pytest.mark.slow
  def test_the_commands_run(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    rng = np.random.default_rng(0)
    for number in range(120):
      path = folder / f"photos/{'cat' if number % 2 else 'dog'}/{number}.png"
      path.parent.mkdir(parents=True, exist_ok=True)
      Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    first, _, photos = (block.strip() for block in blocks(""))
    # The environment is there; the programs are the same.
    for command, more in ((first.split(" && ")[-1], "--smoke"), (photos, "")):
      words = shlex.split(f"{command} {more}")
      self.assertEqual(words[0], ".venv/bin/python")
      self.run_here(folder, [sys.executable, *words[1:]])

    pages = sorted(folder.glob("studies/*/report/index.html"))
    self.assertLen(pages, 2)

  def run_here(self, folder: pathlib.Path, command: list[str]) -> str:
    """Runs a command in a folder; returns what it printed."""
    result = subprocess.run(
      command,
      cwd=folder,
      env=small_study.environment() | {"PYTHONPATH": str(small_study.ROOT)},
      capture_output=True,
      text=True,
      check=False,
    )
    self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
    return result.stdout


if __name__ == "__main__":
  absltest.main()
