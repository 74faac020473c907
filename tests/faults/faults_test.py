"""Every fault of the table ends in the arrays of the undisturbed study.

Real launches; each takes seconds, so that most are marked slow.
"""

import os
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import pytest

from tests.faults import disturbed
from tests.faults import table
from tests.support import shared_studies
from tests.support import small_study


def setUpModule():
  global UNDISTURBED, ARRAYS
  UNDISTURBED = shared_studies.finished("four").folder
  ARRAYS = small_study.arrays(UNDISTURBED)


def cases(*, fast: bool):
  return [(f.name, f) for f in table.FAULTS if f.is_fast == fast]


class FaultsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    root = self.enterContext(tempfile.TemporaryDirectory())
    os.chmod(root, 0o755)
    self.root = pathlib.Path(root)

  def check(self, fault: table.Fault):
    if fault.needs == "root" and os.geteuid() != 0:
      self.skipTest("mounts and other users' rights need root")
    study = disturbed.Study(self.root / "a study", UNDISTURBED, fault.state)
    self.addCleanup(study.close)
    if fault.needs == "compiler":
      study.preload = disturbed.build_preload(self.root)
    before = study.healthy()

    ended = fault.inject(study)

    self.assertEqual(ended.code, fault.code, ended.text)
    self.assertRegex(ended.text, fault.says)
    self.assertNotIn("Traceback", ended.text)
    if fault.mend:
      fault.mend(study)
    finished = study.healthy()
    again = study.launch()
    self.assertEqual(again.code, 0, again.text)
    self.assertEmpty(
      small_study.differences(small_study.arrays(study.folder), ARRAYS)
    )
    # What was finished and whole was never run again.
    after = study.healthy()
    self.assertLen(after, 4)
    kept = {
      name: time
      for name, time in before.items()
      if int(name.rsplit("/", 1)[1]) not in fault.harms
    }
    self.assertEqual({**after, **kept}, after)
    self.assertEqual({**after, **finished}, after)
    self.assertEmpty(study.leftovers())
    checked = study.doctor()
    self.assertEqual(checked.code, 0, checked.text)

  @parameterized.named_parameters(*cases(fast=True))
  def test_fast(self, fault):
    self.check(fault)

  @parameterized.named_parameters(*cases(fast=False))
  @pytest.mark.slow
  def test_slow(self, fault):
    self.check(fault)


class TableTest(absltest.TestCase):
  def test_the_documentation_has_every_row(self):
    text = (small_study.ROOT / "docs/reliability.md").read_text()

    for fault in table.FAULTS:
      self.assertIn(f"`{fault.name}`", text)


if __name__ == "__main__":
  absltest.main()
