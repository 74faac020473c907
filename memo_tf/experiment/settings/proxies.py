"""The settings of proxies, a group of `config.StudyConfig`.

What is recorded is fixed from the first proxy on (`config.merge`).
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
    "lists them. Each has the first --proxy_runs runs record what it needs.",
    "union",
    rule=[
      field.NAMED_ONCE,
      (
        lambda x: set(x) <= set(PROXY_NAMES),
        f"must be of: {', '.join(PROXY_NAMES)}",
      ),
    ],
    short=True,
  )
  proxy_runs: int = _field(
    5,
    "How many runs of each model and recipe record: the first ones.",
    "grows",
    rule=field.at_least(1),
  )
  proxy_files: tuple[str, ...] = _field(
    (),
    "Custom proxies: Parquet files with example_id and one column per proxy; "
    "with a column model as well, values for each model.",
    "free",
    rule=field.NAMED_ONCE,
    record=False,
  )
  proxy_settings: tuple[str, ...] = _field(
    (),
    "Formulas where published code disagrees, such as el2n.at=none; "
    "docs/method.md has them all.",
    "free",
    rule=(lambda x: proxies_lib.settings.parse(x) is not None, ""),
  )
  proxy_examples: str = _field(
    "in",
    "Whose mean over the recording runs a proxy is. in: of an example the runs "
    "whose subset it was in; all: all.",
    "free",
    choices=("in", "all"),
  )
  proxy_dynamics: str = _field(
    "paper",
    "Where dynamics come from. clean: every image, as it is, after an epoch; "
    "batch: as presented in training; paper: as each proxy's paper has it.",
    "free",
    choices=("paper", "clean", "batch"),
  )
  record_epochs: int = _field(
    1,
    "Dynamics are recorded every so many epochs, and after the last.",
    rule=field.at_least(1),
  )
  record_checkpoints: int = _field(
    5,
    "K, at how many evenly spaced epochs gradients are recorded; the last one "
    "is the run's last.",
    rule=field.at_least(1),
  )
  sensitivity_norm: str = _field(
    "l2", "Norm of the loss's gradient by the image.", choices=("l2", "l1")
  )
  curvature_step: float = _field(
    1e-3,
    "Length h of the step of curvature, in normalized pixels. Above 0.",
    rule=field.ABOVE_ZERO,
  )
  curvature_draws: int = _field(
    10,
    "How many random directions of curvature are averaged.",
    rule=field.at_least(1),
  )
  vog_output: str = _field(
    "logit",
    "Whose gradient the variance of gradients is of: the label's logit, or its "
    "probability.",
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
    "k of the nearest neighbours that prediction depth and agreement take.",
    rule=field.at_least(1),
  )
  probe_dimensions: int = _field(
    1024,
    "A layer of more dimensions is averaged over squares of pixels until it "
    "has at most so many, for nearest neighbours; 0: never.",
    rule=field.at_least(0),
  )
