"""What the recording runs keep for the proxies that a study asks for.

A proxy needs records (`proxies.RUN_OUTPUTS`); a run keeps its records in output
files, each of which is written and tracked as done separately:

    dynamics.npz           clean images after each recorded epoch   [E, N]
    batch_dynamics.npz     as presented in the training batch       [E, N]
    grand.npz, grand_last.npz, loss_sensitivity.npz, curvature.npz  [K, N]
    vog.npz, prediction_depth.npz, knn_label_agreement.npz          [N]
    second_split.npz, second_divergence.npz
                           the subset, while training on the others [E, N]
    probabilities.npz      of the finished model                    [N, C]

Proxies that need representations are computed in the run, which keeps only
their values: the representations of one run can be gigabytes. Records that are
predictions of the study's runs cost nothing extra.
"""

from collections.abc import Iterable

from memo_tf import proxies
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib

_DYNAMICS = (
  "label_prob",
  "max_prob",
  "entropy",
  "loss",
  "margin",
  "el2n",
  "correct",
)
CHECKPOINT_RECORDS = ("grand", "grand_last", "loss_sensitivity", "curvature")
# Record name to output file; records taken from predictions have none.
OUTPUTS = {
  **{name: "dynamics.npz" for name in _DYNAMICS},
  **{f"batch_{name}": "batch_dynamics.npz" for name in _DYNAMICS},
  **{name: f"{name}.npz" for name in CHECKPOINT_RECORDS},
  "vog": "vog.npz",
  "probabilities": "probabilities.npz",
  "second_correct": "second_split.npz",
  "second_divergence": "second_divergence.npz",
}
# Outputs of the second training, which a run does once for both.
SECOND_TRAINING = frozenset({"second_split.npz", "second_divergence.npz"})
# Outputs that can be recorded of streamed images too: all are predictions.
OF_STREAMED = frozenset(
  {"dynamics.npz", "batch_dynamics.npz", "probabilities.npz"}
)
# Records from many runs: of a group's predictions, or of several families.
FROM_PREDICTIONS = frozenset(
  {
    "subset_correct",
    "subset_label_prob",
    "subset_confidence",
    "in_mask",
    "family_correct",
    "family_in_mask",
  }
)


def chosen(config: config_lib.StudyConfig) -> dict[str, proxies.Proxy]:
  """The proxies that a study asks for, by name, in the table's order.

  `all` means those that the study supports: `cscore_profile` needs a second
  subset ratio, windows need as many recorded epochs. `--proxy_dynamics` says
  where dynamics come from.
  """
  settings = config.proxies
  asked = set(settings.proxies)
  formulas = proxies.settings.parse(settings.proxy_settings)
  found = {}
  for name, proxy in proxies.PROXIES.items():
    if name not in asked and not (
      settings_lib.ALL in asked and _can_have(config, proxy)
    ):
      continue
    if settings.proxy_dynamics != "paper" and _has_dynamics(proxy):
      proxy = proxy.from_source(settings.proxy_dynamics)
    found[name] = proxy.with_settings(**formulas.get(name, {}))
  return found


def is_computed_in_run(proxy: proxies.Proxy) -> bool:
  """Whether the run itself computes the proxy, from its representations."""
  return "representations" in proxy.needs


def outputs(config: config_lib.StudyConfig) -> frozenset[str]:
  """The output files that the recording runs of a study keep."""
  return outputs_of_all(chosen(config).values())


def outputs_of_all(asked: Iterable[proxies.Proxy]) -> frozenset[str]:
  """The output files from which these proxies are computed."""
  return frozenset().union(*map(outputs_of, asked))


def outputs_of(proxy: proxies.Proxy) -> frozenset[str]:
  """The output files from which a proxy is computed."""
  if is_computed_in_run(proxy):
    return frozenset({f"{proxy.name}.npz"})
  return frozenset(OUTPUTS[n] for n in proxy.needs if n in OUTPUTS)


