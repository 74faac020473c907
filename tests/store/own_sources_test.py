"""The study's copies of the sources of own models."""

import pathlib

from absl.testing import absltest

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import own_sources

SOURCE = "def small(shape, classes): ...\n"


class OwnSourcesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.given = self.folder / "my_models.py"
    self.given.write_text(SOURCE)
    self.layers = self.folder / "layers.py"
    self.layers.write_text("X = 1\n")
    self.config = self.config_of(
      models=(f"{self.given}:small",), imports=(str(self.layers),)
    )
    self.study = directory_lib.StudyDirectory(self.folder / "study")
    self.copy = self.study.root / "models" / "own-small.py"

  def config_of(self, **models) -> config_lib.StudyConfig:
    return config_rules.validated(
      config_lib.StudyConfig(models=settings_lib.ModelsConfig(**models))
    )

  def test_the_study_keeps_a_copy_of_each(self):
    own_sources.keep(self.study, self.config)

    self.assertEqual(self.copy.read_text(), SOURCE)
    found = own_sources.read(self.study, self.config)
    self.assertEqual([s.name for s in found], ["layers", "own-small"])
    self.assertEqual(found[1].path, self.given)
    self.assertEmpty(list(own_sources.problems(self.study, self.config)))

  def test_the_copy_takes_the_place_of_a_file_that_is_gone_or_changed(self):
    own_sources.keep(self.study, self.config)
    for change in (lambda: self.given.write_text("#"), self.given.unlink):
      change()

      found = own_sources.read(self.study, self.config)[1]

      self.assertEqual(found.content, SOURCE.encode())
      self.assertEqual(found.path, self.copy)

  def test_a_damaged_copy_is_found_and_written_again(self):
    own_sources.keep(self.study, self.config)
    self.copy.write_text("def small(): ...\n")

    problems = list(own_sources.problems(self.study, self.config))
    self.assertEqual(
      problems, [("models/own-small.py", "differs from its recorded digest")]
    )
    own_sources.keep(self.study, self.config)
    self.assertEqual(self.copy.read_text(), SOURCE)

  def test_a_source_that_is_nowhere_is_an_error_with_its_digest(self):
    self.given.unlink()

    with self.assertRaisesRegex(
      errors.StudyError, "Put a file with the digest"
    ):
      own_sources.keep(self.study, self.config)

  def test_copies_of_other_folders_of_the_study_serve_too(self):
    own_sources.keep(self.study, self.config)
    self.given.unlink()
    merged = directory_lib.StudyDirectory(self.folder / "merged")

    own_sources.keep(merged, self.config, [self.study])

    copy = merged.root / "models" / "own-small.py"
    self.assertEqual(copy.read_text(), SOURCE)

  def test_every_own_model_needs_a_source(self):
    known = own_sources.check_known(self.config)
    self.assertIs(known, self.config)
    for models, message in (
      ({"models": ("own-other",)}, "own-other is a model that this study"),
      ({"recipes": ("distilled-own-big-t3",)}, "own-big is a model that"),
      ({"models": ("gone.py:small",)}, "must name a .py or .json file"),
      ({"models": ("no_such.module:small",)}, "must name a module"),
      ({"imports": ("gone.py",)}, "--import must name a .py"),
    ):
      with self.assertRaisesRegex(errors.UsageError, message):
        own_sources.check_known(self.config_of(**models))

  def test_what_was_checked_is_added_to_and_read(self):
    self.assertEqual(own_sources.checked(self.study), {})
    own_sources.note_checked(self.study, {"own-a": {"start": "1"}})
    own_sources.note_checked(self.study, {"own-b": {"start": "2"}})

    found = own_sources.checked(self.study)

    self.assertEqual(found, {"own-a": {"start": "1"}, "own-b": {"start": "2"}})
    (self.study.root / "models" / "checked.json").write_text("{")
    self.assertEqual(own_sources.checked(self.study), {})


if __name__ == "__main__":
  absltest.main()
