"""One device, two devices, two processes: the same steps."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest

from memo_tf.experiment import errors as errors_lib
from memo_tf.experiment import work_units
from memo_tf.running import peers
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from tests.support import small_study

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = None
FOUND: dict[str, list[dict]] = {}


def tf_configs(count: int) -> list[str]:
  """TF_CONFIG of processes that find each other on free ports."""
  sockets = [socket.socket() for _ in range(count)]
  for one in sockets:
    one.bind(("localhost", 0))
  hosts = [f"localhost:{one.getsockname()[1]}" for one in sockets]
  for one in sockets:
    one.close()
  return [
    json.dumps(
      {
        "cluster": {"worker": hosts},
        "task": {"type": "worker", "index": index},
      }
    )
    for index in range(count)
  ]


def trained(strategy: str) -> list[dict]:
  """What each process of a strategy has after some steps; run once."""
  if strategy not in FOUND:
    FOUND[strategy] = [
      dict(np.load(FOLDER / f"{strategy}{index}.npz"))
      for index in _run_program(strategy)
    ]
  return FOUND[strategy]


def _run_program(strategy: str) -> list[str]:
  """Returns the indices of the strategy's processes, "" for a lone one."""
  configs = tf_configs(2) if strategy == "multi_worker" else [""]
  processes = [
    subprocess.Popen(
      [
        sys.executable,
        "-m",
        "tests.whole.replica_program",
        strategy,
        str(FOLDER),
      ],
      cwd=ROOT,
      env={**os.environ, **({"TF_CONFIG": text} if text else {})},
      stderr=subprocess.PIPE,
      text=True,
    )
    for text in configs
  ]
  errors = [process.communicate(timeout=240)[1] for process in processes]
  if any(process.returncode for process in processes):
    raise RuntimeError("\n".join(error[-2000:] for error in errors))
  return [str(i) if text else "" for i, text in enumerate(configs)]


def setUpModule():
  global FOLDER
  temporary = tempfile.TemporaryDirectory()
  unittest.addModuleCleanup(temporary.cleanup)
  FOLDER = pathlib.Path(temporary.name)


def weights(state: dict) -> list[str]:
  return [name for name in state if name.startswith("weight_")]


class ReplicasTest(parameterized.TestCase):
  @parameterized.parameters("mirrored", "multi_worker")
  @pytest.mark.slow  # below: parameterized tests do not keep marks from above
  def test_gradients_of_the_first_step(self, strategy):
    (one,) = trained("one_device")
    several = trained(strategy)

    self.assertEqual(one["replicas"], 1)
    for state in several:
      self.assertEqual(state["replicas"], 2)
      for name in weights(one):
        # Without momentum yet: a multiple of the gradient.
        expected = one[f"first_{name}"] - one[f"start_{name}"]
        found = state[f"first_{name}"] - state[f"start_{name}"]
        error = np.linalg.norm(found - expected)
        self.assertLessEqual(error, 1e-9 * np.linalg.norm(expected) + 1e-12)

  @parameterized.parameters("mirrored", "multi_worker")
  def test_weights_after_20_steps_in_float64(self, strategy):
    (one,) = trained("one_device")

    for state in trained(strategy):
      for name in weights(one):
        self.assertEqual(state[name].dtype, np.float64)
        np.testing.assert_allclose(state[name], one[name], rtol=0, atol=1e-9)
      np.testing.assert_allclose(state["loss"], one["loss"], rtol=1e-6)
      self.assertEqual(state["accuracy"], one["accuracy"])
      np.testing.assert_allclose(state["logits"], one["logits"], atol=1e-5)

  @pytest.mark.slow
  def test_each_device_may_normalize_its_own_share(self):
    (one,) = trained("one_device")
    trained("mirrored")  # whose program goes on without synchronization
    two = np.load(FOLDER / "unsynchronized.npz")

    apart = max(np.abs(two[name] - one[name]).max() for name in weights(one))
    self.assertGreater(apart, 1e-4)
    self.assertTrue(np.isfinite(two["logits"]).all())


class TfConfigTest(absltest.TestCase):
  def is_first(self, cluster: dict, kind: str, index: int) -> bool:
    text = json.dumps(
      {"cluster": cluster, "task": {"type": kind, "index": index}}
    )
    os.environ["TF_CONFIG"] = text
    self.addCleanup(os.environ.pop, "TF_CONFIG", None)
    return peers.is_first()

  def test_the_chief_or_worker_0_writes(self):
    workers = {"worker": ["a:1", "b:1"]}
    self.assertTrue(self.is_first(workers, "worker", 0))
    self.assertFalse(self.is_first(workers, "worker", 1))
    with_chief = {**workers, "chief": ["c:1"]}
    self.assertTrue(self.is_first(with_chief, "chief", 0))
    self.assertFalse(self.is_first(with_chief, "worker", 0))

  def test_a_wrong_tf_config_is_one_clear_line(self):
    for cluster, kind, index in (
      ({"worker": ["a:1"]}, "worker", 1),
      ({"worker": ["a:1"]}, "chief", 0),
      ({"worker": ["a:1"], "ps": ["b:1"]}, "ps", 0),
    ):
      with self.assertRaisesRegex(errors_lib.UsageError, "TF_CONFIG"):
        self.is_first(cluster, kind, index)
    os.environ.pop("TF_CONFIG")
    with self.assertRaisesRegex(errors_lib.UsageError, "TF_CONFIG=''"):
      peers.is_first()


@pytest.mark.slow
class StudyTest(absltest.TestCase):
  """A small study under each strategy: a minute."""

  def outcome(self, folder) -> predictions.RunStack:
    directory = directory_lib.StudyDirectory(folder)
    units = [
      work_units.WorkUnit(small_study.MODEL, "one_hot", "r0.70", index)
      for index in range(10)
    ]
    return predictions.stack_runs(directory, units)

  def test_studies_agree_and_every_example_is_predicted_once(self):
    root = pathlib.Path(self.create_tempdir().full_path)
    recipe = {"synchronized_batch_norm": "true", "epochs": 8}
    done = small_study.launch(root / "one_device", **recipe)
    self.assertEqual(done.returncode, 0, done.stderr)
    done = small_study.launch(
      root / "mirrored",
      strategy="mirrored",
      cpu_devices=2,
      workers=1,
      **recipe,
    )
    self.assertEqual(done.returncode, 0, done.stderr)
    arguments = small_study.command(
      root / "multi_worker", strategy="multi_worker", **recipe
    )
    processes = [
      subprocess.Popen(
        arguments,
        cwd=ROOT,
        env={**small_study.environment(), "TF_CONFIG": text},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
      )
      for text in tf_configs(2)
    ]
    for process in processes:
      output = process.communicate(timeout=280)[0]
      self.assertEqual(process.returncode, 0, output)

    stacks = {
      name: self.outcome(root / name)
      for name in ("one_device", "mirrored", "multi_worker")
    }
    base = stacks.pop("one_device")
    for name, stack in stacks.items():
      np.testing.assert_array_equal(stack.in_mask, base.in_mask, name)
      self.assertEqual(stack.correct.shape, (10, 1500))
      # Rounding differs and grows; what is learned does not.
      inside, outside = stack.in_mask, ~stack.in_mask
      for part in (inside, outside):
        self.assertAlmostEqual(
          stack.correct[part].mean(), base.correct[part].mean(), delta=0.02
        )


if __name__ == "__main__":
  absltest.main()
