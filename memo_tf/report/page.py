"""`report/index.html`: the results of a study in one self-contained file."""

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
from memo_tf.report import galleries
from memo_tf.report import proxy_page
from memo_tf.report import size_page
from memo_tf.scoring import groups
from memo_tf.store import arrays
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import time_left


def write_page(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
  results: list[groups.GroupScores],
  failures: dict[str, str],
  settings: str,
  studies: Sequence[sizes.SizeStudy] = (),
  compared: Sequence[proxies.RecipeFindings] = (),
) -> pathlib.Path:
  """Writes the page and returns its path.

  Args:
    directory: the study's directory.
    config: the study's configuration.
    results: from `scoring.score_study`, smallest model first.
    failures: error messages of the runs that failed in this launch, by unit
      name.
    settings: text of a flagfile that reproduces the study, shown on the page.
    studies: from `findings.sizes.study_sizes`.
    compared: from `findings.proxies.compare_study`; empty without proxies.
  """
  # Data sets written by early versions have no entry for duplicates.
  info = {"duplicates": {}, **dataset_info.read_info(directory)}
  images = None
  if config.outputs.report_images == "shown":
    is_encoded = dataset_info.is_encoded(info)
    name = "thumbnails.npy" if is_encoded else "images.npy"
    images = arrays.load(directory.dataset_dir / name, mmap_mode="r")
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("memo_tf.report", "templates"),
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
    gallery_size=galleries.GALLERY_SIZE,
  )
  files.write_atomic(directory.report_path, html)
  return directory.report_path


def _group(
  result: groups.GroupScores, info: dict, images: np.ndarray | None
) -> dict:
  """What the page shows of one group."""
  noisy = result.examples["is_noisy"].to_numpy(dtype=bool)
  planted = noisy | (result.plant() != "")
  return {
    "name": result.group.name,
    "model": result.group.label,
    "figures": result.summary(),
    "flagged": result.flagged,
    "num_missing": result.num_missing,
    "seconds": result.seconds,
    "num_out": _range(result.scores.num_out),
    "never_out": int((result.scores.num_out == 0).sum()),
    "histogram": figures.memorization_histogram(
      result.scores.memorization, noisy
    ),
    "pairs": galleries.influential_pairs(result, info, images),
    "num_pairs": 0 if result.influence is None else len(result.influence),
    "gallery": galleries.most_memorized(
      result, info, images, np.ones(len(noisy), bool)
    ),
    "planted": result.planted_summary(),
    "gallery_unplanted": (
      galleries.most_memorized(result, info, images, ~planted)
      if planted.any()
      else []
    ),
  }


def _sizes(results: list[groups.GroupScores]) -> list[dict]:
  """Two charts over sizes for each recipe and family with several models."""
  families: dict[tuple[str, str], list[groups.GroupScores]] = {}
  for result in results:
    families.setdefault((result.group.recipe, result.group.subsets), []).append(
      result
    )
  charts = []
  for (recipe, family), members in families.items():
    if len(members) < 2:
      continue
    labels = [member.group.label for member in members]
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
      memorization["other images"] = [row["other_memorization"] for row in rows]
    charts.append(
      {
        "name": f"{recipe}, {family}",
        "accuracy": figures.accuracy_by_size(labels, accuracies),
        "memorization": figures.accuracy_by_size(labels, memorization),
      }
    )
  return charts


def _reliability(results: list[groups.GroupScores]) -> str:
  """Reliability by number of runs, for every group with two or more points."""
  curves = {
    result.group.name: (
      [point.num_runs for point in result.reliability_curve],
      [point.reliability for point in result.reliability_curve],
    )
    for result in results
    if len(result.reliability_curve) > 1
  }
  return figures.reliability_by_runs(curves) if curves else ""


def _origins(
  directory: directory_lib.StudyDirectory, results: list[groups.GroupScores]
) -> dict[str, list[str]]:
  """The machines and package versions of the runs, with numbers of runs."""
  machines: collections.Counter[str] = collections.Counter()
  versions: collections.Counter[str] = collections.Counter()
  for result in results:
    for unit in result.stack.units:
      record = directory.run_state(unit, check_digests=False).record
      if record is None:  # removed since it was scored
        continue
      machine = record["machine"]
      isa = f" ({machine['isa']})" if machine.get("isa") else ""
      machines[machine["gpu"] or machine["cpu"] + isa] += 1
      versions[json.dumps(record["versions"], sort_keys=True)] += 1
  return {
    "machines": [f"{name} ({n} runs)" for name, n in machines.items()],
    "versions": [
      # Of the digest of the training code its beginning is enough.
      ", ".join(f"{k} {v[:12]}" for k, v in json.loads(text).items())
      + f" ({n} runs)"
      for text, n in versions.items()
    ],
  }


def _range(values: np.ndarray) -> str:
  low, high = int(values.min()), int(values.max())
  return str(low) if low == high else f"{low} to {high}"


def _number(value: float, digits: int = 3) -> str:
  return "–" if value != value else f"{value:.{digits}f}"
