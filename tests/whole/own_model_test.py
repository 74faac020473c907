"""Whole launches of own models: killed and resumed, extended, refused."""

import json
import os
import pathlib
import shutil

from absl.testing import absltest
import pytest

from tests.support import own_models
from tests.support import small_study

DISTILLED = "distilled-own-large-t3"
FLAGS = {"num_subsets": 4, "epochs": 4, "recipes": f"one_hot,{DISTILLED}"}


@pytest.mark.slow
class OwnModelTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.source = shutil.copy(own_models.__file__, self.folder / "mine.py")
    self.models = f"{self.source}:small,{self.source}:large"

  def launch(self, name, *more, **changes):
    done = small_study.launch(
      self.folder / name, *more, **{"models": self.models, **FLAGS, **changes}
    )
    self.assertEqual(done.returncode, 0, done.stderr)
    return done

  def test_killed_and_resumed_elsewhere_to_the_bit(self):
    """With dropout, batch normalization and a teacher; without the source."""
    self.launch("whole")
    study = self.folder / "killed"
    process = small_study.start(study, models=self.models, **FLAGS)

    def is_in_a_run():
      return (
        len(small_study.finished_runs(study)) > 2
        and list((study / "work" / "own-small").rglob("checkpoint.npz"))
      ) or process.poll() is not None

    small_study.wait_for(is_in_a_run)
    self.assertIsNone(process.poll(), "it ended before it was killed")
    small_study.kill_all(process)
    os.remove(self.source)
    moved = self.folder / "elsewhere" / "study"
    moved.parent.mkdir()
    study.rename(moved)
    arguments = small_study.command(moved)[:3]
    flags = [f"--flagfile={moved}/resolved.flags", f"--experiment_dir={moved}"]
    done = small_study.run([*arguments, *flags])

    self.assertEqual(done.returncode, 0, done.stderr)
    resumed = small_study.arrays(moved)
    self.assertEqual(
      small_study.differences(
        small_study.arrays(self.folder / "whole"), resumed
      ),
      [],
    )
    groups = {name.split("/")[0] for name in resumed}
    self.assertLessEqual({"own-small", "own-large"}, groups)
    summary = json.loads((moved / "scores" / "summary.json").read_text())
    plain = [s["model"] for s in summary if s["recipe"] == "one_hot"]
    self.assertEqual(plain, ["own-small", "own-large"])

  def test_extended_and_another_source_refused(self):
    first = {"recipes": "one_hot", "num_subsets": 2, "epochs": 1}
    self.launch("study", models=f"{self.source}:small", **first)
    study = self.folder / "study"
    before = small_study.arrays(study)
    changed = pathlib.Path(self.source)
    changed.write_text(changed.read_text() + "\n# changed\n")
    refused = small_study.launch(
      study, **{**FLAGS, **first, "models": f"{self.source}:small"}
    )

    self.assertEqual(refused.returncode, 2)
    self.assertIn("the source of own-small has changed", refused.stderr)
    models = f"own-small,{self.source}:tuned"
    self.launch("study", models=models, **first)
    after = small_study.arrays(study)
    same = {name: after[name] for name in before if name.startswith("own-")}
    self.assertEqual(
      small_study.differences(
        same, {n: a for n, a in before.items() if n.startswith("own-")}
      ),
      [],
    )
    self.assertTrue((study / "models" / "own-tuned.py").exists())

  def test_probabilities_are_refused_before_anything_is_trained(self):
    text = (
      "import keras\n"
      "def mine(shape, classes):\n"
      "  print('a line that nobody reads')\n"
      "  layers = [keras.Input(shape), keras.layers.Flatten()]\n"
      "  layers += [keras.layers.Dense(classes, activation='softmax')]\n"
      "  return keras.Sequential(layers)\n"
    )
    (self.folder / "probabilities.py").write_text(text)
    for more in ((), ("--dry_run",), ("--smoke",)):
      refused = small_study.launch(
        self.folder / "refused",
        *more,
        **FLAGS | {"recipes": "one_hot"},
        models=f"{self.folder}/probabilities.py:mine",
      )

      self.assertEqual(refused.returncode, 2, refused.stderr)
      last = refused.stderr.strip().splitlines()[-1]
      self.assertStartsWith(
        last, "memo_tf.launch: probabilities.py:mine ends with softmax."
      )
      self.assertFalse((self.folder / "refused").exists())


if __name__ == "__main__":
  absltest.main()
