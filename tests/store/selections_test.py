"""What removal leaves out: written once, read with care, never changed."""

import dataclasses
import json
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import removal
from memo_tf.store import arrays
from memo_tf.store import checkup
from memo_tf.store import directory as directory_lib
from memo_tf.store import merging
from memo_tf.store import sealed
from memo_tf.store import selections
from tests.support import made_up

MODEL = made_up.GROUP.model
FAMILY = f"without-memorized-t0.25-{MODEL}"
CONTROL = f"without-same_classes-t0.25-{MODEL}"
SELECTION = removal.Selection(
  family=FAMILY,
  ids=(1, 3, 7),
  num_examples=made_up.NUM_TRAIN,
  about={"scored_by": made_up.GROUP.name, "runs": [0, 1, 2, 3]},
)


def config(**more):
  base = made_up.config(batch_size=8)
  asked = {
    "removal_repeats": 2,
    "removal_comparisons": ("same_classes",),
    **more,
  }
  changed = dataclasses.replace(base.removal, **asked)
  return config_rules.validated(dataclasses.replace(base, removal=changed))


def write_both(directory):
  selections.write(directory, SELECTION)
  selections.write(directory, dataclasses.replace(SELECTION, family=CONTROL))


def write_masks(directory, settings):
  """The files of subsets of both families."""
  found = selections.in_masks(
    directory, settings, (FAMILY, CONTROL), made_up.NUM_TRAIN
  )
  for family, mask in found.items():
    np.save(directory.in_mask_path(family), mask)
  return found


class SelectionsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = config()
    self.directory = made_up.make(self.root / "a study", self.config)

  def test_read_back(self):
    written = selections.write(self.directory, SELECTION)

    self.assertEqual(written, SELECTION)
    self.assertEqual(selections.read(self.directory, FAMILY), SELECTION)

  def test_the_first_one_stays(self):
    selections.write(self.directory, SELECTION)
    before = selections.path(self.directory, FAMILY).read_bytes()

    found = selections.write(
      self.directory, dataclasses.replace(SELECTION, ids=(2,))
    )

    self.assertEqual(found, SELECTION)
    after = selections.path(self.directory, FAMILY).read_bytes()
    self.assertEqual(before, after)

  def test_plan_has_what_is_written_and_can_be_trained(self):
    self.assertEqual(selections.plan(self.directory, self.config).removed, {})
    everything = selections.plan(self.directory, self.config, with_unknown=True)
    self.assertEqual(everything.removed, {FAMILY: 0.0, CONTROL: 0.0})
    self.assertEqual(
      selections.plan(None, self.config, with_unknown=True).removed,
      everything.removed,
    )

    write_both(self.directory)

    found = selections.plan(self.directory, self.config).removed
    self.assertEqual(found, {FAMILY: 3 / 20, CONTROL: 3 / 20})
    large = config_rules.validated(
      dataclasses.replace(
        self.config,
        training=dataclasses.replace(self.config.training, batch_size=18),
      )
    )
    # 17 are left, which fill no batch of 18.
    self.assertEqual(selections.plan(self.directory, large).removed, {})

  def test_in_masks(self):
    write_both(self.directory)

    found = selections.in_masks(
      self.directory,
      self.config,
      ("r0.70", FAMILY, CONTROL),
      made_up.NUM_TRAIN,
    )

    self.assertEqual(np.flatnonzero(~found[FAMILY][0]).tolist(), [1, 3, 7])
    out = ~found[CONTROL]
    # Labels are ids modulo 3: classes 1, 0, 1.
    classes = [np.sort(made_up.LABELS[row]).tolist() for row in out]
    self.assertEqual(classes, [[0, 1, 1]] * 2)
    np.testing.assert_array_equal(found["r0.70"], made_up.masks_of(self.config))

  @parameterized.parameters(
    ("ids", [3, 1], "ascending"),
    ("ids", [1, 20], "ascending"),
    ("ids", "x", "ascending"),
    ("family", CONTROL, "that of"),
    ("num_examples", "many", "'str'"),
    ("format_version", 99, "newer"),
  )
  def test_damage_is_named(self, name, value, message):
    selections.write(self.directory, SELECTION)
    path = selections.path(self.directory, FAMILY)
    content = sealed.loads(path.read_bytes()) | {name: value}
    path.write_text(sealed.dumps(content))

    with self.assertRaisesRegex(errors.StudyError, f"{FAMILY}.*{message}"):
      selections.read(self.directory, FAMILY)

  def test_a_changed_file_is_refused(self):
    selections.write(self.directory, SELECTION)
    path = selections.path(self.directory, FAMILY)
    path.write_text(path.read_text().replace("7", "8"))

    with self.assertRaisesRegex(errors.StudyError, "restore it from a copy"):
      selections.plan(self.directory, self.config)

  def test_another_data_set_is_refused(self):
    selections.write(
      self.directory, dataclasses.replace(SELECTION, num_examples=30)
    )

    with self.assertRaisesRegex(errors.StudyError, "30 training examples"):
      selections.in_masks(
        self.directory, self.config, (FAMILY,), made_up.NUM_TRAIN
      )

  def test_checkup_knows_the_subsets(self):
    plan = selections.plan(self.directory, self.config, with_unknown=True)
    self.assertEqual(list(checkup.findings(self.directory, plan)), [])

    write_both(self.directory)
    masks = write_masks(self.directory, self.config)
    plan = selections.plan(self.directory, self.config)
    self.assertEqual(
      {f.path for f in checkup.findings(self.directory, plan)}, set()
    )
    flipped = masks[FAMILY].copy()
    flipped[1, 0] = False
    np.save(self.directory.in_mask_path(FAMILY), flipped)
    found = [f.path for f in checkup.findings(self.directory, plan)]
    self.assertEqual(found, [f"subsets/{FAMILY}.npy"])


class MergeTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = config()
    self.sources = []
    for index in range(2):
      source = made_up.make(self.root / str(index), self.config)
      write_both(source)
      masks = write_masks(source, self.config)
      made_up.write_run(
        source,
        self.config,
        index,
        family=FAMILY,
        mask=masks[FAMILY][index],
      )
      self.sources.append(source)

  def test_runs_of_one_selection_come_together(self):
    into = directory_lib.StudyDirectory(self.root / "merged")

    merging.merge(into, self.sources)

    self.assertEqual(selections.read(into, FAMILY), SELECTION)
    runs = sorted(
      p.parent.name
      for p in (into.root / "runs").glob(f"*/*/{FAMILY}/*/run.json")
    )
    self.assertEqual(runs, ["00000", "00001"])
    mask = arrays.load(into.in_mask_path(FAMILY))
    self.assertEqual(np.flatnonzero(~mask[1]).tolist(), [1, 3, 7])

  def test_another_selection_is_refused(self):
    path = selections.path(self.sources[1], FAMILY)
    content = sealed.loads(path.read_bytes())
    path.write_text(sealed.dumps(content | {"ids": [2]}))
    into = directory_lib.StudyDirectory(self.root / "merged")

    with self.assertRaisesRegex(errors.UsageError, "other examples"):
      merging.merge(into, self.sources)

  def test_an_onion_joins_a_removal(self):
    """Of two sources: one asks for repeats, the other for an onion alone."""
    asked = config(
      removal_repeats=0,
      removal_comparisons=("same_classes", "random"),
      onion_subsets=2,
    )
    other = made_up.make(self.root / "other", asked)
    for order in ((other, self.sources[0]), (self.sources[0], other)):
      into = directory_lib.StudyDirectory(self.root / order[0].root.name / "in")

      merging.merge(into, list(order))

      recorded = json.loads((into.root / "config.json").read_text())["removal"]
      self.assertEqual(recorded["removal_repeats"], 2)
      self.assertEqual(recorded["onion_subsets"], 2)
      self.assertEqual(recorded["removal_comparisons"], ["same_classes"])

  def test_another_number_of_onion_subsets_is_refused(self):
    plain = made_up.config(num_subsets=8, batch_size=8)
    both = []
    for count in (2, 4):
      asked = dataclasses.replace(plain.removal, onion_subsets=count)
      settings = dataclasses.replace(plain, removal=asked)
      both.append(made_up.make(self.root / str(10 + count), settings))
    into = directory_lib.StudyDirectory(self.root / "merged")

    with self.assertRaisesRegex(
      errors.UsageError, "--onion_subsets: recorded 2"
    ):
      merging.merge(into, both)

  def test_a_source_without_removal_joins(self):
    plain = made_up.make(self.root / "plain", made_up.config(batch_size=8))
    into = directory_lib.StudyDirectory(self.root / "merged")

    merging.merge(into, [plain, self.sources[0]])

    recorded = json.loads((into.root / "config.json").read_text())
    self.assertEqual(recorded["removal"]["removal_repeats"], 2)
    config = config_lib.from_json(
      sealed.unsealed((into.root / "config.json").read_bytes())
    )
    found = selections.plan(into, config)
    self.assertIsInstance(found, plan_lib.Plan)
    self.assertIn(FAMILY, found.removed)


if __name__ == "__main__":
  absltest.main()
