"""A page of four made-up images, whose names are hostile."""

import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd

from memo_tf.estimators import influence
from memo_tf.estimators import margin_influence
from memo_tf.estimators import memorization
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.report import material
from memo_tf.report import page
from memo_tf.scoring import groups
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from tests.support import made_up

# Would run where text is taken for markup, inside attributes too.
EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


def make_group(
  flagged=(), never_out=False, model="cifar_resnet-8", fits=True
) -> groups.GroupScores:
  """Four examples, four runs; example 3 is planted and memorized."""
  in_mask = np.array(
    [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], bool
  )
  if never_out:
    in_mask[:, 0] = True
  labels = np.array([0, 1, 0, 1], np.int32)
  predicted = np.tile(labels, (4, 1))
  predicted[~in_mask[:, 3], 3] = 0
  if not fits:
    predicted = 1 - predicted
  stack = predictions.RunStack(
    units=tuple(
      work_units.WorkUnit(model, "one_hot", "r0.50", m) for m in range(4)
    ),
    in_mask=in_mask,
    label_prob=np.full((4, 4), 0.5, np.float32),
    margin=np.ones((4, 4), np.float32),
    predicted=predicted,
    labels=labels,
    test_predicted=np.array([[0, 1]] * 4, np.int32),
    test_labels=np.array([0, 0], np.int32),
    test_label_prob=np.full((4, 2), 0.5, np.float32),
    test_margin=np.ones((4, 2), np.float32),
  )
  return groups.GroupScores(
    group=work_units.Group(model, "one_hot", "r0.50"),
    parameters=75_002,
    scores=memorization.memorization_scores(stack.correct, in_mask),
    stack=stack,
    examples=pd.DataFrame(
      {
        "label": labels,
        "clean_label": [0, 1, 0, 0],
        "is_noisy": [False, False, False, True],
      }
    ),
    flagged=tuple(flagged),
    num_missing=1,
    seconds=12.0,
  )


def with_pairs(group: groups.GroupScores, q: float) -> groups.GroupScores:
  """The group with one pair, of training image 3 and test image 1."""
  return dataclasses.replace(
    group,
    influence=influence.InfluencePairs(
      train_ids=np.array([3]),
      test_ids=np.array([1]),
      influence=np.array([0.5]),
      standard_error=np.array([0.1]),
      q_value=np.array([q]),
      num_tested=8,
    ),
    margin_influence=margin_influence.MarginInfluence(
      influence=np.array([0.4]), q_value=np.array([0.2]), prior_degrees=4.0
    ),
  )


def write(
  root: pathlib.Path,
  results,
  failures=None,
  report_images="shown",
  examples=None,
  studies=(),
  info=None,
  removed=(),
  frozen=(),
  onions=(),
  **changes,
) -> pathlib.Path:
  """Writes a page of some groups, with all else it needs; returns its path."""
  directory = directory_lib.StudyDirectory(root)
  directory.dataset_dir.mkdir(parents=True)
  images = np.arange(6 * 8 * 8 * 3).reshape(6, 8, 8, 3) % 251
  np.save(directory.dataset_dir / "images.npy", images.astype(np.uint8))
  about = {
    **made_up.ABOUT_DATA,
    "name": EVIL,
    "version": "1",
    "licence": "none",
    "citation": "nobody",
    "order": "any",
    "num_train": 4,
    "num_test": 2,
    "num_classes": 2,
    "class_names": [EVIL, "cat & dog"],
    "image_shape": [8, 8, 3],
    "normalization": {"mean": [0.0] * 3, "std": [1.0] * 3},
    "max_pixel": 255,
  } | (info or {})
  (directory.dataset_dir / "info.json").write_text(json.dumps(about))
  record = {**made_up.ABOUT_RUN, "outputs": {}}
  for result in results:
    for unit in result.stack.units:
      folder = directory.run_dir(unit)
      folder.mkdir(parents=True, exist_ok=True)
      (folder / "run.json").write_text(json.dumps(record | {"unit": unit.name}))
  if examples is not None:
    examples.to_parquet(directory.dataset_dir / "examples.parquet")
  study = material.of(
    directory,
    config_lib.StudyConfig(
      outputs=settings_lib.OutputsConfig(report_images=report_images),
      **changes,
    ),
    results,
    failures or {},
    "--dataset=digits",
    studies,
    removed=removed,
    frozen=frozen,
    onions=onions,
  )
  return page.write_page(study)
