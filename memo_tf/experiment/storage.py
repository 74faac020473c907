"""Whether a data set is held in memory or streamed from disk."""

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import run_outputs
from memo_tf.experiment import settings as settings_lib


def is_streamed(
  config: settings_lib.RunningConfig, decoded_bytes: float
) -> bool:
  """Whether images of `decoded_bytes` bytes are streamed from disk."""
  if config.storage == "auto":
    return decoded_bytes > config.memory_budget_gb * 1e9
  return config.storage == "stream"


def check_storage(config: config_lib.StudyConfig, size: int) -> None:
  """Raises a `UsageError` if the settings do not suit data of `size` bytes."""
  in_memory = sorted(
    name
    for name, proxy in run_outputs.chosen(config).items()
    if run_outputs.outputs_of(proxy) - run_outputs.OF_STREAMED
  )
  if in_memory and is_streamed(config.running, size):
    raise errors.UsageError(
      "Proxies of gradients, representations or a second training need data in "
      f"memory, but these are streamed: they take {size / 1e9:.1f} GB "
      f"(--memory_budget_gb={config.running.memory_budget_gb:g}); raise that, "
      "pass --storage=memory, or choose other proxies. Received: --proxies="
      + ",".join(in_memory)
    )
  if config.outputs.materialize_subsets and is_streamed(config.running, size):
    raise errors.UsageError(
      "--materialize_subsets is for data in memory: streaming already reads "
      f"a subset without the rest. These take {size / 1e9:.1f} GB "
      f"(--memory_budget_gb={config.running.memory_budget_gb:g}). Received: "
      "--materialize_subsets"
    )
