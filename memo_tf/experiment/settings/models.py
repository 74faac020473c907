"""Which models are trained, by which recipes."""

import dataclasses

from memo_tf.experiment import model_names
from memo_tf.experiment import own_models as own_models_lib
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
    "mobilenet_v3_small-WIDTH and mobilenet_v3_large-WIDTH. A model of your "
    "own: my_models.py:FUNCTION or package.module:FUNCTION, where "
    "FUNCTION(image_shape, num_classes) returns a keras.Model that gives "
    "logits, or my_model.json, from model.to_json(). Own models are a ladder "
    "in the order given.",
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
    "How each model is trained: one_hot; distilled-TEACHER-tTEMPERATURE, as "
    "in distilled-cifar_resnet-56-t3: on the predictions of a teacher, which "
    "is trained first, on the same subset (with -sees_all on everything, with "
    "-sees_complement on what the student does not see); smoothed-0.1: on "
    "smoothed labels, with -eEPOCHS for another number of epochs; "
    "pruned-SPARSITY, clustered-NUMBER, int8, as in pruned-0.9: the same model "
    "compressed, from the weights of its one_hot run on the same subset; or "
    "frozen, a negative control: only the last layer, on features of a one_hot "
    "run on all examples.",
    "union",
    rule=[field.NAMES_ONE, field.NAMED_ONCE],
    short=True,
  )
  own_models: tuple[str, ...] = _field(
    (),
    "Sources of own models, each with its digest, as a launch records them; "
    "own models of --models need not be repeated. To be given for a teacher "
    "that is not itself in --models.",
    "sources",
    parse=own_models_lib.parse,
    rule=field.parsed_by(own_models_lib.parse),
  )
  imports: tuple[str, ...] = _field(
    (),
    "Files or modules to import before own models are built (also --import), "
    "as those that register custom layers of a .json model.",
    "sources",
    parse=own_models_lib.parse_import,
    rule=field.parsed_by(own_models_lib.parse_import),
  )
  own_inputs: str = _field(
    "auto",
    "Images that own models get. normalized: of mean 0 and standard deviation "
    "1, as built-in models; raw: pixels from 0 to 255 as they are; auto: raw "
    "for models that begin with a Rescaling or Normalization layer or with "
    "arithmetic, normalized for others.",
    choices=("auto", "normalized", "raw"),
  )
