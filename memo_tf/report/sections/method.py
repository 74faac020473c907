"""Method, figures by model, provenance, settings, citation."""

import collections
import json
from typing import Any

import numpy as np

from memo_tf.report import material
from memo_tf.report.sections import section


def make(study: material.Material) -> section.Section | None:
  """What a careful reader asks for, collapsed."""
  return section.Section(
    name="method",
    title="Method, provenance, settings",
    short="Method",
    content={
      "share": study.share(study.primary) if study.primary else "a part",
      "rows": [_row(study, r) for r in study.results],
      "planted": any(study.figures(r)["num_planted"] for r in study.results),
      "stuck": [f for r in study.results for f in r.flagged],
      "excluded": study.config.outputs.exclude_flagged_runs,
      "origins": _origins(study),
      "seconds": sum(r.seconds for r in study.results),
      "settings": study.settings,
      "distance": study.config.data.near_duplicate_distance,
      "test_truth": test_truth(study),
      "pixels": _pixels(study),
      # All wrong answers of unknown class have one of their own.
      "num_classes": study.info["num_classes"] - (not study.knows_answers),
    },
  )


def test_truth(study: material.Material) -> str:
  """What is known of the test labels; only what this program did itself."""
  if study.knows_truth:
    return (
      "Wrong labels were planted among the training images only; the test "
      "labels are as the data set gives them."
    )
  return "The test labels are as the data set gives them."


def _pixels(study) -> str:
  """The size of the images: "8×8"; "" where none were given."""
  height, width = study.info["image_shape"][:2]
  # Predictions that are given without images are recorded as of one pixel.
  return "" if height == width == 1 else f"{height}×{width}"


def _row(study, result) -> dict[str, Any]:
  return {
    "title": study.title(result),
    "name": result.group.name,
    "num_out": _range(result.scores.num_out),
    "never_out": int((result.scores.num_out == 0).sum()),
    "num_missing": result.num_missing,
  } | study.figures(result)


def _origins(study) -> dict[str, list[str]]:
  """The machines and package versions of the runs, with numbers of runs."""
  machines: collections.Counter[str] = collections.Counter()
  versions: collections.Counter[str] = collections.Counter()
  for result in study.results:
    for unit in result.stack.units:
      record = study.directory.run_state(unit, check_digests=False).record
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
