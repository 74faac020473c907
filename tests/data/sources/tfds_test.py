"""Data sets of TensorFlow Datasets by name, of many kinds; CIFAR's archives."""

import io
import pathlib
import tarfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from memo_tf.data.sources import image_source
from memo_tf.data.sources import load as load_lib
from memo_tf.data.sources import tfds_features
from memo_tf.data.stored import reader
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets
from memo_tf.running.unit import run
from memo_tf.running.unit import session as session_lib
from memo_tf.scoring import groups
from memo_tf.scoring import study
from memo_tf.store import directory as directory_lib
from tests.support import small_study as study_commands

RNG = np.random.default_rng(0)


def load(name: str, **settings) -> image_source.ImageDataset:
  return load_lib.load(settings_lib.DataConfig(dataset=name, **settings))


class DeepPictures(tfds.core.GeneratorBasedBuilder):
  """16 bit, four channels, no test split, an odd label."""

  VERSION = tfds.core.Version("1.2.3")

  def _info(self):
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(
        {
          "picture": tfds.features.Image(shape=(12, 10, 4), dtype=np.uint16),
          "kind": np.int64,
          "weight": np.float32,
        }
      ),
      citation="@none",
      license="CC0",
    )

  def _split_generators(self, dl_manager):
    return {"train": self._generate_examples()}

  def _generate_examples(self):
    for place in range(40):
      picture = np.full((12, 10, 4), 1000 * place, np.uint16)
      yield place, {"picture": picture, "kind": place % 3, "weight": 1.0}


class TfdsSourceTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ("grey", "mnist", {}, (28, 28, 1), 10),
    ("coloured, with ids", "cifar100", {}, (32, 32, 3), 100),
    ("two images, five labels", "smallnorb", {}, (96, 96, 1), 5),
    (
      "another label",
      "smallnorb",
      {"image_key": "image2", "label_key": "label_lighting"},
      (96, 96, 1),
      6,
    ),
    ("sizes differ", "cats_vs_dogs", {"image_size": 24}, (24, 24, 3), 2),
    ("ids", "patch_camelyon", {"image_size": 32}, (32, 32, 3), 2),
    ("a config", "so2sat/rgb", {}, (32, 32, 3), 17),
    ("no test", "eurosat/rgb", {"test_fraction": 0.25}, (64, 64, 3), 10),
    (
      "not square",
      "binary_alpha_digits",
      {"test_fraction": 0.25},
      (20, 16, 1),
      36,
    ),
    (
      "train only",
      "tf_flowers",
      {"test_fraction": 0.25, "image_size": 16},
      (16, 16, 3),
      5,
    ),
  )
  def test_any_data_set_by_name(self, name, settings, shape, num_classes):
    with tfds.testing.mock_data(num_examples=24):
      data = load(name, **settings)

    num_test = 6 if "test_fraction" in settings else 24
    num_train = 24 - num_test if "test_fraction" in settings else 24
    self.assertEqual(data.train_images.shape, (num_train, *shape))
    self.assertEqual(data.test_images.shape, (num_test, *shape))
    self.assertEqual(data.train_images.dtype, np.uint8)
    self.assertLen(data.class_names, num_classes)
    self.assertStartsWith(data.version, "TensorFlow Datasets " + name[:3])
    self.assertNotEmpty(data.licence)
    self.assertNotEmpty(data.citation)
    self.assertNotIn("/", data.name)

  @parameterized.named_parameters(
    ("misspelt", "cifra10", {}, "did you mean cifar10"),
    ("unknown", "zzzz", {}, "unknown name"),
    ("config", "mnist/nope", {}, "nope"),
    ("no image", "iris", {}, "--image_key"),
    ("no class", "celeb_a", {"image_size": 8}, "--label_key"),
    ("classes", "dsprites", {}, "label_shape, label_scale"),
    ("sizes", "cats_vs_dogs", {}, "--image_size must be given"),
    ("image key", "mnist", {"image_key": "picture"}, "of mnist: image"),
    ("no image there", "mnist", {"image_key": "label"}, "--image_key=label"),
    ("label key", "mnist", {"label_key": "image"}, "--label_key=image"),
  )
  def test_what_cannot_be_used_is_said_in_a_line(self, name, settings, words):
    with self.assertRaisesRegex(errors.UsageError, words) as caught:
      with tfds.testing.mock_data(num_examples=12):
        load(name, **settings)

    self.assertNotIn("\n", str(caught.exception))
    self.assertLess(len(str(caught.exception)), 800)

  def test_what_cannot_be_had_says_which_folder_to_fill(self):
    folder = self.create_tempdir().full_path
    with mock.patch("socket.getaddrinfo", side_effect=OSError("no network")):
      with self.assertRaises(errors.UsageError) as caught:
        load("cifar10", data_dir=folder)

    message = str(caught.exception)
    self.assertIn("cifar-10-binary.tar.gz", message)
    self.assertIn(f"{folder}/downloads/manual", message)
    self.assertNotIn("\n", message)

  def test_ids_give_back_the_original_order(self):
    ids = ["train_00002", "train_00010", "train_00001"]
    self.assertEqual(tfds_features.original_order(ids).tolist(), [2, 0, 1])
    # Numbers, not text; text where it does not end in a number.
    self.assertEqual(
      tfds_features.original_order(["a10", "a9"]).tolist(), [1, 0]
    )
    self.assertEqual(tfds_features.original_order(["b", "a"]).tolist(), [1, 0])
    self.assertIsNone(tfds_features.original_order(["a", "a"]))
    self.assertIsNone(tfds_features.original_order([]))

  def test_16_bit_images_of_four_channels_with_an_odd_label(self):
    folder = self.create_tempdir().full_path
    DeepPictures(data_dir=folder).download_and_prepare()

    data = load(
      "deep_pictures",
      data_dir=folder,
      image_key="picture",
      label_key="kind",
      test_fraction=0.2,
    )

    self.assertEqual(data.train_images.shape, (32, 12, 10, 4))
    self.assertEqual(data.train_images.dtype, np.uint16)
    self.assertEqual(data.max_pixel, 65535)
    self.assertEqual(data.licence, "CC0")
    self.assertEqual(data.class_names, ("0", "1", "2"))
    for images, labels in (
      (data.train_images, data.train_labels),
      (data.test_images, data.test_labels),
    ):
      places = images[:, 0, 0, 0] // 1000
      np.testing.assert_array_equal(labels, places % 3)
    sources = np.concatenate([data.train_sources, data.test_sources])
    self.assertCountEqual(sources.tolist(), [str(i) for i in range(40)])

  def test_a_launch_on_prepared_files_that_no_builder_is_known_for(self):
    data_dir = self.create_tempdir().full_path
    DeepPictures(data_dir=data_dir).download_and_prepare()
    folder = pathlib.Path(self.create_tempdir().full_path) / "study"

    done = study_commands.launch(
      folder,
      dataset="deep_pictures",
      data_dir=data_dir,
      image_key="picture",
      label_key="kind",
      test_fraction=0.2,
      models="cifar_resnet-8-w0.125",
      num_subsets=2,
      epochs=1,
      batch_size=8,
      workers=1,
    )

    self.assertEqual(done.returncode, 0, done.stderr)
    directory = directory_lib.StudyDirectory(folder)
    arrays = reader.read_dataset(directory)
    self.assertEqual(arrays.image_type, "uint16")
    self.assertEqual(arrays.train_images.shape, (32, 12, 10, 4))
    self.assertNotIn(data_dir, (folder / "resolved.flags").read_text())
    page = directory.report_path.read_text()
    self.assertIn("CC0", page)

  def test_a_study_on_16_bit_images_of_four_channels(self):
    folder = self.create_tempdir().full_path
    DeepPictures(data_dir=folder).download_and_prepare()
    settings = settings_lib.DataConfig(
      dataset="deep_pictures",
      data_dir=folder,
      image_key="picture",
      label_key="kind",
      test_fraction=0.2,
    )
    results = small_study(self, settings, load_lib.load(settings))

    self.assertEqual(results.stack.in_mask.shape, (2, 32))

  @parameterized.parameters(
    ("mnist", {}),
    ("cats_vs_dogs", {"image_size": 16}),
    ("eurosat/rgb", {"test_fraction": 0.25, "image_size": 16}),
    ("smallnorb", {"image_size": 16}),
    ("patch_camelyon", {"image_size": 16}),
  )
  def test_a_small_study_from_end_to_end(self, name, settings):
    settings = settings_lib.DataConfig(dataset=name, **settings)
    with tfds.testing.mock_data(num_examples=24):
      data = load_lib.load(settings)

    results = small_study(self, settings, data)

    count = len(data.train_labels)
    self.assertLen(results.scores.memorization, count)
    self.assertLen(results.examples, count)


def small_study(
  test, settings: settings_lib.DataConfig, data: image_source.ImageDataset
) -> groups.GroupScores:
  """Two runs of a tiny model on a data set, written, scored."""
  config = config_rules.validated(
    config_lib.StudyConfig(
      data=settings,
      subsets=settings_lib.SubsetsConfig(num_subsets=2, subset_ratio=0.5),
      models=settings_lib.ModelsConfig(models=("cifar_resnet-8-w0.125",)),
      training=settings_lib.TrainingConfig(epochs=1, batch_size=8),
    )
  )
  root = pathlib.Path(test.create_tempdir().full_path)
  directory = directory_lib.StudyDirectory(root)
  writer.write_dataset(data, config, directory)
  masks = subsets.parse_family("r0.50").in_mask(len(data.train_labels), 2, 0)
  directory.in_mask_path("r0.50").parent.mkdir()
  np.save(directory.in_mask_path("r0.50"), masks)
  session = session_lib.Session(config, directory)
  plan = plan_lib.Plan.of(config)
  for unit in plan.units:
    run.run_unit(session, unit, frozenset({"predictions.parquet"}))
  return study.score_study(directory, plan)[0]


