"""Lets pytest run absltest's classes, in an order that suits two cores."""

import pathlib
import shutil

from absl import flags
import pytest

from tests.support import shared_studies


def pytest_configure(config: pytest.Config) -> None:
  # absltest asks --test_tmpdir; pytest parses no absl flags.
  flags.FLAGS.mark_as_parsed()
  if not hasattr(config, "workerinput"):  # once: in the process that starts all
    root = shared_studies.make_root()
    config.add_cleanup(lambda: shutil.rmtree(root, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """Puts whole launches first, so that no long file is left for the end."""
  folder = pathlib.Path(__file__).parent
  long = (folder / "whole", folder / "faults")
  items.sort(key=lambda item: item.path.parent not in long)
