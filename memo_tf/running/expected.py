"""What runs are expected to cost, by what their model computes.

Says beforehand how much of a model can be timed (`measuring`), and stands in
for what could not be.
"""

import time

import tensorflow as tf

from memo_tf import proxies
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import run_outputs
from memo_tf.experiment import score_epochs
from memo_tf.running.unit import session as session_lib

# A training step's forward passes: forward, and backward towards the input and
# towards the weights.
TRAINING_PASSES = 3
# Part of `machine_rate()` that models reach in training.
REACHED = 0.8
# Layers that representations are taken of, where a model's are not counted.
TYPICAL_LAYERS = 10


def machine_rate() -> float:
  """Multiply-adds per second of this process in the steps of a convolution.

  Models reach a part of it (`REACHED`). It says beforehand what a step will
  take, to choose how much of it can be timed.
  """
  images = tf.random.normal([16, 32, 32, 64])
  kernel = tf.Variable(tf.random.normal([3, 3, 64, 64]))

  def step():
    with tf.GradientTape() as tape:
      tape.watch(images)
      total = tf.reduce_sum(tf.nn.conv2d(images, kernel, 1, "SAME"))
    tape.gradient(total, [images, kernel])[1].numpy()

  step()
  seconds = min(_seconds(step) for _ in range(3))
  return TRAINING_PASSES * 16 * 32 * 32 * 9 * 64 * 64 / seconds


def training_passes(recipe: recipes.Recipe) -> int:
  """A step's forward passes; 1 where only the last layer is trained."""
  return 1 if isinstance(recipe, recipes.FrozenRecipe) else TRAINING_PASSES


def step_seconds(
  multiply_adds: float, recipe: recipes.Recipe, rate: float
) -> float:
  """Seconds per step that a model takes, by its multiply-adds alone.

  Args:
    multiply_adds: of a forward pass of one image.
    recipe: how it is trained.
    rate: `machine_rate()`.
  """
  total = training_passes(recipe) * multiply_adds * recipe.batch_size
  return total / (rate * REACHED)


def cost_of_run(
  session: session_lib.Session,
  recipe: recipes.Recipe,
  share: float,
  step: float,
) -> dict[str, float]:
  """What a run costs by its number of passes, from the seconds of a step.

  Args:
    session: with the data, or a sample of them.
    recipe: of the run.
    share: fraction of the examples to predict that the session has, in (0, 1].
    step: seconds per training step.

  Returns:
    Seconds by name, as `measuring.measure` gives them, without `trace`.
  """
  forward = step / recipe.batch_size / training_passes(recipe)
  num_train = len(session.data.train_labels)
  predicted = (num_train + len(session.data.test_labels)) / share
  times = 1 + scored_epochs(session.config, recipe)
  found = {"step": step, "fixed": times * predicted * forward}
  outputs = run_outputs.outputs(session.config)
  if outputs:
    passes = recorded_passes(session.config, outputs, num_train, recipe.epochs)
    found["recording"] = passes * forward
    found["recording"] += second_training(session, recipe, step)
  return found


def scored_epochs(
  config: config_lib.StudyConfig, recipe: recipes.Recipe
) -> int:
  """How many times a run predicts all examples besides after its last epoch."""
  asked = config.outputs.score_epochs
  return len(score_epochs.recorded(asked, recipe))


def subset_size(session: session_lib.Session) -> int:
  """Examples of a subset, of those that the session has."""
  ratio = session.config.subsets.subset_ratio
  return int(ratio * len(session.data.train_labels))


def second_training(
  session: session_lib.Session, recipe: recipes.Recipe, step: float
) -> float:
  """Seconds of training the recipe again, on the other examples."""
  if not run_outputs.SECOND_TRAINING & run_outputs.outputs(session.config):
    return 0.0
  others = len(session.data.train_labels) - subset_size(session)
  return others // recipe.batch_size * recipe.epochs * step


def recorded_passes(
  config: config_lib.StudyConfig,
  outputs: frozenset[str],
  num_train: int,
  epochs: int,
) -> float:
  """Forward passes of one image that take as long as a run's recording.

  A backward pass towards the input counts as one, towards input and weights as
  two. The second training is not included, nor are nearest neighbours, which
  are no passes.

  Args:
    config: of the study.
    outputs: that are recorded.
    num_train: N.
    epochs: of the recipe.
  """
  settings = config.proxies
  recorded = run_outputs.recorded_epochs(epochs, settings.record_epochs)
  checkpoints = run_outputs.checkpoint_epochs(
    epochs, settings.record_checkpoints
  )
  ratio = config.subsets.subset_ratio
  by_checkpoint = {
    "grand.npz": 3,
    "grand_last.npz": 1,
    "loss_sensitivity.npz": 2,
    "curvature.npz": 2 * (1 + settings.curvature_draws),
    "vog.npz": 2,
  }
  # One second training serves both of its outputs.
  passes = ratio * epochs if run_outputs.SECOND_TRAINING & outputs else 0.0
  for output in outputs - run_outputs.SECOND_TRAINING:
    if output == "dynamics.npz":
      passes += len(recorded)
    elif output in by_checkpoint:
      passes += by_checkpoint[output] * len(checkpoints)
    elif output.removesuffix(".npz") in proxies.PROXIES:
      passes += 2 * ratio * TYPICAL_LAYERS
  return passes * num_train


def _seconds(action) -> float:
  before = time.perf_counter()
  action()
  return time.perf_counter() - before
