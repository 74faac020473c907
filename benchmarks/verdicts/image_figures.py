"""Figures of single images: the most memorized, and influence pairs."""

from matplotlib import pyplot as plt
import numpy as np

from benchmarks.verdicts import drawing
from benchmarks.verdicts import over_images
from benchmarks.verdicts import over_sizes
from memo_tf.report import votes as votes_lib


def most_memorized(studies: drawing.Studies) -> plt.Figure:
  """7: the 30 most memorized images of width 2, label and held-out votes."""
  a = studies["a"]
  result = a.scores(over_sizes.WIDTHS[-1])
  stack, labels = result.stack, result.stack.labels
  votes = votes_lib.count(stack.predicted, ~stack.in_mask)
  other, count = votes.most_other(labels)
  held_out = (~stack.in_mask).sum(axis=0)
  scores = np.nan_to_num(result.scores.memorization, nan=-1.0)
  chosen = np.argsort(-scores, kind="stable")[:30]
  sure = int((count >= 0.9 * held_out).sum())
  print(f"7: {sure} images that 90 % of the held-out runs give another class")
  figure, axes = drawing.axes(3, 10, (0.95, 1.25))
  for axis, n in zip(axes.ravel(), chosen):
    axis.imshow(np.squeeze(a.images[n]), cmap="gray")
    axis.set_title(
      f"{a.class_names[labels[n]]}\n"
      f"{a.class_names[other[n]]} {count[n]}/{held_out[n]}",
      fontsize=5,
    )
    axis.set_axis_off()
  return figure


def influence_pairs(studies: drawing.Studies) -> plt.Figure:
  """8: the twelve first pairs, training image on the left."""
  a = studies["a"]
  result = a.scores(over_sizes.WIDTHS[-1])
  pairs, num_train = result.influence, len(result.stack.labels)
  chosen = over_images.one_per_test_image(
    pairs.train_ids, pairs.test_ids, pairs.influence, pairs.q_value
  )[:12]
  figure, axes = drawing.axes(3, 8, (1.0, 1.25))
  for axis in axes.ravel():
    axis.set_axis_off()
  for p, index in enumerate(chosen):
    n, t = int(pairs.train_ids[index]), int(pairs.test_ids[index])
    for axis, image, title in (
      (axes.ravel()[2 * p], n, f"train {n}"),
      (
        axes.ravel()[2 * p + 1],
        num_train + t,
        f"test {t}: {pairs.influence[index]:.2f}",
      ),
    ):
      axis.imshow(np.squeeze(a.images[image]), cmap="gray")
      axis.set_title(title, fontsize=6)
  return figure
