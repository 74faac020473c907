"""Imports point down only; what needs no TensorFlow imports none."""

import ast
import pathlib
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "memo_tf"

# The level of each part of memo_tf; a file may import its own level and below.
LEVELS = {
  "estimators": 0,
  "proxies": 0,
  "analysis": 0,
  "interchange": 0,
  "experiment": 1,
  "data": 2,
  "models": 2,
  "distillation": 2,
  "training": 3,
  "exporting": 3,
  "score_files": 4,
  "scoring": 4,
  "size_study": 4,
  "proxy_findings": 4,
  "proxy_scoring": 4,
  "report": 4,
  "results": 4,
  "running": 4,
  "launch_flags": 4,
  "merging": 4,
  "launch": 5,
  "status": 5,
  "export": 5,
  "merge": 5,
}
# Parts that must work where TensorFlow is missing.
WITHOUT_TENSORFLOW = (
  "estimators",
  "analysis",
  "interchange",
  "experiment",
  "proxies",
  "score_files",
  "scoring",
  "size_study",
  "proxy_findings",
  "proxy_scoring",
  "report",
)
# These take no flags: they take a config and a directory.
WITH_FLAGS = ("launch_flags", "launch", "status", "export", "merge")
# (file, import) pairs that the table would forbid, each with its reason. None.
EXCEPTIONS: set[tuple[str, str]] = set()


def sources() -> list[pathlib.Path]:
  return sorted(PACKAGE.rglob("*.py"))


def part_of(path: pathlib.Path) -> str:
  return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: pathlib.Path) -> set[str]:
  """Full names of everything that a file imports, wherever in it."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      if node.level:
        raise AssertionError(f"{path} has a relative import")
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  return found


class LayeringTest(parameterized.TestCase):
  def test_every_part_has_a_level(self):
    parts = {part_of(path) for path in sources()} - {"__init__"}

    self.assertEqual(parts, set(LEVELS))

  def test_imports_point_down_only(self):
    wrong = []
    for path in sources():
      part = part_of(path)
      for name in imported_modules(path):
        pieces = name.split(".")
        if pieces[0] != "memo_tf" or part == "__init__" or len(pieces) < 2:
          continue
        target = pieces[1]
        if target not in LEVELS:
          continue
        level_zero = LEVELS[part] == 0 and target != part
        if (LEVELS[target] > LEVELS[part] or level_zero) and (
          str(path.relative_to(ROOT)),
          name,
        ) not in EXCEPTIONS:
          wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    self.assertEmpty(wrong)

  def test_distillation_stands_alone(self):
    names = imported_modules(PACKAGE / "distillation.py")

    self.assertEmpty([n for n in names if n.split(".")[0] == "memo_tf"])

  def test_flags_stay_at_the_edge(self):
    users = {
      part_of(path)
      for path in sources()
      if any(n.startswith("absl.flags") for n in imported_modules(path))
    }

    self.assertEqual(users, set(WITH_FLAGS))

  def test_launchers_know_nothing_of_learning(self):
    """They may use what needs no TensorFlow, and one another."""
    for path in (ROOT / "launchers").rglob("*.py"):
      for name in imported_modules(path):
        pieces = name.split(".")
        self.assertNotIn(pieces[0], ("tensorflow", "keras"), path)
        if pieces[0] == "memo_tf":
          self.assertIn(
            pieces[1],
            ("experiment", "running", "launch", "launch_flags"),
            path,
          )

  def test_only_keras_3_is_imported(self):
    for path in sources():
      self.assertNotIn("tf.keras", path.read_text().replace("`tf.keras`", ""))
      self.assertNotIn(
        "launchers", {n.split(".")[0] for n in imported_modules(path)}
      )

  def test_parts_that_need_no_tensorflow_work_where_it_is_missing(self):
    modules = [
      ".".join(path.relative_to(ROOT).with_suffix("").parts)
      for path in sources()
      if part_of(path) in WITHOUT_TENSORFLOW
    ] + ["memo_tf", "memo_tf.launch", "memo_tf.status", "memo_tf.export"]
    modules += ["launchers.ray_cluster", "launchers.slurm_array"]
    modules += ["memo_tf.merge"]
    program = f"""
import importlib, sys
class Blocked:
  def find_spec(self, name, path=None, target=None):
    if name.split(".")[0] in ("tensorflow", "keras", "tf_keras"):
      raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Blocked())
for name in {modules!r}:
  importlib.import_module(name)
"""
    result = subprocess.run(
      [sys.executable, "-c", program],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=False,
    )

    self.assertEqual(result.returncode, 0, result.stderr)

  def test_no_file_is_called_after_nothing(self):
    for path in sources():
      self.assertNotIn(path.stem, ("utils", "helpers", "common", "misc"))

  def test_spelling(self):
    other = "memori" + "sation"
    for folder in (
      "memo_tf",
      "launchers",
      "flags",
      "tests",
      "docs",
      "benchmarks",
    ):
      for path in (ROOT / folder).rglob("*"):
        if path.suffix in (".py", ".flags", ".md", ".html"):
          self.assertNotIn(other, path.read_text().lower(), path)


class BazelTest(absltest.TestCase):
  def test_every_part_is_in_the_build_file(self):
    """BUILD syntax parses as Python."""
    tree = ast.parse((PACKAGE / "BUILD").read_text())
    levels = next(
      ast.literal_eval(node.value)
      for node in tree.body
      if isinstance(node, ast.Assign)
    )
    parts = {part_of(path) for path in sources()} - {"__init__"}

    self.assertCountEqual([part for row in levels for part in row], parts)

  def test_workspace_marks_the_root(self):
    self.assertIn(
      'workspace(name = "memo_tf")', (ROOT / "WORKSPACE").read_text()
    )


class FlagfilesTest(absltest.TestCase):
  def test_headers_and_no_trailing_comments(self):
    files = list((ROOT / "flags").glob("*.flags"))
    self.assertNotEmpty(files)
    for path in files:
      text = path.read_text()
      for word in ("# Run:", "# Cost:", "# Result:"):
        self.assertIn(word, text, path)
      for line in text.splitlines():
        if line.startswith("-"):
          self.assertNotIn("#", line, path)


if __name__ == "__main__":
  absltest.main()
