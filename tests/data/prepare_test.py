"""Whether a data set is written from memory or one image at a time."""

import pathlib

from absl.testing import absltest
import numpy as np

from memo_tf.data import prepare
from memo_tf.data.sources import tfds as tfds_lib
from memo_tf.data.sources import tfds_stream
from memo_tf.data.stored import reader
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib
from tests.support import stored_data_sets


class PrepareTest(absltest.TestCase):
  def test_memory_budget_decides(self):
    folder = stored_data_sets.prepared(stored_data_sets.Photographs)
    settings = settings_lib.DataConfig(dataset="photographs", data_dir=folder)
    builder = tfds_lib.prepared_builder(settings)
    digits = settings_lib.DataConfig(
      image_encoding="auto", find_duplicates="off"
    )
    size = 1797 * 64

    found = tfds_stream.decoded_bytes(builder, "photographs", settings)
    _, below = stored_data_sets.write(
      self, digits, settings_lib.RunningConfig(memory_budget_gb=size / 1e9)
    )
    tight = settings_lib.RunningConfig(memory_budget_gb=(size - 1) / 1e9)
    directory, above = stored_data_sets.write(self, digits, tight)

    self.assertEqual(found, 37 * 20 * 24 * 3)
    self.assertNotIn("encoding", below)
    self.assertIn("encoding", above)
    self.assertNotIsInstance(
      reader.read_dataset(directory, tight).train_images, np.ndarray
    )

  def test_materialized_subsets_are_refused_before_anything_is_written(self):
    directory = directory_lib.StudyDirectory(
      pathlib.Path(self.create_tempdir().full_path)
    )
    config = config_lib.StudyConfig(
      running=settings_lib.RunningConfig(memory_budget_gb=0.0),
      outputs=settings_lib.OutputsConfig(materialize_subsets=True),
    )

    with self.assertRaisesRegex(ValueError, "for data in memory"):
      prepare.write_dataset(config, directory)

    self.assertEmpty(list(directory.root.iterdir()))


if __name__ == "__main__":
  absltest.main()
