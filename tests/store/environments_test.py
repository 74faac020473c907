"""A change of code, TensorFlow or machine in mid-study is noticed."""

import contextlib
import dataclasses
import io
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

import memo_tf
from memo_tf import status
from memo_tf.experiment import errors
from memo_tf.store import environments
from tests.support import made_up

NOW = environments.current()


def changed(**parts) -> dict:
  """This environment with other versions or another machine."""
  return {
    **NOW,
    "versions": NOW["versions"] | parts.get("versions", {}),
    "machine": NOW["machine"] | parts.get("machine", {}),
  }


class EnvironmentsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = made_up.config()
    self.directory = made_up.make(root / "a study", self.config)

  def test_the_history_keeps_what_is_distinct_in_order(self):
    other = changed(versions={"tensorflow": "9.9"})
    for environment, has_trained in (
      (NOW, False),
      (other, True),
      (NOW, True),
      (other, False),
    ):
      environments.note(self.directory, environment, has_trained=has_trained)

    found = environments.history(self.directory)

    self.assertEqual(
      [e["versions"] for e in found], [NOW["versions"], other["versions"]]
    )
    self.assertEqual([e["has_trained"] for e in found], [True, True])
    self.assertIn("first_seen", found[0])

  def test_nothing_changed(self):
    environments.note(self.directory, NOW, has_trained=True)

    self.assertIsNone(environments.change(self.directory, NOW))

  @parameterized.parameters(
    ({"versions": {"memo_tf": "9.9"}}, "memo_tf .*, now 9.9"),
    ({"versions": {"training_code": "f" * 32}}, "training code .*, now ffffff"),
    ({"versions": {"tensorflow": "9.9"}}, "TensorFlow .*, now 9.9"),
    ({"machine": {"cpu": "another"}}, "machine .*, now another"),
    ({"machine": {"isa": "AMX"}}, "machine .* AMX"),
    ({"machine": {"gpu": "a GPU"}}, "machine .*, now a GPU"),
  )
  def test_a_change_is_named(self, parts, words):
    environments.note(self.directory, NOW, has_trained=True)

    text = environments.check_change(
      self.directory, changed(**parts), self.config
    )

    self.assertRegex(text, f"trained in another environment: {words}")

  def test_a_mixture_is_named(self):
    environments.note(self.directory, NOW, has_trained=True)
    self.assertIsNone(environments.mixture(self.directory))

    other = changed(versions={"tensorflow": "9.9"})
    environments.note(self.directory, other, has_trained=True)

    self.assertRegex(
      environments.mixture(self.directory),
      "trained in 2 environments.*: TensorFlow .*, 9.9.$",
    )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
      status.status(self.directory)
    self.assertIn("trained in 2 environments", printed.getvalue())

  def test_stop_refuses_it(self):
    environments.note(self.directory, NOW, has_trained=True)
    running = dataclasses.replace(self.config.running, on_version_change="stop")
    config = dataclasses.replace(self.config, running=running)

    with self.assertRaisesRegex(errors.UsageError, "on_version_change=stop"):
      environments.check_change(
        self.directory, changed(versions={"tensorflow": "9.9"}), config
      )
    self.assertIsNone(environments.check_change(self.directory, NOW, config))

  def test_a_machine_that_only_prepares_is_no_change(self):
    other = changed(machine={"cpu": "a login node"})
    environments.note(self.directory, other, has_trained=False)

    self.assertIsNone(environments.change(self.directory, NOW))

    environments.note(self.directory, NOW, has_trained=True)
    self.assertIsNone(
      environments.change(self.directory, other, same_machine=False)
    )

  def test_without_runs_there_is_nothing_to_mix(self):
    root = self.directory.root.parent / "empty"
    directory = made_up.make(root, self.config, runs=())
    environments.note(
      directory, changed(versions={"tensorflow": "9.9"}), has_trained=True
    )

    self.assertIsNone(environments.change(directory, NOW))

  def test_every_training_module_is_part_of_the_digest(self):
    package = pathlib.Path(memo_tf.__file__).parent
    for name in environments.TRAINING_CODE:
      self.assertTrue((package / name).exists(), name)

  def test_kinds_of_older_records(self):
    record = {
      "versions": {"tensorflow": "2.21.0"},
      "machine": {"cpu": "c", "gpu": ""},
    }

    self.assertEqual(
      environments.kind(record),
      {
        "memo_tf": "unknown",
        "training code": "unknown",
        "TensorFlow": "2.21.0",
        "machine": "c",
      },
    )


if __name__ == "__main__":
  absltest.main()
