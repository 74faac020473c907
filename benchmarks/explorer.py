"""The page of a large study in a real browser: size, times, memory.

    python benchmarks/explorer.py [--examples=50000] [--sizes=5] [--visits=5]

Writes the page of a made-up study (colour images of 32x32 pixels, several sizes
of 40 runs, pairs, file names) under studies/explorer-benchmark, unless it is
there, and opens it from disk in Debian's Chromium. The images have the spectrum
of natural ones (amplitude 1 / frequency) and random colours, so that they take
as many bytes. Times are medians over visits, each in a new process: until the
answer strip is painted (first contentful paint), until the grid shows images
and takes input, and of every filter and sort until the frame after it is drawn.
Memory is the renderer's peak (VmHWM) after scrolling through the grid.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import numpy as np
import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from memo_tf.estimators import influence  # noqa: E402
from memo_tf.estimators import memorization  # noqa: E402
from memo_tf.experiment import config as config_lib  # noqa: E402
from memo_tf.experiment import settings as settings_lib  # noqa: E402
from memo_tf.experiment import subsets  # noqa: E402
from memo_tf.experiment import work_units  # noqa: E402
from memo_tf.findings import sizes as sizes_lib  # noqa: E402
from memo_tf.report import material  # noqa: E402
from memo_tf.report import page as page_lib  # noqa: E402
from memo_tf.scoring import groups  # noqa: E402
from memo_tf.store import directory as directory_lib  # noqa: E402
from memo_tf.store import predictions  # noqa: E402
from tests.support import browser  # noqa: E402
from tests.support import made_up  # noqa: E402

SIDE, CLASSES, RUNS, FAMILY = 32, 100, 40, "r0.70"
DEPTHS = (8, 14, 20, 56, 110)
NUM_TEST, NUM_PAIRS = 10_000, 3000


def colour_images(count: int, rng: np.random.Generator) -> np.ndarray:
  """uint8 `[count, 32, 32, 3]` with the spectrum of natural images."""
  frequency = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(SIDE)]))
  frequency[0, 0] = np.inf
  found = np.empty((count, SIDE, SIDE, 3), np.uint8)
  for start in range(0, count, 5000):
    part = found[start : start + 5000]
    shape = (len(part), SIDE, SIDE)
    layers = []
    for _ in range(3):
      noise = np.fft.fft2(rng.standard_normal(shape))
      layer = np.fft.ifft2(noise / frequency).real
      layers.append(layer / layer.std(axis=(1, 2), keepdims=True))
    # Brightness is most of an image, and colours follow it.
    light, red, blue = layers
    colours = np.stack([light + 0.3 * red, light, light + 0.3 * blue], -1)
    level = rng.uniform(90, 160, (len(part), 1, 1, 3))
    part[...] = np.clip(colours * 45 + level, 0, 255).astype(np.uint8)
  return found


# Long, since it lists what runs of every size would have recorded.
def made_up_groups(num_examples: int, num_sizes: int, rng):
  """Groups of simulated runs, harder examples more memorized."""
  in_mask = subsets.in_masks(num_examples, RUNS, 0.7, scheme="balanced", seed=0)
  labels = rng.integers(0, CLASSES, num_examples).astype(np.int32)
  test_labels = rng.integers(0, CLASSES, NUM_TEST).astype(np.int32)
  hard = rng.beta(0.5, 1.0, num_examples)
  rival = (labels + 1 + rng.integers(0, CLASSES - 1, num_examples)) % CLASSES
  noisy = rng.random(num_examples) < 0.02
  hard[noisy] = rng.uniform(0.9, 1.0, noisy.sum())
  examples = pd.DataFrame(
    {
      "label": labels,
      "clean_label": np.where(noisy, rival, labels),
      "is_noisy": noisy,
      "source": [
        f"train/class_{k:03d}/{n:06d}.png" for n, k in enumerate(labels)
      ],
    }
  )
  found = []
  for size, depth in enumerate(DEPTHS[:num_sizes]):
    model = f"cifar_resnet-{depth}"
    level = np.clip(hard - 0.03 * size, 0, 1)
    right = rng.random(in_mask.shape) < np.where(in_mask, 0.99, 1 - level)
    wrong = np.where(
      rng.random(in_mask.shape) < 0.6,
      rival,
      (labels + rng.integers(1, CLASSES, in_mask.shape)) % CLASSES,
    )
    predicted = np.where(right, labels, wrong).astype(np.int32)
    shape = (RUNS, NUM_TEST)
    stack = predictions.RunStack(
      units=tuple(
        work_units.WorkUnit(model, "one_hot", FAMILY, m) for m in range(RUNS)
      ),
      in_mask=in_mask,
      label_prob=right.astype(np.float32),
      margin=right.astype(np.float32),
      predicted=predicted,
      labels=labels,
      test_predicted=np.where(
        rng.random(shape) < 0.6, test_labels, test_labels[::-1]
      ),
      test_labels=test_labels,
      test_label_prob=np.zeros(shape, np.float32),
      test_margin=np.zeros(shape, np.float32),
    )
    found.append(
      groups.GroupScores(
        group=work_units.Group(model, "one_hot", FAMILY),
        parameters=10_000 * depth,
        scores=memorization.memorization_scores(stack.correct, in_mask),
        stack=stack,
        examples=examples,
        flagged=(),
        num_missing=0,
        seconds=1.0,
        influence=influence.InfluencePairs(
          train_ids=rng.integers(0, num_examples, NUM_PAIRS),
          test_ids=rng.integers(0, NUM_TEST, NUM_PAIRS),
          influence=np.sort(rng.uniform(0.2, 0.8, NUM_PAIRS))[::-1],
          standard_error=np.full(NUM_PAIRS, 0.1),
          q_value=rng.uniform(0, 0.1, NUM_PAIRS),
          num_tested=10**9,
        ),
      )
    )
  return found


def write(root: pathlib.Path, num_examples: int, num_sizes: int) -> float:
  """Writes the page and what it needs; returns the page's seconds."""
  rng = np.random.default_rng(0)
  directory = directory_lib.StudyDirectory(root)
  directory.dataset_dir.mkdir(parents=True, exist_ok=True)
  np.save(
    directory.dataset_dir / "images.npy",
    colour_images(num_examples + NUM_TEST, rng),
  )
  info = {
    **made_up.ABOUT_DATA,
    "name": "made up",
    "version": "1",
    "licence": "none",
    "citation": "none",
    "order": "any",
    "num_train": num_examples,
    "num_test": NUM_TEST,
    "num_classes": CLASSES,
    "class_names": [f"class {k}" for k in range(CLASSES)],
    "image_shape": [SIDE, SIDE, 3],
    "normalization": {"mean": [0.0] * 3, "std": [1.0] * 3},
  }
  (directory.dataset_dir / "info.json").write_text(json.dumps(info))
  results = made_up_groups(num_examples, num_sizes, rng)
  config = config_lib.StudyConfig(
    models=settings_lib.ModelsConfig(
      models=tuple(r.group.model for r in results)
    )
  )
  key = sizes_lib.LadderName("cifar_resnet", "one_hot", FAMILY)
  study = sizes_lib.gather(key, results, config.outputs)
  if study is not None:
    _ = study.trends, study.findings, study.example_changes, study.class_means
  started = time.perf_counter()
  ladders = [study] if study is not None else []
  page_lib.write_page(
    material.of(directory, config, results, {}, "--made_up", ladders)
  )
  return time.perf_counter() - started


