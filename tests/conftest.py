"""Lets absltest's classes run under pytest."""

from absl import flags


def pytest_configure(config):
  del config
  # absltest asks --test_tmpdir; pytest parses no absl flags.
  flags.FLAGS.mark_as_parsed()
