"""Over training: from what runs kept to tables, sentences and section."""

import dataclasses
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.findings import epoch_runs
from memo_tf.findings import epochs
from memo_tf.findings import sizes
from memo_tf.report import explorer
from memo_tf.report import material
from memo_tf.report.sections import epochs as section_lib
from memo_tf.store import directory as directory_lib
from tests.findings import sizes_test
from tests.support import epoch_laws

KEY = sizes.LadderName("cifar_resnet", "one_hot", "r0.70")
MODELS = (("cifar_resnet-8", 100), ("cifar_resnet-14", 200))


def members(earlier=3.0, num_runs=40):
  """Runs of two sizes over epochs, of known truth; half are wrong labels."""
  study = epoch_laws.simulate(num_runs=num_runs, earlier=earlier, seed=3)
  num_train = study.in_mask.shape[1]
  groups, _ = sizes_test.make_groups(MODELS, num_runs, num_examples=num_train)
  found = []
  for group, correct in zip(groups, study.correct):
    labels = np.ones(num_train, np.int32)
    wrong = np.arange(num_train) % 2 == 0
    examples = pd.DataFrame(
      {"label": labels, "clean_label": 1 - wrong, "is_noisy": wrong}
    )
    stack = dataclasses.replace(
      group.stack,
      in_mask=study.in_mask,
      labels=labels,
      predicted=correct[-1].astype(np.int32),
    )
    # Test images: the first is right from the second epoch on.
    tests = np.zeros((3, num_runs, 2), bool)
    tests[1:, :, 0] = True
    bits = np.packbits(np.concatenate([correct[:-1], tests], axis=2), axis=2)
    found.append(
      epoch_runs.RunsOverEpochs(
        result=dataclasses.replace(group, stack=stack, examples=examples),
        epochs=epoch_laws.EPOCHS,
        rows=np.arange(num_runs),
        bits=bits,
      )
    )
  return study, found


class StudyTest(absltest.TestCase):
  def test_outcomes_are_unpacked(self):
    study, (smaller, _) = members()

    self.assertLen(smaller, 4)
    for e in range(-1, 4):
      np.testing.assert_array_equal(smaller[e], study.correct[0][e])
    self.assertEqual(smaller.test_correct(0).tolist(), [[False, False]] * 40)
    self.assertEqual(smaller.test_correct(2).tolist(), [[True, False]] * 40)
    some = smaller.of([5, 2])
    np.testing.assert_array_equal(some[1], study.correct[0][1][[5, 2]])
    np.testing.assert_array_equal(some.in_mask, study.in_mask[[5, 2]])

  def test_tables(self):
    study, runs = members()

    found = epochs.study(KEY, runs)

    self.assertEqual(found.models, ("cifar_resnet-8", "cifar_resnet-14"))
    self.assertEqual(found.epochs, epoch_laws.EPOCHS)
    self.assertLen(found.scores, 2 * 4 * 200)
    # A score by hand: example 6 of the larger size after epoch 10.
    right, mask = study.correct[1][2][:, 6], study.in_mask[:, 6]
    row = found.scores.query(
      "model == 'cifar_resnet-14' and example_id == 6 and epoch == 10"
    )
    self.assertAlmostEqual(
      row["memorization"].item(), right[mask].mean() - right[~mask].mean()
    )
    self.assertLen(found.examples, 2 * 200)
    self.assertEqual(
      found.means["examples"].unique().tolist(),
      ["all", "natural", "wrong label"],
    )
    accuracy = found.means.query("examples == 'all'")["test_accuracy"]
    self.assertEqual(accuracy.tolist()[:3], [0.0, 0.5, 0.5])
    self.assertTrue(
      found.means.query("examples == 'natural'")["test_accuracy"].isna().all()
    )
    self.assertLen(found.order, 3)
    # Only wrong labels are memorized, 3 epochs earlier by the larger size.
    wrong = found.order.set_index("examples").loc["wrong label"]
    self.assertGreater(wrong["lead_low"], 0)
    self.assertEqual(
      wrong["num_examples"],
      found.order.set_index("examples").loc["all", "num_examples"],
    )

  def test_sentences(self):
    _, runs = members()

    text = "\n".join(epochs.study(KEY, runs).sentences)

    self.assertRegex(text, r"Mean memorization of cifar_resnet-8: 0\.\d+ \[")
    self.assertIn("From epoch 2 to 20 it rises", text)
    self.assertRegex(text, r"cifar_resnet-14 memorizes \d+ by epoch 2, ")
    self.assertIn("cannot tell by which epoch", text)
    self.assertRegex(
      text, r"cifar_resnet-14 is earlier on average: the lead of cifar_resnet"
    )

  def test_without_a_difference_runs_cannot_tell(self):
    _, runs = members(earlier=0.0)

    text = "\n".join(epochs.study(KEY, runs).sentences)

    self.assertIn("on average these runs cannot tell which is earlier", text)

  def test_only_runs_that_all_sizes_have_count(self):
    _, (smaller, larger) = members()

    found = epochs.study(KEY, [larger, smaller.of(range(25))])

    self.assertEqual(found.num_runs, 25)
    self.assertEqual(found.models, ("cifar_resnet-8", "cifar_resnet-14"))
    # One block of ten is too few.
    self.assertIsNone(epochs.study(KEY, [larger, smaller.of(range(10))]))

  def test_one_size_alone(self):
    _, (smaller, _) = members(num_runs=20)

    found = epochs.study(KEY, [smaller])

    self.assertEmpty(found.order)
    self.assertLen(found.examples, 200)

  def test_section(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    _, runs = members()
    study = material.Material(
      directory=directory_lib.StudyDirectory(root),
      config=config_lib.StudyConfig(),
      results=[],
      failures={},
      settings="",
      studies=(),
      compared=(),
      info={},
      epochs=[epochs.study(KEY, runs)],
    )

    made = section_lib.make(study)

    self.assertLen(made.charts, 2)
    [part] = made.content["parts"]
    self.assertIn("ResNet-14 is earlier", "\n".join(part["sentences"]))
    for result, size in zip([m.result for m in runs], (0, 1)):
      study_of = dataclasses.replace(study, results=[result])
      curve = explorer._over_training(study_of, result)
      self.assertEqual(curve["epochs"], list(epoch_laws.EPOCHS))
      rows = study.epochs[0].scores["memorization"].to_numpy().reshape(2, -1)
      np.testing.assert_array_equal(curve["epochScore"], rows[size])
    without = dataclasses.replace(study, epochs=())
    self.assertIsNone(section_lib.make(without))
    asked = config_rules.from_settings({"epochs": 9, "score_epochs": 2})
    reason = section_lib.make(dataclasses.replace(without, config=asked)).reason
    self.assertIn("two blocks of runs", reason)


if __name__ == "__main__":
  absltest.main()
