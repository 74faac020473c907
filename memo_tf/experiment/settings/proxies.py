"""The settings of proxies, a group of `config.StudyConfig`.

Recording settings are fixed once a proxy is requested (`config.merge`).
"""

import dataclasses

from memo_tf import proxies as proxies_lib
from memo_tf.experiment.settings import field

_field = field.field
ALL = "all"
# What `--proxies` may name.
PROXY_NAMES = (ALL, *proxies_lib.PROXIES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProxiesConfig:
  """Cheap scores to compare with memorization, and what they record."""

  proxies: tuple[str, ...] = _field(
    (),
    "Proxies to compare with memorization, by name, or all; docs/method.md "
    "lists them. The first --proxy_runs runs record what proxies need.",
    "union",
    rule=[
      field.NAMED_ONCE,
      (
        lambda x: set(x) <= set(PROXY_NAMES),
        f"must be among: {', '.join(PROXY_NAMES)}",
      ),
    ],
    short=True,
  )
  proxy_runs: int = _field(
    5,
    "How many runs of each model and recipe record for proxies: the first "
    "ones.",
    "grows",
    rule=field.at_least(1),
  )
  proxy_files: tuple[str, ...] = _field(
    (),
    "Custom proxies: Parquet files with example_id and one column per proxy; "
    "with a column named model, values are per model.",
    "free",
    rule=field.NAMED_ONCE,
    record=False,
  )
  proxy_settings: tuple[str, ...] = _field(
    (),
    "Choices of formula where published code disagrees, such as el2n.at=none; "
    "docs/method.md lists them all.",
    "free",
    rule=(lambda x: proxies_lib.settings.parse(x) is not None, ""),
  )
  proxy_examples: str = _field(
    "in",
    "Recording runs over which an example's proxy is averaged. in: those that "
    "trained on the example; all: all of them.",
    "free",
    choices=("in", "all"),
  )
  proxy_dynamics: str = _field(
    "paper",
    "Where dynamics come from. clean: every unaugmented image, after an epoch; "
    "batch: images as presented in training; paper: as in each proxy's paper.",
    "free",
    choices=("paper", "clean", "batch"),
  )
  record_epochs: int = _field(
    1,
    "Epochs from one recording of dynamics to the next; the last epoch is "
    "always recorded.",
    rule=field.at_least(1),
  )
  record_checkpoints: int = _field(
    5,
    "K, the number of evenly spaced epochs at which gradients are recorded, "
    "the run's last included.",
    rule=field.at_least(1),
  )
  sensitivity_norm: str = _field(
    "l2",
    "Norm of the gradient of the loss with respect to the image.",
    choices=("l2", "l1"),
  )
  curvature_step: float = _field(
    1e-3,
    "Step length h of the curvature estimate, in normalized pixels. Above 0.",
    rule=field.ABOVE_ZERO,
  )
  curvature_draws: int = _field(
    10,
    "Number of random directions over which curvature is averaged.",
    rule=field.at_least(1),
  )
  vog_output: str = _field(
    "logit",
    "Output whose gradient the variance of gradients uses: the label's logit, "
    "or its probability.",
    choices=("logit", "probability"),
  )
  depth_reference: str = _field(
    "predicted",
    "What the probes of prediction depth must agree with: the finished model's "
    "prediction, or the labels.",
    choices=("predicted", "labels"),
  )
  probe_neighbours: int = _field(
    30,
    "k, the number of nearest neighbours for prediction depth and agreement.",
    rule=field.at_least(1),
  )
  probe_dimensions: int = _field(
    1024,
    "For nearest neighbours, layers with more dimensions than this are average-"
    "pooled until they have at most this many; 0: never.",
    rule=field.at_least(0),
  )
