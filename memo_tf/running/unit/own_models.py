"""Checks own models in a worker, before a study's first run."""

from collections.abc import Iterable
import functools

import keras

from memo_tf.compression import graph
from memo_tf.experiment import errors
from memo_tf.experiment import recipes
from memo_tf.experiment import run_outputs
from memo_tf.models import last_layer
from memo_tf.models import own_checks
from memo_tf.running.unit import session as session_lib
from memo_tf.running.unit import traced
from memo_tf.store import own_sources
from memo_tf.training import trainer as trainer_lib

# Output files of recording runs that need something of the model; what is
# computed from representations needs those.
_NEEDS = {
  "grand.npz": "gradients",
  "grand_last.npz": "last_gradients",
  "loss_sensitivity.npz": "input_gradients",
  "curvature.npz": "input_gradients",
  "vog.npz": "input_gradients",
}


def check(
  session: session_lib.Session, names: Iterable[str], outputs: Iterable[str]
) -> dict[str, dict]:
  """Builds and checks own models.

  Args:
    session: with the data.
    names: of the models.
    outputs: the output files that their recording runs must have.

  Returns:
    By model: what `own_checks.check` gives; `source`, its digest; `inputs`,
    the images that it gets; `outputs`, as given; `recipes`, those that need
    something of it (`own_sources.demanding`).

  Raises:
    UsageError: says what is wrong with which model.
  """
  outputs = sorted(outputs)
  try:
    return {name: _check(session, name, outputs) for name in names}
  except ValueError as error:
    raise errors.UsageError(str(error)) from error


def _check(session: session_lib.Session, name: str, outputs: list[str]) -> dict:
  data, models = session.data, session.own_models
  recipe = recipes.parse("one_hot", session.config.training)
  trainer = session.trainer(name, recipe)
  build = functools.partial(
    models.build,
    name,
    image_shape=data.image_shape,
    num_classes=data.num_classes,
    mean=data.mean,
    std=data.std,
    precision=recipe.precision,
  )
  found = own_checks.check(models.told(name), build)
  _check_recipes(session, trainer.model, models.told(name))
  for output in outputs:
    _check_output(session, trainer, models.told(name), output)
  return {
    **found,
    "source": models.digest(name),
    "inputs": "raw" if models.takes_raw(trainer.model) else "normalized",
    "outputs": outputs,
    "recipes": own_sources.demanding(session.config),
  }


def _check_recipes(
  session: session_lib.Session, model: keras.Model, told: str
) -> None:
  """Refuses a recipe that the model does not have what it takes for.

  Compressed ones need a model that tf_keras can rebuild, frozen ones a last
  layer that is the classifier.
  """
  config = session.config
  for recipe in own_sources.demanding(config):
    try:
      if isinstance(
        recipes.parse(recipe, config.training), recipes.FrozenRecipe
      ):
        last_layer.check(model, session.data.num_classes)
      else:
        graph.describe(model)
    except ValueError as error:
      raise ValueError(
        f"--recipes: {recipe} cannot be had of {told}: {error}"
      ) from error


def _check_output(
  session: session_lib.Session,
  trainer: trainer_lib.Trainer,
  told: str,
  output: str,
) -> None:
  """Refuses a proxy that needs what the model lacks."""
  kind = _NEEDS.get(output)
  if not kind and output not in run_outputs.OUTPUTS.values():
    kind = "representations"
  try:
    if kind:
      traced.function(kind, trainer, session)
  except ValueError as error:
    raise ValueError(
      f"--proxies: {output.removesuffix('.npz')} cannot be had of {told}: "
      f"{error}. Leave it out of --proxies."
    ) from error
