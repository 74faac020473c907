"""`pruned-0.9`, `clustered-16`, `int8`: a trained model is made smaller.

pruned-0.9            from the weights of the same model's one_hot run on the
                      same subset, 90 % of each kernel are set to 0 while it is
                      fine-tuned
clustered-16          each kernel is left with 16 distinct values
int8                  8-bit integers, without fine-tuning
pruned-0.9-e20-r0.01  fine-tuned for 20 epochs, from a learning rate of 0.01

By default a model is fine-tuned for half of --epochs (at least 1), from a tenth
of --learning_rate; the rate falls to 0 by half a cosine.
"""

import dataclasses
import re

from memo_tf.experiment.recipes import recipe

METHODS = {"pruned": "prune", "clustered": "cluster", "int8": "quantize"}
# Images of the run's own subset that give the ranges of 8-bit activations.
REPRESENTATIVE = 256
EPOCHS_SHARE, RATE_SHARE = 0.5, 0.1
_NUMBER = r"[0-9]{1,4}(?:\.[0-9]{1,6})?"
_NAME = re.compile(
  rf"(?P<kind>pruned|clustered)-(?P<amount>{_NUMBER})"
  rf"(?:-e(?P<epochs>[0-9]{{1,5}}))?(?:-r(?P<rate>{_NUMBER}))?"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressedRecipe(recipe.Recipe):
  """How a model is compressed; `epochs` and rates are of its fine-tuning.

  Attributes:
    method: `prune`, `cluster` or `quantize`.
    sparsity: share of each kernel that is 0, in (0, 1); 0 of other methods.
    clusters: distinct values of each kernel; 0 of other methods.
    representative: images that give the ranges of 8-bit activations; 0 of other
      methods.
  """

  method: str
  sparsity: float = 0.0
  clusters: int = 0
  representative: int = 0


def parse(name: str, settings: dict) -> recipe.Recipe:
  """The recipe of a name; raises a `ValueError` that states the rule."""
  required = ((recipe.SAME_MODEL, "one_hot"),)
  if name == "int8":
    fixed = settings | {"epochs": 0, "warmup_epochs": 0.0}
    return CompressedRecipe(
      name=name,
      required=required,
      method="quantize",
      representative=REPRESENTATIVE,
      **fixed,
    )
  match = _NAME.fullmatch(name)
  if not match:
    raise ValueError(
      "A compressed recipe is named `pruned-SPARSITY`, `clustered-NUMBER` or "
      "`int8`; `-eEPOCHS` and `-rRATE` after the first two say how it is "
      f"fine-tuned, as in `pruned-0.9-e20-r0.01`. Received: {name!r}"
    )
  method, amount = METHODS[match["kind"]], float(match["amount"])
  if method == "prune" and not 0 < amount < 1:
    raise ValueError(f"A sparsity must be in (0, 1). Received: {name!r}")
  if method == "cluster" and not (amount >= 2 and amount.is_integer()):
    raise ValueError(
      f"Clusters must be a whole number, at least 2. Received: {name!r}"
    )
  canonical = f"{match['kind']}-{amount:.10g}"
  epochs = max(1, round(EPOCHS_SHARE * settings["epochs"]))
  rate = RATE_SHARE * settings["learning_rate"]
  if match["epochs"]:
    epochs = int(match["epochs"])
    canonical += f"-e{epochs}"
  if match["rate"]:
    rate = float(match["rate"])
    canonical += f"-r{rate:.10g}"
  if not (epochs >= 1 and rate > 0):
    raise ValueError(
      f"Fine-tuning takes an epoch and a rate above 0. Received: {name!r}"
    )
  if name != canonical:  # a name is a folder: one recipe, one name
    raise ValueError(
      f"This recipe is written {canonical!r}. Received: {name!r}"
    )
  tuned = {
    "epochs": epochs,
    "learning_rate": rate,
    "schedule": "cosine",
    "warmup_epochs": 0.0,
    "decay_epochs": (),
  }
  return CompressedRecipe(
    name=name,
    required=required,
    method=method,
    sparsity=amount if method == "prune" else 0.0,
    clusters=int(amount) if method == "cluster" else 0,
    **(settings | tuned),
  )
