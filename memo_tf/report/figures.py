"""Figures of the page, as SVG text, and example images, as PNG data URIs."""

import base64
import io
import re

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

_STYLE = {
  "svg.hashsalt": "memo_tf",  # the same figures give the same file
  "svg.fonttype": "none",
  "text.parse_math": False,  # a name with two $ is a name
  "font.size": 9,
  "axes.spines.top": False,
  "axes.spines.right": False,
}


def accuracy_by_size(labels: list[str], series: dict[str, list[float]]) -> str:
  """Lines over model sizes: accuracies, or mean memorization."""
  with style():
    figure, axes = plt.subplots(figsize=(5.6, 3.0), layout="constrained")
    places = np.arange(len(labels))
    for name, values in series.items():
      axes.plot(places, values, marker="o", label=name)
    axes.set_xticks(places, labels, rotation=20, ha="right")
    axes.set_xlim(-0.3, len(labels) - 0.7)
    axes.legend(frameon=False, fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    return svg(figure)


def reliability_by_runs(
  curves: dict[str, tuple[list[int], list[float]]],
) -> str:
  """Reliability over the number of runs, a line a group."""
  with plt.rc_context(_STYLE):
    figure, axes = plt.subplots(figsize=(5.6, 3.0), layout="constrained")
    for name, (runs, values) in curves.items():
      axes.plot(runs, values, marker="o", label=name)
    axes.set_xlabel("runs")
    axes.set_ylabel("reliability")
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)
    return svg(figure)


def memorization_histogram(
  memorization: np.ndarray, is_noisy: np.ndarray
) -> str:
  """Histogram in 20 bins of width 0.05 over [0, 1], planted ones set apart.

  Estimates below 0 are noise and are shown in a bin of their own range.
  """
  known = ~np.isnan(memorization)
  low = min(0.0, np.floor(memorization[known].min(initial=0.0) / 0.05) * 0.05)
  edges = np.arange(round(low / 0.05), 21) * 0.05
  with style():
    figure, axes = plt.subplots(figsize=(4.2, 2.6), layout="constrained")
    parts, names = [memorization[known & ~is_noisy]], ["given label right"]
    if is_noisy.any():
      parts.append(memorization[known & is_noisy])
      names.append("planted wrong label")
    else:
      names = ["examples"]
    axes.hist(parts, bins=edges, label=names)
    log_axis(axes, linthresh=10)
    axes.set_xlabel("memorization")
    axes.set_ylabel("examples (log scale)")
    axes.legend(frameon=False, fontsize=8)
    return svg(figure)


def proxy_scatter(
  proxy: np.ndarray, memorization: np.ndarray, name: str, max_points: int
) -> str:
  """Memorization over a proxy, at most `max_points` examples, as a picture.

  The points are one embedded image: a thousand of them in SVG for each proxy
  would make the page large.
  """
  known = np.flatnonzero(~np.isnan(proxy) & ~np.isnan(memorization))
  rng = np.random.default_rng(0)
  if len(known) > max_points:
    known = np.sort(rng.choice(known, max_points, replace=False))
  with plt.rc_context(_STYLE):
    figure, axes = plt.subplots(figsize=(2.5, 2.1), layout="constrained")
    axes.scatter(
      proxy[known],
      memorization[known],
      s=5,
      alpha=0.35,
      linewidths=0,
      rasterized=True,
    )
    axes.set_xlabel(name)
    axes.set_ylabel("memorization")
    return svg(figure)


def image_uri(image: np.ndarray, max_pixel: int) -> str:
  """A PNG data URI of a uint8 image `[H, W, 1, 3 or 4 channels]`."""
  pixels = image.astype(np.float64) * (255.0 / max_pixel)
  pixels = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
  if pixels.shape[-1] == 1:
    pixels = pixels[..., 0]
  sink = io.BytesIO()
  Image.fromarray(pixels).save(sink, format="PNG", optimize=True)
  content = base64.b64encode(sink.getvalue()).decode()
  return f"data:image/png;base64,{content}"


def log_axis(axes, *, linthresh: float) -> None:
  """A vertical axis that is logarithmic above `linthresh`.

  With plain numbers: matplotlib's own powers are mathematical text, which the
  style leaves as it is written.
  """
  axes.set_yscale("symlog", linthresh=linthresh)
  axes.yaxis.set_major_formatter(lambda value, place: f"{value:g}")


def style():
  """The look of all figures, as a context."""
  return plt.rc_context(_STYLE)


def svg(figure) -> str:
  """A figure as SVG text to stand in HTML; closes it."""
  sink = io.StringIO()
  figure.savefig(sink, format="svg", metadata={"Date": None})
  plt.close(figure)
  text = sink.getvalue()
  # To stand in HTML: without the XML header and matplotlib's own metadata.
  text = text[text.index("<svg") :]
  return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
