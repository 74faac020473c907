"""The page's figures as SVG text, and example images as PNG data URIs."""

import base64
import contextlib
import io
import re
from typing import Any

import matplotlib
import matplotlib.figure

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

_STYLE: dict[Any, Any] = {
  "svg.hashsalt": "memo_tf",  # makes the output reproducible
  "svg.fonttype": "none",
  "text.parse_math": False,  # names may contain "$"
  "font.size": 9,
  "axes.spines.top": False,
  "axes.spines.right": False,
}


def accuracy_by_size(labels: list[str], series: dict[str, list[float]]) -> str:
  """Line chart of accuracies or of mean memorization by model size.

  Args:
    labels: names of the S sizes.
    series: S values in [-1, 1] by name of the line.

  Returns:
    SVG text.
  """
  with style():
    figure, axes = plt.subplots(figsize=(5.6, 3.0), layout="constrained")
    positions = np.arange(len(labels))
    for name, values in series.items():
      axes.plot(positions, values, marker="o", label=name)
    axes.set_xticks(positions, labels, rotation=20, ha="right")
    axes.set_xlim(-0.3, len(labels) - 0.7)
    axes.legend(frameon=False, fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    return svg(figure)


def reliability_by_runs(
  curves: dict[str, tuple[list[int], list[float]]],
) -> str:
  """Line chart of reliability by number of runs, one line per group.

  Args:
    curves: numbers of runs and reliabilities by name of the group.

  Returns:
    SVG text.
  """
  with style():
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
  """Histogram of scores in bins of width 0.05, planted labels set apart.

  Args:
    memorization: `[N]` scores; NaN is left out. Bins below 0 are added where
      scores are negative.
    is_noisy: `[N]` bool, examples with a planted wrong label.

  Returns:
    SVG text.
  """
  known = ~np.isnan(memorization)
  low = min(0.0, np.floor(memorization[known].min(initial=0.0) / 0.05) * 0.05)
  edges = np.arange(round(low / 0.05), 21) * 0.05
  with style():
    figure, axes = plt.subplots(figsize=(4.2, 2.6), layout="constrained")
    parts, names = [memorization[known & ~is_noisy]], ["correct label"]
    if is_noisy.any():
      parts.append(memorization[known & is_noisy])
      names.append("planted wrong label")
    else:
      names = ["examples"]
    axes.hist(parts, bins=edges.tolist(), label=names)
    log_axis(axes, linthresh=10)
    axes.set_xlabel("memorization")
    axes.set_ylabel("examples (log scale)")
    axes.legend(frameon=False, fontsize=8)
    return svg(figure)


def proxy_scatter(
  proxy: np.ndarray, memorization: np.ndarray, name: str, max_points: int
) -> str:
  """Scatter plot of memorization against a proxy.

  The points are embedded as one image: as SVG elements, thousands of points
  for each proxy would make the page large.

  Args:
    proxy: `[N]` values of the proxy; NaN is left out.
    memorization: `[N]` scores; NaN is left out.
    name: label of the horizontal axis.
    max_points: number of points at most, drawn at random beyond that.

  Returns:
    SVG text.
  """
  known = np.flatnonzero(~np.isnan(proxy) & ~np.isnan(memorization))
  rng = np.random.default_rng(0)
  if len(known) > max_points:
    known = np.sort(rng.choice(known, max_points, replace=False))
  with style():
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
  """A PNG data URI of an image.

  Args:
    image: `[H, W, channels]` with 1, 3 or 4 channels, in [0, max_pixel].
    max_pixel: the value shown as full intensity (255 for 8-bit images).
  """
  pixels = image.astype(np.float64) * (255.0 / max_pixel)
  pixels = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
  if pixels.shape[-1] == 1:
    pixels = pixels[..., 0]
  sink = io.BytesIO()
  Image.fromarray(pixels).save(sink, format="PNG", optimize=True)
  content = base64.b64encode(sink.getvalue()).decode()
  return f"data:image/png;base64,{content}"


def log_axis(axes: plt.Axes, *, linthresh: float) -> None:
  """Makes the vertical axis logarithmic above `linthresh`.

  Ticks are plain numbers, since matplotlib writes powers as math text, which
  the style does not parse.
  """
  axes.set_yscale("symlog", linthresh=linthresh)
  axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def style() -> contextlib.AbstractContextManager[None]:
  """A context in which all figures of the page are drawn."""
  return plt.rc_context(_STYLE)


def svg(figure: matplotlib.figure.Figure) -> str:
  """A figure as SVG text to embed in HTML; closes the figure."""
  sink = io.StringIO()
  figure.savefig(sink, format="svg", metadata={"Date": None})
  plt.close(figure)
  text = sink.getvalue()
  # HTML takes neither the XML header nor matplotlib's metadata.
  text = text[text.index("<svg") :]
  return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