_TIMED = """async ([id, value]) => {
  const node = document.getElementById(id);
  const start = performance.now();
  node.value = value;
  node.dispatchEvent(new Event(node.type === "search" ? "input" : "change"));
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}"""
ACTIONS = {
  "filter by class": ("label", "7"),
  "filter by score": ("from", "0.5"),
  "search": ("search", "0123"),
  "sort by score": ("sort", "score"),
  "sort by change": ("sort", "change"),
  "sort by id": ("sort", "id"),
  "filter by answer": ("said", "9"),
}


def visit(path: pathlib.Path) -> dict[str, float]:
  """Times in seconds and MB of one visit in a new browser."""
  found = {}
  with browser.browser() as running:
    started = time.perf_counter()
    seen = browser.visit(running, path)
    seen.page.wait_for_selector("#grid .tile")
    found["opened, with its process"] = time.perf_counter() - started
    found["usable"] = (
      seen.page.evaluate("performance.getEntriesByName('ready')[0].startTime")
      / 1000
    )
    found["strip"] = (
      seen.page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
      )
      / 1000
    )
    seen.page.wait_for_selector("#chart-histogram[data-drawn]")
    seen.page.wait_for_timeout(1000)
    for name, (control, value) in ACTIONS.items():
      found[name] = seen.page.evaluate(_TIMED, [control, value]) / 1000
      if control != "sort":
        seen.page.evaluate(_TIMED, [control, ""])
    seen.page.evaluate(
      """async () => {
        const grid = document.getElementById('grid');
        for (let k = 0; k <= 100; k++) {
          grid.scrollTop = k * (grid.scrollHeight - grid.clientHeight) / 100;
          await new Promise(done => setTimeout(done, 30));
        }
      }"""
    )
    seen.page.click("#grid .tile >> nth=3")
    seen.page.wait_for_timeout(1500)
    found["renderer MB"] = renderer_peak()
    if seen.problems or seen.requests:
      raise RuntimeError(f"{seen.problems} {seen.requests}")
  return found


def renderer_peak() -> float:
  """The largest peak of resident memory of a renderer, in MB."""
  peaks = [0.0]
  for entry in pathlib.Path("/proc").iterdir():
    if not entry.name.isdigit():
      continue
    try:
      if b"--type=renderer" in (entry / "cmdline").read_bytes():
        text = (entry / "status").read_text()
        peaks.append(int(text.split("VmHWM:")[1].split()[0]) / 1024)
    except OSError:  # it has ended
      continue
  return max(peaks)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--examples", type=int, default=50_000)
  parser.add_argument("--sizes", type=int, default=5)
  parser.add_argument("--visits", type=int, default=5)
  parser.add_argument("--dir", default=str(ROOT / "studies"))
  arguments = parser.parse_args()
  name = f"explorer-benchmark-{arguments.examples}-{arguments.sizes}"
  root = pathlib.Path(arguments.dir) / name
  path = root / "report" / "index.html"
  if not path.exists():
    seconds = write(root, arguments.examples, arguments.sizes)
    print(f"page written in {seconds:.1f} s")
  total = sum(p.stat().st_size for p in path.parent.rglob("*") if p.is_file())
  print(
    f"{total / 1e6:.1f} MB in all, the page {path.stat().st_size / 1e6:.1f}"
  )
  visits = [visit(path) for _ in range(arguments.visits)]
  figures = {
    key: statistics.median(v[key] for v in visits) for key in visits[0]
  }
  for key, value in figures.items():
    least, most = (f(v[key] for v in visits) for f in (min, max))
    print(f"{key:18} {value:8.3f}   ({least:.3f} to {most:.3f})")
  print(
    json.dumps({"benchmark": "explorer", "MB": total / 1e6, "figures": figures})
  )


if __name__ == "__main__":
  main()
