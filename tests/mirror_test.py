"""Every module has a test file at its place, or another that covers it."""

import ast
from collections.abc import Iterable
import functools
import math
import pathlib

from absl.testing import absltest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("memo_tf", "launchers")

# Modules without a test file at their place, by the file that covers them
# (a path in tests/). A file covers what it imports, what that imports itself,
# and what the programs that it starts consist of.
COVERED = {
  "compression/compressor_test.py": """
    memo_tf.compression.child.clustering
    memo_tf.compression.child.program
    memo_tf.compression.child.pruning
    memo_tf.compression.child.quantization
    memo_tf.compression.child.rebuilding
    memo_tf.compression.child.training
    memo_tf.compression.counted
    memo_tf.compression.litert
  """,
  "analysis/proxies/tables_test.py": """
    memo_tf.analysis.proxies.criteria
    memo_tf.analysis.proxies.trends
    memo_tf.analysis.proxies.verdicts
  """,
  "cli/flags_test.py": "memo_tf.experiment.flagfile",
  "data/sources/tfds_test.py": "memo_tf.data.sources.tfds_features",
  "data/stored/shards_test.py": "memo_tf.store.dataset_info",
  "data/stored/writer_test.py": """
    memo_tf.data.sources.tfds_stream
    memo_tf.data.stored.conversion
  """,
  "data/planted_test.py": "memo_tf.data.planted_images",
  "data/sources/image_source_test.py": "memo_tf.data.sources.image_stream",
  "estimators/golden_test.py": "memo_tf.estimators.outcomes",
  "estimators/influence_test.py": """
    memo_tf.estimators.influence_products
    memo_tf.estimators.influence_tally
    memo_tf.estimators.q_values
  """,
  "estimators/reliability_test.py": "memo_tf.estimators.split_halves",
  "experiment/recipes_test.py": """
    memo_tf.experiment.recipes.compressed
    memo_tf.experiment.recipes.distilled
    memo_tf.experiment.recipes.epochs
    memo_tf.experiment.recipes.frozen
    memo_tf.experiment.recipes.given
    memo_tf.experiment.recipes.one_hot
    memo_tf.experiment.recipes.recipe
    memo_tf.experiment.recipes.smoothed
  """,
  "experiment/config_test.py": """
    memo_tf.experiment.config_rules
    memo_tf.experiment.settings.data
    memo_tf.experiment.settings.field
    memo_tf.experiment.settings.models
    memo_tf.experiment.settings.outputs
    memo_tf.experiment.settings.proxies
    memo_tf.experiment.settings.removal
    memo_tf.experiment.settings.running
    memo_tf.experiment.settings.subsets
    memo_tf.experiment.settings.training
  """,
  "findings/distillation_test.py": """
    memo_tf.findings.compared_recipes
    memo_tf.report.sections.distillation
  """,
  "findings/agreement_test.py": "memo_tf.report.sections.agreement",
  "findings/epochs_test.py": """
    memo_tf.findings.epoch_runs
    memo_tf.findings.epoch_sentences
    memo_tf.report.sections.epochs
  """,
  "findings/frozen_test.py": "memo_tf.report.sections.frozen",
  "findings/attribution_test.py": "memo_tf.report.sections.attribution",
  "findings/ratios_test.py": "memo_tf.report.sections.ratios",
  "findings/removal_test.py": "memo_tf.report.sections.removal",
  "findings/compression_test.py": """
    memo_tf.findings.compression_sentences
    memo_tf.report.sections.compression
  """,
  "findings/sizes_test.py": """
    memo_tf.findings.table_files
    memo_tf.report.sections.sizes
  """,
  "findings/proxy_values_test.py": "memo_tf.store.run_records",
  "fuzz_test.py": """
    memo_tf.store.arrays
    memo_tf.store.table_rules
  """,
  "interchange/files_test.py": """
    memo_tf.interchange.aux_arrays
    memo_tf.interchange.cscores
    memo_tf.interchange.datamodels
    memo_tf.interchange.feldman_zhang
    memo_tf.interchange.lira
  """,
  "launchers/contract_test.py": """
    launchers.ray_cluster
    launchers.ray_tasks
    launchers.slurm_array
    launchers.slurm_queue
    launchers.watch
  """,
  "launchers/dry_run_test.py": """
    launchers.slurm_plan
    launchers.slurm_script
  """,
  "proxies/neighbours_test.py": """
    memo_tf.proxies.all_pairs
    memo_tf.proxies.space
  """,
  "report/charts_test.py": "memo_tf.report.picking",
  "report/worklist_test.py": "memo_tf.report.suspects",
  "report/page_test.py": """
    memo_tf.report.answer
    memo_tf.report.closing
    memo_tf.report.material
    memo_tf.report.sections.certainty
    memo_tf.report.sections.classes
    memo_tf.report.sections.influence
    memo_tf.report.sections.method
    memo_tf.report.sections.planted
    memo_tf.report.sections.section
  """,
  "store/old_format_test.py": "memo_tf.store.opening",
  "running/unit/recording_test.py": """
    memo_tf.experiment.run_outputs
    memo_tf.running.unit.machine
    memo_tf.running.unit.run
    memo_tf.running.unit.session
    memo_tf.training.recording.dynamics
  """,
  "running/unit/frozen_test.py": "memo_tf.models.last_layer",
  "running/worker_pool_test.py": """
    memo_tf.processes.child
    memo_tf.processes.environment
  """,
  "running/elsewhere/checks_test.py": "memo_tf.running.elsewhere.given",
  "scoring/study_test.py": """
    memo_tf.experiment.errors
    memo_tf.scoring.files
    memo_tf.scoring.groups
    memo_tf.scoring.run_figures
    memo_tf.scoring.stuck_runs
    memo_tf.scoring.summary
  """,
  "store/checkup_test.py": """
    memo_tf.status
    memo_tf.store.subset_info
  """,
  "store/directory_test.py": "memo_tf.store.files",
  "store/merging_test.py": "memo_tf.merge",
  "store/survey_test.py": """
    memo_tf.store.origins
    memo_tf.store.time_left
  """,
  "training/compilation_test.py": "memo_tf.models.precision",
  "training/families_test.py": """
    memo_tf.training.distribution
  """,
  "training/recording/gradients_test.py": """
    memo_tf.training.recording.batches
    memo_tf.training.recording.input_gradients
    memo_tf.training.recording.snapshots
  """,
  "models/cifar_resnet_test.py": "memo_tf.models.named_layers",
  "models/own_test.py": "memo_tf.models.own_imports",
  "training/trainer_test.py": """
    memo_tf.training.initialization
    memo_tf.training.optimizer
  """,
  "training/recording/representations_test.py": "memo_tf.running.unit.traced",
  "training/recording/second_split_test.py": "memo_tf.training.epochs",
  "training/streaming_test.py": "memo_tf.training.inference",
  "whole/compressed_study_test.py": """
    memo_tf.exporting.export_int8
    memo_tf.running.unit.compressed
  """,
  "whole/distilled_study_test.py": "memo_tf.running.unit.teachers",
  "whole/export_test.py": """
    memo_tf.export
    memo_tf.exporting.export_run
    memo_tf.exporting.saved_model
    memo_tf.training.kept_weights
  """,
  "whole/launch_test.py": """
    memo_tf.launch
    memo_tf.processes.answering
    memo_tf.running.conductor
    memo_tf.running.planning
    memo_tf.running.results
    memo_tf.running.rounds
    memo_tf.running.worker
  """,
  "whole/proxy_study_test.py": """
    memo_tf.findings.proxies
    memo_tf.report.sections.proxies
  """,
  "whole/replicas_test.py": "memo_tf.running.peers",
  "whole/streamed_study_test.py": "memo_tf.experiment.storage",
}


