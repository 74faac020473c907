"""`report/index.html`: what a study found, in one file that needs nothing else."""

import collections
from collections.abc import Sequence
import json
import pathlib

import jinja2
import numpy as np

import memo_tf
from memo_tf.experiment import config as config_lib
from memo_tf.findings import proxies
from memo_tf.findings import sizes
from memo_tf.report import figures
from memo_tf.report import proxy_page
from memo_tf.report import size_page
from memo_tf.scoring import groups
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import time_left

GALLERY_SIZE = 40


def write_page(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
  results: list[groups.GroupScores],
  failures: dict[str, str],
  settings: str,
  studies: list[sizes.SizeStudy] | tuple = (),
  compared: Sequence[proxies.RecipeFindings] = (),
) -> pathlib.Path:
  """Writes the page and returns its path.

  Args:
    directory: of the study.
    config: of the study.
    results: `scoring.score_study`, smallest model first.
    failures: error by unit name, of the runs that failed just now.
    settings: the flagfile that gives this study again, to be shown.
    studies: `size_study.study_sizes`.
    compared: `proxy_findings.compare_study`, if there are proxies.
  """
  # A data set from before duplicates were looked for says nothing of them.
  info = {"duplicates": {}, **dataset_info.read_info(directory)}
  images = None
  if config.outputs.report_images == "shown":
    is_encoded = dataset_info.is_encoded(info)
    name = "thumbnails.npy" if is_encoded else "images.npy"
    images = np.load(
      directory.dataset_dir / name, mmap_mode="r", allow_pickle=False
    )
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("memo_tf.report", "."),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  environment.filters["number"] = _number
  environment.filters["duration"] = time_left.duration
  html = environment.get_template("page.html").render(
    info=info,
    config=config,
    flags=settings,
    version=memo_tf.__version__,
    groups=[
      _group(result, info, images)
      | {"certainty": result.certainty(config.outputs.interval_width)}
      for result in results
    ],
    sizes=_sizes(results),
    reliability=_reliability(results),
    size_sections=size_page.sections(studies, info, images),
    proxies=proxy_page.sections(list(compared)),
    failures=failures,
    origins=_origins(directory, results),
    gallery_size=GALLERY_SIZE,
  )
  files.write_atomic(directory.report_path, html)
  return directory.report_path


def _group(
  result: groups.GroupScores, info: dict, images: np.ndarray | None
) -> dict:
  noisy = result.examples["is_noisy"].to_numpy(dtype=bool)
  planted = noisy | (result.plant() != "")
  return {
    "name": "/".join(result.group),
    "model": result.group[0],
    "figures": result.summary(),
    "flagged": result.flagged,
    "num_missing": result.num_missing,
    "seconds": result.seconds,
    "num_out": _range(result.scores.num_out),
    "never_out": int((result.scores.num_out == 0).sum()),
    "histogram": figures.memorization_histogram(
      result.scores.memorization, noisy
    ),
    "pairs": _pairs(result, info, images),
    "num_pairs": 0 if result.influence is None else len(result.influence),
    "gallery": _gallery(result, info, images, np.ones(len(noisy), bool)),
    "planted": result.planted_summary(),
    "gallery_unplanted": (
      _gallery(result, info, images, ~planted) if planted.any() else []
    ),
  }


def _gallery(
  result: groups.GroupScores,
  info: dict,
  images: np.ndarray | None,
  eligible: np.ndarray,
) -> list[dict]:
  """The most memorized of some examples: image, labels, score and interval."""
  scores = result.scores
  eligible = eligible & ~np.isnan(scores.memorization)
  values = np.where(eligible, scores.memorization, -np.inf)
  # Ties are many: among equals the one that held-out runs find hardest first.
  margin = np.where(result.stack.in_mask, np.nan, result.stack.margin)
  counts = np.maximum((~np.isnan(margin)).sum(axis=0), 1)
  hardness = np.nansum(margin, axis=0) / counts
  order = np.lexsort((hardness, -values))[:GALLERY_SIZE]
  names, tiles, plant = info["class_names"], [], result.plant()
  for n in order[np.isfinite(values[order])]:
    row = result.examples.iloc[n]
    outside = result.stack.predicted[~result.stack.in_mask[:, n], n]
    usual = collections.Counter(outside.tolist()).most_common(1)[0][0]
    tiles.append(
      {
        "id": int(n),
        "image": _picture(images, n, info),
        "label": names[row["label"]],
        "clean_label": names[row["clean_label"]],
        "is_noisy": bool(row["is_noisy"]),
        "plant": plant[n].replace("_", " "),
        "held_out_label": names[usual],
        "memorization": scores.memorization[n],
        "ci_low": scores.ci_low[n],
        "ci_high": scores.ci_high[n],
      }
    )
  return tiles


