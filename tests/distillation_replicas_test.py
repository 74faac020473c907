"""One replica and two give the same update and the same figures.

Two logical CPUs can only be made before TensorFlow starts, so each strategy
works in a process of its own.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
# name: (alpha, label loss, examples, of which some weigh 0)
CASES = {
  "pure": (1.0, "None", 16, False),
  "name": (0.5, "'sparse_categorical_crossentropy'", 16, False),
  "function": (
    0.5,
    "lambda y, p: keras.losses.sparse_categorical_crossentropy("
    "y, p, from_logits=True)",
    16,
    False,
  ),
  "object": (
    0.5,
    "keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
    16,
    False,
  ),
  "sum": (
    0.5,
    "keras.losses.SparseCategoricalCrossentropy("
    "from_logits=True, reduction='sum')",
    16,
    False,
  ),
  "weights": (0.5, "'sparse_categorical_crossentropy'", 16, True),
  # 8 + 5, of which the replicas get 3 and 2: no half is like the other.
  "uneven": (0.5, "'sparse_categorical_crossentropy'", 13, True),
  "single": (0.5, "'sparse_categorical_crossentropy'", 9, False),
  "labels_only": (0.0, "'sparse_categorical_crossentropy'", 13, False),
}
PROGRAM = """
import json, sys
import keras, numpy as np, tensorflow as tf
from memo_tf import distillation
replicas, path, cases = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
  cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
devices = ["/cpu:0", "/cpu:1"][:replicas]
strategy = tf.distribute.MirroredStrategy(
  devices, cross_device_ops=tf.distribute.ReductionToOneDevice())
rng = np.random.default_rng(0)
images = rng.normal(size=(16, 5)).astype("float32")
labels = rng.integers(0, 4, 16)
weights = np.tile([1.0, 0.0, 2.0, 0.5], 4).astype("float32")
def model(seed):
  keras.utils.set_random_seed(seed)
  l2 = keras.regularizers.L2(0.01)
  return keras.Sequential([
    keras.Input((5,)),
    keras.layers.Dense(6, activation="tanh", kernel_regularizer=l2),
    keras.layers.Dense(4)])
found = {}
for name, (alpha, loss, count, weighted) in cases.items():
  with strategy.scope():
    distiller = distillation.Distiller(
      student=model(1), teacher=model(2), temperature=3.0, alpha=alpha)
    distiller.compile(
      keras.optimizers.SGD(0.1, momentum=0.9), eval(loss), metrics=["accuracy"])
  more = {"sample_weight": weights[:count]} if weighted else {}
  told = distiller.evaluate(images[:count], labels[:count], batch_size=8,
                            verbose=0, return_dict=True, **more)
  fitted = distiller.fit(images[:count], labels[:count], batch_size=8,
                         epochs=2, shuffle=False, verbose=0, **more)
  for i, w in enumerate(distiller.student.get_weights()):
    found[f"{name}/weight_{i}"] = w
  for key, value in told.items():
    found[f"{name}/evaluate_{key}"] = np.array(value)
  for key, value in fitted.history.items():
    found[f"{name}/fit_{key}"] = np.array(value)
np.savez(path, **found)
"""


@pytest.mark.slow
class ReplicasTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.found = {}
    with tempfile.TemporaryDirectory() as folder:
      for replicas in (1, 2):
        path = pathlib.Path(folder) / f"{replicas}.npz"
        result = subprocess.run(
          [
            sys.executable,
            "-c",
            PROGRAM,
            str(replicas),
            str(path),
            json.dumps(CASES),
          ],
          cwd=ROOT,
          capture_output=True,
          text=True,
          check=False,
        )
        if result.returncode:
          raise RuntimeError(result.stderr)
        with np.load(path) as content:
          cls.found[replicas] = dict(content)

  @parameterized.parameters(*CASES)
  def test_two_replicas_are_one(self, case):
    names = [n for n in self.found[1] if n.startswith(f"{case}/")]

    self.assertNotEmpty(names)
    for name in names:
      np.testing.assert_allclose(
        self.found[2][name],
        self.found[1][name],
        rtol=1e-5,
        atol=1e-6,
        err_msg=name,
      )


if __name__ == "__main__":
  absltest.main()
