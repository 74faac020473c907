"""The settings of a study: one dataclass per group, one field per flag."""

from memo_tf.experiment.settings.data import BUNDLED_DATASETS
from memo_tf.experiment.settings.data import DataConfig
from memo_tf.experiment.settings.data import is_dataset_name
from memo_tf.experiment.settings.data import PREDICTIONS
from memo_tf.experiment.settings.models import ModelsConfig
from memo_tf.experiment.settings.outputs import OUTCOMES
from memo_tf.experiment.settings.outputs import OutputsConfig
from memo_tf.experiment.settings.proxies import ALL
from memo_tf.experiment.settings.proxies import ProxiesConfig
from memo_tf.experiment.settings.proxies import PROXY_NAMES
from memo_tf.experiment.settings.removal import RemovalConfig
from memo_tf.experiment.settings.running import RunningConfig
from memo_tf.experiment.settings.subsets import SubsetsConfig
from memo_tf.experiment.settings.training import TrainingConfig

__all__ = [
  "ALL",
  "BUNDLED_DATASETS",
  "OUTCOMES",
  "PREDICTIONS",
  "PROXY_NAMES",
  "DataConfig",
  "ModelsConfig",
  "OutputsConfig",
  "ProxiesConfig",
  "RemovalConfig",
  "RunningConfig",
  "SubsetsConfig",
  "TrainingConfig",
  "is_dataset_name",
]
