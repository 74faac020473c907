"""What is logged for TensorBoard, read back by TensorBoard itself."""

import pathlib
import sys
import tempfile
from unittest import mock

from absl.testing import absltest
from tensorboard.backend.event_processing import event_accumulator

from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.running import tensorboard_log
from memo_tf.store import directory as directory_lib

ON = settings_lib.RunningConfig(log_to="tensorboard")
UNIT = work_units.parse_unit("cifar_resnet-8/one_hot/r0.70/00003")
HISTORY = [
  {"epoch": 1, "learning_rate": 0.5, "loss": 2.0, "accuracy": 0.25},
  {"epoch": 2, "learning_rate": 0.25, "loss": 1.0, "accuracy": 0.5},
  {"epoch": 3, "learning_rate": 0.0, "loss": 0.5, "accuracy": 0.75},
]
RECORD = {"in_accuracy": 1.0, "out_accuracy": None, "test_accuracy": 0.5}


class TensorboardLogTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = self.enterContext(tempfile.TemporaryDirectory())
    self.directory = directory_lib.StudyDirectory(root)

  def scalars(self, folder: str) -> dict[str, list[tuple[int, float]]]:
    path = self.directory.root / "logs" / folder
    events = event_accumulator.EventAccumulator(str(path))
    events.Reload()
    return {
      tag: [(event.step, event.value) for event in events.Scalars(tag)]
      for tag in events.Tags()["scalars"]
    }

  def test_a_run_by_epoch(self):
    log = tensorboard_log.of_run(ON, self.directory, UNIT)
    log.write(HISTORY[:1])
    seen = self.scalars(f"runs/{UNIT.name}")  # while it trains
    log.write(HISTORY)
    log.finish(RECORD)

    self.assertEqual(seen["loss"], [(1, 2.0)])
    self.assertEqual(
      self.scalars(f"runs/{UNIT.name}"),
      {
        "loss": [(1, 2.0), (2, 1.0), (3, 0.5)],
        "accuracy": [(1, 0.25), (2, 0.5), (3, 0.75)],
        "learning_rate": [(1, 0.5), (2, 0.25), (3, 0.0)],
        "in_accuracy": [(3, 1.0)],
        "test_accuracy": [(3, 0.5)],
      },
    )

  def test_a_run_that_resumes_has_every_epoch_once(self):
    tensorboard_log.of_run(ON, self.directory, UNIT).write(HISTORY[:2])

    again = tensorboard_log.of_run(ON, self.directory, UNIT)
    again.write(HISTORY)  # the first two are the checkpoint's

    found = self.scalars(f"runs/{UNIT.name}")
    self.assertEqual(found["loss"], [(1, 2.0), (2, 1.0), (3, 0.5)])

  def test_a_study_by_its_number_of_runs(self):
    figures = {"mean_memorization": 0.125, "test_accuracy": float("nan")}
    rest = dict.fromkeys(
      ("in_accuracy", "out_accuracy", "mean_interval_width"), 0.5
    )
    for count in (10, 20, 20):
      summary = {"num_runs": count, **rest, **figures}
      tensorboard_log.write_study(ON, self.directory, {UNIT.group: summary})

    found = self.scalars(f"study/{UNIT.group.name}")

    self.assertEqual(found["mean_memorization"], [(10, 0.125), (20, 0.125)])
    self.assertNotIn("test_accuracy", found)

  def test_off_writes_and_imports_nothing(self):
    off = settings_lib.RunningConfig()
    with mock.patch.dict(sys.modules, {"tensorboard": None}):
      tensorboard_log.check(off)
      self.assertIsNone(tensorboard_log.of_run(off, self.directory, UNIT))
      tensorboard_log.write_study(off, self.directory, {})

    self.assertEqual(list(pathlib.Path(self.directory.root).iterdir()), [])

  def test_a_missing_package_is_one_clear_line(self):
    names = [n for n in sys.modules if n.split(".")[0] == "tensorboard"]
    with mock.patch.dict(sys.modules, dict.fromkeys([*names, "tensorboard"])):
      with self.assertRaisesRegex(
        errors.UsageError, "pip install tensorboard.*--log_to=tensorboard"
      ) as caught:
        tensorboard_log.check(ON)

    self.assertNotIn("\n", str(caught.exception))


if __name__ == "__main__":
  absltest.main()
