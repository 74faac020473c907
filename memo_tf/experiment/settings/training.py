"""How a model is trained."""

import dataclasses

from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment.settings import field

_field = field.field


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
  """The training settings from which recipes are made."""

  epochs: int = _field(
    20,
    "Passes over the run's own subset; at least 1.",
    rule=field.at_least(1),
    short=True,
  )
  batch_size: int = _field(
    128,
    "Examples per step. An epoch has subset size // batch size steps and skips "
    "the examples left over.",
    rule=field.at_least(1),
    short=True,
  )
  learning_rate: float = _field(
    0.1,
    "Peak learning rate of SGD, above 0.",
    rule=field.ABOVE_ZERO,
    short=True,
  )
  schedule: str = _field(
    "cosine",
    "step: multiply by --decay_factor at each of --decay_epochs; cosine: decay "
    "to 0; linear: decay to 0 in a line.",
    choices=recipes_lib.SCHEDULES,
  )
  warmup_epochs: float = _field(
    0.0, "Epochs over which the learning rate rises linearly from 0."
  )
  decay_epochs: tuple[float, ...] = _field(
    (),
    "Epochs at which the step schedule decays.",
    rule=(
      lambda x: all(e > 0 for e in x) and sorted(x) == list(x),
      "must be above 0 and in order",
    ),
  )
  decay_factor: float = _field(
    0.1,
    "Factor of each decay of --schedule=step.",
    rule=(lambda x: 0 < x <= 1, "must be in (0, 1]"),
  )
  momentum: float = _field(
    0.9,
    "Momentum of SGD, in [0, 1).",
    rule=(lambda x: 0 <= x < 1, "must be in [0, 1)"),
  )
  nesterov: bool = _field(True, "Nesterov's form of momentum.")
  weight_decay: float = _field(
    1e-4,
    "Strength c of weight decay, as --weight_decay_convention defines it.",
    rule=field.at_least(0),
  )
  weight_decay_convention: str = _field(
    "gradient",
    "gradient: c * w is added to the gradient (He et al., PyTorch); loss: "
    "c * |w|^2 is added to the loss, so 2c * w to the gradient (Keras's l2); "
    "decoupled: w loses learning_rate * c * w (Loshchilov & Hutter, 2019).",
    choices=recipes_lib.WEIGHT_DECAYS,
  )
  weight_decay_coverage: str = _field(
    "kernels",
    "kernels: convolution and dense kernels; all: biases, gamma and beta too.",
    choices=recipes_lib.WEIGHT_DECAY_COVERAGES,
  )
  batch_norm_momentum: float = _field(
    0.9,
    "Momentum of batch normalization's moving statistics, in [0, 1).",
    rule=(lambda x: 0 <= x < 1, "must be in [0, 1)"),
  )
  precision: str = _field(
    "float32",
    "float32; bfloat16: layers compute in bfloat16; weights, statistics, "
    "logits and loss stay float32; float64, to compare implementations.",
    choices=recipes_lib.PRECISIONS,
  )
  augmentation: str = _field(
    "none",
    "none, or pad_crop_flip: pad with 4 black pixels, crop at random to the "
    "original size, mirror half the time (He et al., 2016).",
    choices=recipes_lib.AUGMENTATIONS,
  )
  synchronized_batch_norm: bool = _field(
    False,
    "Compute batch-normalization statistics over all replicas of a step, not "
    "within each (--strategy=mirrored, multi_worker).",
  )
