"""Lets absltest's classes run under pytest; the folder of shared studies."""

import shutil

from absl import flags

from tests.support import shared_studies


def pytest_configure(config):
  # absltest asks --test_tmpdir; pytest parses no absl flags.
  flags.FLAGS.mark_as_parsed()
  if not hasattr(config, "workerinput"):  # once: in the process that starts all
    root = shared_studies.make_root()
    config.add_cleanup(lambda: shutil.rmtree(root, ignore_errors=True))
