"""SGD with (Nesterov) momentum and weight decay, one fused op per variable.

    v <- momentum * v - rate * g
    w <- w + momentum * v - rate * g        (Nesterov; else w <- w + v)

Weight decay of strength s comes first, by the recipe's convention:

    gradient    g <- g + s * w
    loss        g <- g + 2 * s * w          (s * ||w||^2 in the loss)
    decoupled   w <- w - rate * s * w
"""

import keras
import tensorflow as tf

from memo_tf.experiment import recipes


class MomentumOptimizer:
  """Updates a model's trainable variables by a recipe.

  Made in the scope of the strategy that the model was built in.

  Args:
    model: whose trainable variables are updated.
    recipe: its momentum and weight decay.

  Attributes:
    weights: the `tf.Variable`s that are updated.
    velocities: of each weight, the `tf.Variable` v.
  """

  def __init__(self, model: keras.Model, recipe: recipes.Recipe):
    self._recipe = recipe
    self.weights = [v.value for v in model.trainable_variables]
    self.velocities = [
      tf.Variable(tf.zeros(w.shape, w.dtype), trainable=False)
      for w in self.weights
    ]
    self._decayed = [
      recipe.weight_decay_coverage == "all" or v.name.endswith("kernel")
      for v in model.trainable_variables
    ]

  def reset(self) -> None:
    """Sets all velocities to 0, as at the start of a training."""
    for velocity in self.velocities:
      velocity.assign(tf.zeros_like(velocity))

  def update(self, gradients: list[tf.Tensor], rate: tf.Tensor) -> None:
    """Makes one step.

    Args:
      gradients: one per weight, of its shape.
      rate: float32 scalar, the learning rate.
    """
    recipe = self._recipe
    strength = recipe.weight_decay
    if recipe.weight_decay_convention == "loss":
      strength *= 2.0
    for weight, velocity, decayed, gradient in zip(
      self.weights, self.velocities, self._decayed, gradients
    ):
      # By their handles: of a mirrored variable that is this replica's copy.
      speed = tf.cast(rate, weight.dtype)
      if decayed and strength:
        if recipe.weight_decay_convention == "decoupled":
          tf.raw_ops.AssignSubVariableOp(
            resource=weight.handle, value=speed * strength * weight
          )
        else:
          gradient += strength * weight
      tf.raw_ops.ResourceApplyKerasMomentum(
        var=weight.handle,
        accum=velocity.handle,
        lr=speed,
        grad=gradient,
        momentum=tf.constant(recipe.momentum, weight.dtype),
        use_nesterov=recipe.nesterov,
      )
