"""What pyproject.toml says is in the package is what the tree has."""

import ast
import importlib
import pathlib
import sys
import tomllib

from absl.testing import absltest

from memo_tf.cli import flagfiles

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Distributions whose name is not that of what is imported.
DISTRIBUTIONS = {
  "ai_edge_litert": "ai-edge-litert",
  "absl": "absl-py",
  "PIL": "pillow",
  "sklearn": "scikit-learn",
  "tensorflow_datasets": "tensorflow-datasets",
  "tensorflow_model_optimization": "tensorflow-model-optimization",
}
# Needed by others that do not name them, or by programs that are not imported.
NOT_IMPORTED = {"importlib_resources"}


def sources():
  return [
    path
    for root in ("memo_tf", "launchers")
    for path in (ROOT / root).rglob("*.py")
  ]


def imported_distributions() -> set[str]:
  """The third-party distributions that the package's sources import."""
  names = set()
  for path in sources():
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Import):
        names |= {alias.name.partition(".")[0] for alias in node.names}
      elif isinstance(node, ast.ImportFrom) and not node.level:
        names.add(node.module.partition(".")[0])
  names -= set(sys.stdlib_module_names) | {"memo_tf", "launchers"}
  return {DISTRIBUTIONS.get(name, name) for name in names}


def names_of(requirements: list[str]) -> set[str]:
  return {r.partition(">")[0].partition("[")[0].strip() for r in requirements}


class PackageTest(absltest.TestCase):
  def test_every_folder_of_sources_is_in_the_wheel(self):
    folders = {path.parent for path in sources()}
    expected = {".".join(p.relative_to(ROOT).parts) for p in folders}

    listed = PROJECT["tool"]["setuptools"]["packages"]

    self.assertEqual(set(listed), expected | {"memo_tf.flagfiles"})
    self.assertLen(set(listed), len(listed))
    for folder in folders:
      self.assertTrue((folder / "__init__.py").exists(), folder)

  def test_every_file_that_is_no_source_is_in_the_wheel_or_bazel_s(self):
    data = PROJECT["tool"]["setuptools"]["package-data"]
    matched = {
      path
      for package, patterns in data.items()
      if package != "memo_tf.flagfiles"
      for pattern in patterns
      for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }

    others = {
      path
      for root in ("memo_tf", "launchers")
      for path in (ROOT / root).rglob("*")
      if path.is_file()
      and path.suffix not in (".py", ".pyc", ".bzl")
      and path.name != "BUILD"
    }
    self.assertEqual(matched, others)
    self.assertEqual(data["memo_tf.flagfiles"], ["*.flags"])
    self.assertNotEmpty(list(flagfiles.shipped_dir().glob("*.flags")))

  def test_every_dependency_is_named(self):
    project = PROJECT["project"]

    found = imported_distributions()

    self.assertEqual(
      names_of(project["dependencies"]) - NOT_IMPORTED,
      found - {"ray", "tensorboard"},
    )
    self.assertContainsSubset(NOT_IMPORTED, names_of(project["dependencies"]))
    for extra in ("ray", "tensorboard"):
      self.assertEqual(
        names_of(project["optional-dependencies"][extra]), {extra}
      )

  def test_every_program_has_a_console_script(self):
    scripts = PROJECT["project"]["scripts"]

    self.assertEqual(
      set(scripts),
      {
        f"memo-tf-{name}"
        for name in (
          "launch",
          "status",
          "export",
          "merge",
          "score",
          "attribution",
          "ray",
          "slurm",
        )
      },
    )
    for target in scripts.values():
      module, _, name = target.partition(":")
      self.assertTrue(callable(getattr(importlib.import_module(module), name)))


if __name__ == "__main__":
  absltest.main()