def check_subset_sizes(
  config: config_lib.StudyConfig,
  asked: Iterable[proxies.Proxy],
  size: int,
  held_out: int,
) -> None:
  """Raises a `ValueError` if subsets do not fit the proxies.

  Args:
    config: of the study.
    asked: the proxies that it asks for.
    size: of the smallest subset, in which neighbours are searched.
    held_out: how many examples the largest subset of a recording run holds
      out: the second training needs at least one batch of them.
  """
  asked = list(asked)
  batch = config.training.batch_size
  second = [p.name for p in asked if outputs_of(p) & SECOND_TRAINING]
  if held_out < batch and second:
    raise ValueError(
      f"{second[0]} trains on the examples held out of a subset, "
      f"which must fill at least one batch of {batch}; here there are "
      f"{held_out}. Choose other --proxies, or a smaller --batch_size. "
      f"Received: --batch_size={batch}"
    )
  neighbours = config.proxies.probe_neighbours
  if neighbours >= size and any(is_computed_in_run(proxy) for proxy in asked):
    raise ValueError(
      f"--probe_neighbours must be below the size of a subset, {size}. "
      f"Received: --probe_neighbours={neighbours}"
    )


def is_recorded(output: str) -> bool:
  """Whether an output file of a run is one of those listed above."""
  name = output.removesuffix(".npz")
  return output in OUTPUTS.values() or (
    name in proxies.PROXIES and is_computed_in_run(proxies.PROXIES[name])
  )


def estimated_bytes(
  config: config_lib.StudyConfig,
  recorded: frozenset[str],
  num_train: int,
  num_classes: int,
) -> int:
  """The size on disk, in bytes, of one run's output files `recorded`."""
  epochs = config.training.epochs
  count = len(recorded_epochs(epochs, config.proxies.record_epochs))
  checkpoints = min(epochs, config.proxies.record_checkpoints)
  total = 0
  for output in recorded:
    if output.endswith("dynamics.npz"):
      total += 4 * len(_DYNAMICS) * count * num_train
    elif output == "probabilities.npz":
      total += 4 * num_classes * num_train
    elif output in SECOND_TRAINING:
      total += 4 * epochs * num_train
    else:
      rows = checkpoints if output[:-4] in CHECKPOINT_RECORDS else 1
      total += 4 * rows * num_train
  return total


def recorded_epochs(epochs: int, every: int) -> list[int]:
  """The epochs, from 1, after which dynamics are recorded; always the last."""
  return [e for e in range(1, epochs + 1) if e % every == 0 or e == epochs]


def checkpoint_epochs(epochs: int, count: int) -> list[int]:
  """`count` evenly spaced epochs, ending with the last epoch of the run.

  Epoch `round(j * epochs / count)` for j = 1 … count; fewer if the run has
  fewer epochs.
  """
  count = min(count, epochs)
  return [round(j * epochs / count) for j in range(1, count + 1)]


def _has_dynamics(proxy: proxies.Proxy) -> bool:
  return any(n.removeprefix("batch_") in _DYNAMICS for n in proxy.needs)


def _can_have(config: config_lib.StudyConfig, proxy: proxies.Proxy) -> bool:
  ratios = sum(name != "full" for name in config.family_names())
  if "family_correct" in proxy.needs and ratios < 2:
    return False
  return window_of(config, proxy.name) <= num_recorded(config)


def window_of(config: config_lib.StudyConfig, proxy: str) -> int:
  """Recorded epochs that a proxy needs at least: its window, or 1."""
  if proxy not in proxies.windows.LEAST_WINDOW:
    return 1
  formulas = proxies.settings.parse(config.proxies.proxy_settings)
  window = formulas.get(proxy, {}).get("window", proxies.windows.WINDOW)
  return int(str(window))


def num_recorded(config: config_lib.StudyConfig) -> int:
  """How many epochs of a run record dynamics."""
  every = config.proxies.record_epochs
  return len(recorded_epochs(config.training.epochs, every))
