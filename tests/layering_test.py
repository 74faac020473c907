"""Imports point down only, in no circle; what needs no TensorFlow has none."""

import ast
import functools
import pathlib
import subprocess
import sys

from absl.testing import absltest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "memo_tf"

# The parts of memo_tf by level, lowest first. A file imports its own part and
# the levels below. Parts that are not there yet have their place already.
TABLE = (
  ("estimators", "interchange", "distillation"),
  ("analysis", "proxies"),
  ("experiment",),
  ("store", "models", "processes"),
  ("scoring", "data", "cli"),
  ("findings", "training", "compression"),
  ("report", "exporting"),
  ("running",),
  (
    "launch",
    "status",
    "export",
    "merge",
    "score",
    "attribution",
    "compare",
    "study",
  ),
)
LEVELS = {part: level for level, row in enumerate(TABLE, 1) for part in row}
WITH_TENSORFLOW = {
  "compression",
  "distillation",
  "models",
  "data",
  "training",
  "exporting",
  "running",
}
# These take flags; everything else takes a config and a directory.
WITH_FLAGS = {
  "cli",
  "launch",
  "status",
  "export",
  "merge",
  "score",
  "attribution",
}
# The only parts that a launcher may know.
FOR_LAUNCHERS = {"cli", "experiment", "store", "running"}


def sources() -> list[pathlib.Path]:
  return sorted(PACKAGE.rglob("*.py"))


def part_of(path: pathlib.Path) -> str:
  return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path: pathlib.Path) -> str:
  """The name of a file's module."""
  parts = path.relative_to(ROOT).with_suffix("").parts
  return ".".join(parts).removesuffix(".__init__")


@functools.cache
def imported_modules(path: pathlib.Path) -> set[str]:
  """Full names of everything that a file imports, in functions too."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      if node.level:
        raise AssertionError(f"{path} has a relative import")
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  return found


def import_graph() -> dict[str, set[str]]:
  """The modules of memo_tf that each module imports, in functions too."""
  modules = {module_of(path): path for path in sources()}
  graph = {}
  for module, path in modules.items():
    # What is no module is a name in one.
    names = {
      name if name in modules else name.rpartition(".")[0]
      for name in imported_modules(path)
    }
    graph[module] = names & set(modules) - {module}
  return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
  """Each circle of a graph that a search in depth meets, as a path."""
  found, finished = [], set()

  def visit(node: str, path: list[str]) -> None:
    if node in path:
      found.append([*path[path.index(node) :], node])
    elif node not in finished:
      for following in sorted(graph[node]):
        visit(following, [*path, node])
      finished.add(node)

  for node in sorted(graph):
    visit(node, [])
  return found


class LayeringTest(absltest.TestCase):
  def test_every_part_has_a_level(self):
    parts = {part_of(path) for path in sources()} - {"__init__"}

    self.assertContainsSubset(parts, LEVELS)

  def test_imports_point_down_only(self):
    wrong = []
    for path in sources():
      part = part_of(path)
      for name in imported_modules(path):
        pieces = name.split(".")
        target = pieces[1] if pieces[0] == "memo_tf" and pieces[1:] else part
        if part == "__init__" or target in (part, "__init__"):
          continue
        if target not in LEVELS or LEVELS[target] >= LEVELS[part]:
          wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    self.assertEmpty(wrong)

  def test_no_imports_in_a_circle(self):
    self.assertEmpty(circles(import_graph()))

  def test_a_circle_would_be_found(self):
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}

    self.assertEqual(circles(graph), [["b", "c", "b"]])

  def test_analysis_and_proxies_import_estimators_alone(self):
    for path in sources():
      if part_of(path) in TABLE[1]:
        parts = {
          name.split(".")[1]
          for name in imported_modules(path)
          if name.startswith("memo_tf.")
        }
        self.assertContainsSubset(
          parts, {"estimators", part_of(path)}, str(path)
        )

  def test_distillation_stands_alone(self):
    names = imported_modules(PACKAGE / "distillation.py")

    self.assertEmpty([n for n in names if n.split(".")[0] == "memo_tf"])

  def test_flags_stay_at_the_edge(self):
    users = {
      part_of(path)
      for path in sources()
      if any(n.startswith("absl.flags") for n in imported_modules(path))
    }

    self.assertContainsSubset(users, WITH_FLAGS)

  def test_launchers_know_nothing_of_learning(self):
    """They may use what needs no TensorFlow, and one another."""
    for path in (ROOT / "launchers").rglob("*.py"):
      for name in imported_modules(path):
        pieces = name.split(".")
        self.assertNotIn(pieces[0], ("tensorflow", "keras"), path)
        if pieces[0] == "memo_tf":
          self.assertIn(pieces[1], FOR_LAUNCHERS, path)

  def test_only_keras_3_is_imported(self):
    for path in sources():
      self.assertNotIn("tf.keras", path.read_text().replace("`tf.keras`", ""))
      self.assertNotIn(
        "launchers", {n.split(".")[0] for n in imported_modules(path)}
      )

  def test_parts_that_need_no_tensorflow_work_where_it_is_missing(self):
    modules = [
      module_of(path)
      for path in sources()
      if part_of(path) not in WITH_TENSORFLOW
    ] + ["launchers.ray_cluster", "launchers.slurm_array"]
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