def path_of(module: str) -> pathlib.Path | None:
  """The file of a module or package of this repository, or None."""
  path = ROOT.joinpath(*module.split("."))
  for candidate in (path.with_suffix(".py"), path / "__init__.py"):
    if candidate.exists():
      return candidate
  return None


def mirrored(module: str) -> pathlib.Path:
  """Where the test of a module is by default."""
  parts = module.removeprefix("memo_tf.").split(".")
  return ROOT.joinpath("tests", *parts[:-1], f"{parts[-1]}_test.py")


def modules() -> list[str]:
  return [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name != "__init__.py"
  ]


@functools.cache
def named_in(path: pathlib.Path) -> set[str]:
  """Modules of this repository that a file imports, wherever it does so."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      found.add(node.module)
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  return {
    name
    for name in found
    if name.split(".")[0] in (*PACKAGES, "tests") and path_of(name)
  }


def programs_of(path: pathlib.Path) -> set[str]:
  """Programs of this repository that a test file starts or loads by name."""
  text = path.read_text()
  found = {
    f"memo_tf.{n}" for n in ("launch", "status", "export", "merge", "score")
  }
  found |= {"launchers.ray_cluster", "launchers.slurm_array"}
  named = {n for n in found if n in text or f'"{n.split(".")[1]}"' in text}
  if "compressor_lib.PROGRAM" in text or "Compressor(" in text:
    named.add("memo_tf.compression.child.program")
  if "small_study." in text or "shared_studies." in text:
    named.add("memo_tf.launch")
  if "memo_tf.launch" in named:  # which starts it
    named.add("memo_tf.running.worker")
  return named


def reached_from(start: set[str], steps: float) -> set[str]:
  """Modules within so many imports of some.

  What a package's `__init__.py` imports counts as the package itself.
  """
  found, edge = set(), set(start)
  while edge:
    found |= edge
    edge = imported_by(m for m in edge if path_of(m).stem == "__init__") - found
    if not edge and steps > 0:
      steps -= 1
      edge = imported_by(found) - found
  return found


def imported_by(names: Iterable[str]) -> set[str]:
  return {found for name in names for found in named_in(path_of(name))}


class MirrorTest(absltest.TestCase):
  def test_each_module_has_a_test_file(self):
    covered = [m for text in COVERED.values() for m in text.split()]
    self.assertLen(set(covered), len(covered), "a module is listed twice")
    missing = {m for m in modules() if not mirrored(m).exists()}

    self.assertEmpty(
      missing - set(covered),
      "write a test file at the module's place, or name in COVERED the one "
      "that covers it",
    )
    self.assertEmpty(
      set(covered) - missing,
      "no longer there, or with a test file at its place: remove it from "
      "COVERED",
    )

  def test_the_named_file_covers_the_module(self):
    for name, text in COVERED.items():
      path = ROOT / "tests" / name
      direct = named_in(path)
      reached = reached_from({n for n in direct if n[:5] != "tests"}, 1)
      reached |= reached_from(programs_of(path), math.inf)
      with self.subTest(name):
        self.assertContainsSubset(text.split(), reached)

  def test_no_test_file_is_left_behind(self):
    """Its folder mirrors a package, or is one of those for whole launches."""
    folders = {mirrored(module).parent for module in modules()}
    folders |= {ROOT / "tests" / n for n in ("whole", "faults", "support")}

    for path in (ROOT / "tests").rglob("*_test.py"):
      self.assertIn(path.parent, folders)


if __name__ == "__main__":
  absltest.main()
