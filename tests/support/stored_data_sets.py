"""Made-up TFDS data sets, and `dataset/` of a study written from settings."""

import functools
import pathlib
import tempfile

import numpy as np
import tensorflow_datasets as tfds

from memo_tf.data import prepare
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib

RNG = np.random.default_rng(0)


_FOLDERS: list[tempfile.TemporaryDirectory] = []  # removed at the end
STREAM = settings_lib.RunningConfig(storage="stream")


class Photographs(tfds.core.GeneratorBasedBuilder):
  """JPEG files with ids, which TFDS shuffles; a test split."""

  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(
        {
          "id": tfds.features.Text(),
          "image": tfds.features.Image(
            shape=(20, 24, 3), encoding_format="jpeg"
          ),
          "label": tfds.features.ClassLabel(names=["sea", "wood"]),
        }
      ),
      supervised_keys=("image", "label"),
    )

  def _split_generators(self, dl_manager):
    return {
      "train": self._generate_examples(30, 0),
      "test": self._generate_examples(7, 1),
    }

  def _generate_examples(self, count, seed):
    rng = np.random.default_rng(seed)
    for number in range(count):
      image = rng.integers(0, 256, (20, 24, 3), np.uint8)
      name = f"image_{number:03d}"
      yield name, {"id": name, "image": image, "label": number % 2}


class Deep(tfds.core.GeneratorBasedBuilder):
  """16 bits, four channels, no names, no test split."""

  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Image(shape=(6, 5, 4), dtype=np.uint16),
          "label": np.int64,
        }
      ),
      supervised_keys=("image", "label"),
    )

  def _split_generators(self, dl_manager):
    return {"train": self._generate_examples()}

  def _generate_examples(self):
    rng = np.random.default_rng(2)
    for number in range(20):
      image = rng.integers(0, 2**16, (6, 5, 4), np.uint16)
      yield number, {"image": image, "label": number % 3}


def write(
  test, data: settings_lib.DataConfig, running=STREAM
) -> tuple[directory_lib.StudyDirectory, dict]:
  """Writes `dataset/` of a study into a new folder; its info.json."""
  root = pathlib.Path(test.create_tempdir().full_path)
  directory = directory_lib.StudyDirectory(root)
  config = config_rules.validated(
    config_lib.StudyConfig(data=data, running=running)
  )
  return directory, prepare.write_dataset(config, directory)


@functools.cache
def prepared(builder) -> str:
  """A folder with a data set in TFDS's own format, for the whole process."""
  _FOLDERS.append(tempfile.TemporaryDirectory())
  folder = _FOLDERS[-1].name
  builder(data_dir=folder).download_and_prepare()
  return folder
