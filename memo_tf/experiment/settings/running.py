"""Where and how the work is done."""

import dataclasses

from memo_tf.experiment.settings import field

_field = field.field


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunningConfig:
  """Where and how the work is done."""

  seed: int = _field(
    0,
    "Every random stream derives from it; 0 or more.",
    rule=field.at_least(0),
    short=True,
  )
  threads_per_unit: int = _field(
    1,
    "Threads of one run. Part of what fixes the results: another number gives "
    "other roundings. 1 repeats to the bit.",
    rule=[field.at_least(1), field.at_most(field.MOST_PROCESSES)],
  )
  jit_compile: str = _field(
    "auto",
    "Compile with XLA: on, off, or auto: on an accelerator but not on a CPU, "
    "where it is slower. Affects results.",
    choices=("auto", "on", "off"),
  )
  strategy: str = _field(
    "one_device",
    "Where a run's steps are computed: one_device; mirrored: on all devices of "
    "this machine; multi_worker: in several processes, each started by the "
    "same command with its own TF_CONFIG.",
    choices=("one_device", "mirrored", "multi_worker"),
  )
  cpu_devices: int = _field(
    1,
    "Logical devices that the CPU is divided into, to use mirrored without "
    "accelerators.",
    rule=[field.at_least(1), field.at_most(field.MOST_PROCESSES)],
  )
  workers: int = _field(
    0,
    "Runs at a time; 0: one per GPU; no GPU: cores // threads_per_unit.",
    "free",
    rule=[field.at_least(0), field.at_most(field.MOST_PROCESSES)],
    short=True,
  )
  storage: str = _field(
    "auto",
    "memory: hold all images in memory, decoded; stream: read and decode them "
    "from disk as a run needs them; auto: stream if they would take "
    "more than --memory_budget_gb. Batches and results are the same.",
    "free",
    choices=("auto", "memory", "stream"),
  )
  memory_budget_gb: float = _field(
    4.0,
    "Gigabytes that the decoded training and test images may take in memory "
    "(--storage=auto); 0 or more.",
    "free",
    rule=field.at_least(0),
  )
  checkpoint_epochs: int = _field(
    0,
    "Epochs between checkpoints of a run, from which it resumes after a crash; "
    "0: no checkpoints, an interrupted run starts again.",
    "free",
    rule=field.at_least(0),
  )
  on_version_change: str = _field(
    "warn",
    "If runs of the study were trained by another version of memo_tf or of "
    "TensorFlow, or on another kind of machine: warn, and train the others "
    "here; or stop before anything is trained.",
    "free",
    choices=("warn", "stop"),
  )
  log_to: str = _field(
    "none",
    "tensorboard: also write loss, accuracy and learning rate of every run, "
    "and the figures of the study, for TensorBoard, to logs/ in the study "
    "(pip install tensorboard). Results are the same.",
    "free",
    choices=("none", "tensorboard"),
  )
  max_retries: int = _field(
    1,
    "How often a launch retries a run that failed or whose worker died; other "
    "runs continue meanwhile.",
    "free",
    rule=field.at_least(0),
  )
