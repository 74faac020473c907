"""Studies with made-up runs: no model is trained, all files are as recorded."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import opening
from memo_tf.store import predictions
from memo_tf.store import sealed

NUM_TRAIN, NUM_TEST, CLASSES = 20, 5, 3
LABELS = np.arange(NUM_TRAIN) % CLASSES
TEST_LABELS = np.arange(NUM_TEST) % CLASSES
GROUP = work_units.Group("cifar_resnet-8", "one_hot", "r0.70")
# What every run.json has beside its unit and outputs.
ABOUT_RUN = {
  "format_version": 1,
  "recipe_digest": "r" * 16,
  "dataset_digest": "d" * 32,
  "subset_digest": "5" * 32,
  "seed": 0,
  "threads": 1,
  "parameters": 10,
  "in_accuracy": 0.5,
  "machine": {"host": "h", "cpu": "made-up chip", "gpu": ""},
  "versions": {"python": "3.11"},
  "seconds": {"total": 1.0},
}
# What every info.json has beside what `make` writes.
ABOUT_DATA = {
  "format_version": 1,
  "num_train": NUM_TRAIN,
  "num_test": NUM_TEST,
  "num_classes": CLASSES,
  "class_names": [str(label) for label in range(CLASSES)],
  "image_shape": [1, 1, 1],
  "max_pixel": 255,
  "normalization": {"mean": [0.0], "std": [1.0]},
  "digest": "d" * 32,
  "files": {},
}


def config(num_subsets: int = 4, seed: int = 0, **recipe):
  return config_rules.validated(
    config_lib.StudyConfig(
      subsets=settings_lib.SubsetsConfig(num_subsets=num_subsets),
      training=settings_lib.TrainingConfig(**recipe),
      running=settings_lib.RunningConfig(seed=seed, workers=1),
    )
  )


def unit(index: int) -> work_units.WorkUnit:
  return work_units.WorkUnit(*GROUP, index)


def make(
  root: pathlib.Path,
  settings: config_lib.StudyConfig,
  runs=range(4),
  dataset_digest: str = "d" * 32,
) -> directory_lib.StudyDirectory:
  """Writes a study with these runs."""
  directory = directory_lib.StudyDirectory(root)
  directory.dataset_dir.mkdir(parents=True)
  content = b"shard"
  (directory.dataset_dir / "shard").write_bytes(content)
  pd.DataFrame(
    {
      "example_id": [*range(NUM_TRAIN), *range(NUM_TEST)],
      "split": ["train"] * NUM_TRAIN + ["test"] * NUM_TEST,
      "label": [*LABELS, *TEST_LABELS],
      "clean_label": [*LABELS, *TEST_LABELS],
      "is_noisy": False,
    }
  ).to_parquet(directory.dataset_dir / "examples.parquet")
  info = {
    **ABOUT_DATA,
    "format_version": config_lib.FORMAT_VERSION,
    "digest": dataset_digest,
    "made_from": dataset_info.made_from(settings),
    "files": {
      name: files.file_entry(directory.dataset_dir / name)
      for name in ("shard", "examples.parquet")
    },
  }
  (directory.dataset_dir / "info.json").write_text(sealed.dumps(info))
  masks = masks_of(settings)
  path = directory.in_mask_path(GROUP.subsets)
  path.parent.mkdir()
  np.save(path, masks)
  for index in runs:
    write_run(directory, settings, index, dataset_digest=dataset_digest)
  opening.write_settings(directory, settings)
  return directory


def masks_of(settings) -> np.ndarray:
  return subsets_lib.parse_family(GROUP.subsets).in_mask(
    NUM_TRAIN, settings.subsets.num_subsets, settings.running.seed
  )


def write_run(
  directory,
  settings,
  index,
  *,
  logits_seed=0,
  outputs=(),
  family=GROUP.subsets,
  mask=None,
  right=None,
  fits=None,
  **record,
) -> None:
  """Writes one run.

  `outputs` are names of further files. Of another family than the first are
  given its subset `mask` and, if wanted, which test images are `right`, and
  whether it `fits` all training images or none.
  """
  if mask is None:
    mask = masks_of(settings)[index]
  rng = np.random.default_rng([logits_seed, index])
  train_logits = rng.normal(size=(NUM_TRAIN, CLASSES))
  test_logits = rng.normal(size=(NUM_TEST, CLASSES))
  if right is not None:
    said = np.where(right, TEST_LABELS, (TEST_LABELS + 1) % CLASSES)
    test_logits = 5.0 * np.eye(CLASSES)[said]
  if fits is not None:
    train_logits = 5.0 * np.eye(CLASSES)[(LABELS + (not fits)) % CLASSES]
  own = dataclasses.replace(unit(index), subsets=family)
  table = predictions.from_logits(
    train_logits,
    test_logits,
    LABELS,
    TEST_LABELS,
    mask,
  )
  contents = {
    "predictions.parquet": predictions.table_bytes(table),
    "history.jsonl": b"{}\n",
    **{name: f"{name} {index}".encode() for name in outputs},
  }
  folder = directory.run_dir(own)
  folder.mkdir(parents=True)
  entries = {}
  for name, content in contents.items():
    (folder / name).write_bytes(content)
    entries[name] = files.file_entry(folder / name)
  recipe = recipes.parse("one_hot", settings.training)
  hits = table["predicted"].to_numpy() == table["label"].to_numpy()
  about = {
    **ABOUT_RUN,
    "in_accuracy": float(hits[:NUM_TRAIN][mask].mean()),
    "format_version": config_lib.FORMAT_VERSION,
    "unit": own.name,
    "recipe_digest": recipe.digest(),
    "recipe": dataclasses.asdict(recipe),
    "seed": settings.running.seed,
    "threads": settings.running.threads_per_unit,
    "dataset_digest": "d" * 32,
    "subset_digest": files.digest_bytes(np.packbits(mask)),
    "machine": {"host": "h", "cpu": "c", "gpu": ""},
    "versions": {"tensorflow": "t"},
    **record,
    "outputs": entries,
  }
  (folder / "run.json").write_text(sealed.dumps(about))


def change(path: pathlib.Path, **fields) -> None:
  """Changes fields of a record, as an older or another program writes it."""
  content = sealed.loads(path.read_bytes()) | fields
  path.write_text(sealed.dumps(content))
