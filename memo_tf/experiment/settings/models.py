"""Which models are trained, by which recipes."""

import dataclasses

from memo_tf.experiment import model_names
from memo_tf.experiment.settings import field

_field = field.field


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelsConfig:
  """What is trained."""

  models: tuple[str, ...] = _field(
    ("cifar_resnet-8",),
    "Models, the sizes of a study: cifar_resnet-DEPTH of depth 6n + 2; "
    "resnet-18, -34, -50, -101, -152 for images of 32 pixels and more; with "
    "-wWIDTH for another width, as in cifar_resnet-20-w0.5, and for a "
    "cifar_resnet -v2 (pre-activation) and -shortcutB (projections); "
    "mobilenet_v3_small-WIDTH and mobilenet_v3_large-WIDTH.",
    "union",
    rule=[
      field.NAMES_ONE,
      field.NAMED_ONCE,
      field.parsed_by(model_names.parse),
    ],
    short=True,
  )
  recipes: tuple[str, ...] = _field(
    ("one_hot",),
    "How each model is trained: one_hot, or distilled-TEACHER-tTEMPERATURE, as "
    "in distilled-cifar_resnet-56-t3: on the predictions of a teacher, which "
    "is trained first, on the same subset.",
    "union",
    rule=[field.NAMES_ONE, field.NAMED_ONCE],
    short=True,
  )