def cifar_archive(
  path: pathlib.Path, num_labels: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
  """An archive in CIFAR's binary format; the images and (fine) labels."""
  folder = f"cifar-{100 if num_labels == 2 else 10}-{{}}"
  if num_labels == 2:
    parts, names = ["train.bin", "test.bin"], folder.format("binary")
    texts = {
      "coarse_label_names.txt": "\n".join(f"big{i}" for i in range(20)),
      "fine_label_names.txt": "\n".join(f"fine{i}" for i in range(100)),
    }
  else:
    parts = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    names = folder.format("batches-bin")
    texts = {"batches.meta.txt": "\n".join(f"kind{i}" for i in range(10))}
  classes = 100 if num_labels == 2 else 10
  labels = RNG.integers(0, classes, (len(parts), count)).astype(np.uint8)
  images = RNG.integers(0, 256, (len(parts), count, 32, 32, 3)).astype(np.uint8)
  with tarfile.open(path, "w:gz") as archive:

    def add(name: str, content: bytes) -> None:
      entry = tarfile.TarInfo(f"{names}/{name}")
      entry.size = len(content)
      archive.addfile(entry, io.BytesIO(content))

    for name, text in texts.items():
      add(name, text.encode() + b"\n")
    for part, name in enumerate(parts):
      records = []
      for label, image in zip(labels[part], images[part]):
        heads = [label // 5, label] if num_labels == 2 else [label]
        planes = image.transpose(2, 0, 1).tobytes()
        records.append(bytes(heads) + planes)
      add(name, b"".join(records))
  return images, labels


class CifarTest(parameterized.TestCase):
  @parameterized.parameters(("cifar10", 1, 5), ("cifar100", 2, 1))
  def test_archives_in_the_real_format_through_the_real_builder(
    self, name, num_labels, num_parts
  ):
    folder = pathlib.Path(self.create_tempdir().full_path)
    manual = folder / "downloads/manual"
    manual.mkdir(parents=True)
    path = manual / f"cifar-{name[5:]}-binary.tar.gz"
    images, labels = cifar_archive(path, num_labels, 30)
    # TFDS knows the checksum of the published archive; ours has another.
    info = tfds.core.download.checksums.compute_url_info(path)
    url = f"https://www.cs.toronto.edu/~kriz/{path.name}"
    builder = tfds.builder_cls(name)
    with mock.patch.object(builder, "url_infos", {url: info}):
      data = load(name, data_dir=str(folder))

    count = 30 * num_parts
    np.testing.assert_array_equal(
      data.train_images, images[:num_parts].reshape(count, 32, 32, 3)
    )
    np.testing.assert_array_equal(data.train_labels, labels[:num_parts].ravel())
    np.testing.assert_array_equal(data.test_images, images[-1])
    np.testing.assert_array_equal(data.test_labels, labels[-1])
    self.assertEqual(data.train_sources[7], "train_00007")
    self.assertIn("own `id`", data.order)
    self.assertEqual(
      data.class_names[3], "fine3" if num_labels == 2 else "kind3"
    )
    # Prepared now: the archive is not needed again.
    path.unlink()
    again = load(name, data_dir=str(folder))
    np.testing.assert_array_equal(again.train_images, data.train_images)

  def test_another_archive_than_the_published_one_is_refused(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    (folder / "downloads/manual").mkdir(parents=True)
    path = folder / "downloads/manual/cifar-10-binary.tar.gz"
    cifar_archive(path, 1, 2)

    with self.assertRaisesRegex(errors.UsageError, "cifar10/") as caught:
      load("cifar10", data_dir=str(folder))

    self.assertNotIn("\n", str(caught.exception))

  def test_a_missing_archive_of_tiny_imagenet_is_one_clear_line(self):
    folder = self.create_tempdir().full_path

    with self.assertRaisesRegex(errors.UsageError, "tiny-imagenet") as e:
      load("tiny_imagenet", data_dir=folder)

    self.assertIn(f"{folder}/downloads/manual", str(e.exception))
    self.assertNotIn("\n", str(e.exception))

  def test_the_sources_stand_in_the_table_of_examples(self):
    with tfds.testing.mock_data(num_examples=10):
      data = load("cifar10")
    directory = directory_lib.StudyDirectory(
      pathlib.Path(self.create_tempdir().full_path)
    )
    writer.write_dataset(data, config_lib.StudyConfig(), directory)

    table = pd.read_parquet(directory.dataset_dir / "examples.parquet")

    np.testing.assert_array_equal(table["source"][:10], data.train_sources)
    arrays = reader.read_dataset(directory)
    np.testing.assert_array_equal(arrays.train_images, data.train_images)


if __name__ == "__main__":
  absltest.main()