def _picture(images: np.ndarray | None, row: int, info: dict) -> str:
  """An image as a data URI; nothing if the page shall hold none."""
  if images is None:
    return ""
  return figures.image_uri(images[row], info["max_pixel"])


def _pairs(
  result: groups.GroupScores, info: dict, images: np.ndarray | None
) -> list[dict]:
  """The most influential pairs: both images, influence and certainty."""
  pairs, tiles = result.influence, []
  if pairs is None:
    return tiles
  num_train = len(result.stack.labels)
  for p in range(min(len(pairs), GALLERY_SIZE)):
    n, t = int(pairs.train_ids[p]), int(pairs.test_ids[p])
    tiles.append(
      {
        "train_id": n,
        "test_id": t,
        # The test images lie behind the training images.
        "train_image": _picture(images, n, info),
        "test_image": _picture(images, num_train + t, info),
        "train_label": info["class_names"][result.stack.labels[n]],
        "test_label": info["class_names"][result.stack.test_labels[t]],
        "influence": pairs.influence[p],
        "standard_error": pairs.standard_error[p],
        "q_value": pairs.q_value[p],
      }
    )
  return tiles


def _sizes(results: list[groups.GroupScores]) -> list[dict]:
  """Charts over sizes, one pair for each recipe and family with two or more."""
  families: dict[tuple[str, str], list[groups.GroupScores]] = {}
  for result in results:
    families.setdefault(result.group[1:], []).append(result)
  charts = []
  for (recipe, family), members in families.items():
    if len(members) < 2:
      continue
    labels = [member.group[0] for member in members]
    rows = [member.summary() for member in members]
    accuracies = {
      "in the subset": [row["in_accuracy"] for row in rows],
      "held out": [row["out_accuracy"] for row in rows],
      "test": [row["test_accuracy"] for row in rows],
    }
    if rows[0]["num_planted"]:
      accuracies["held out, clean label"] = [
        row["out_accuracy_clean"] for row in rows
      ]
    memorization = {"all": [row["mean_memorization"] for row in rows]}
    if rows[0]["num_planted"]:
      memorization["planted wrong labels"] = [
        row["planted_memorization"] for row in rows
      ]
      memorization["the others"] = [row["other_memorization"] for row in rows]
    charts.append(
      {
        "name": f"{recipe}, {family}",
        "accuracy": figures.accuracy_by_size(labels, accuracies),
        "memorization": figures.accuracy_by_size(labels, memorization),
      }
    )
  return charts


def _reliability(results: list[groups.GroupScores]) -> str:
  """The curve over M of every group that has one of two points or more."""
  curves = {
    "/".join(result.group): (
      [point.num_runs for point in result.reliability_curve],
      [point.reliability for point in result.reliability_curve],
    )
    for result in results
    if len(result.reliability_curve) > 1
  }
  return figures.reliability_by_runs(curves) if curves else ""


def _origins(directory, results) -> dict[str, list[str]]:
  """Which machines and versions the runs come from."""
  machines, versions = collections.Counter(), collections.Counter()
  for result in results:
    for unit in result.stack.units:
      record = directory.run_state(unit, check_digests=False).record
      if record is None:  # it went since it was scored
        continue
      machine = record["machine"]
      machines[machine["gpu"] or machine["cpu"]] += 1
      versions[json.dumps(record["versions"], sort_keys=True)] += 1
  return {
    "machines": [f"{name} ({n} runs)" for name, n in machines.items()],
    "versions": [
      ", ".join(f"{k} {v}" for k, v in json.loads(text).items())
      + f" ({n} runs)"
      for text, n in versions.items()
    ],
  }


def _range(values: np.ndarray) -> str:
  low, high = int(values.min()), int(values.max())
  return str(low) if low == high else f"{low} to {high}"


def _number(value: float, digits: int = 3) -> str:
  return "–" if value != value else f"{value:.{digits}f}"
