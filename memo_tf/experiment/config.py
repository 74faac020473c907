"""The settings of a study: every flag of the main job, as frozen dataclasses.

A flag's name is its field's name; the groups are the groups of `--help`. Each
field says in its metadata what it means and its *policy*, what may change when
a directory is opened again:

* `fixed`: results depend on it; another value is an error;
* `grows`: a number that may grow (more subsets extend a study);
* `union`: a list to which names may be added;
* `free`: where and how the work is done; the last value is recorded.
"""

import dataclasses
import json
import pathlib
import re
import typing
from typing import Any

from memo_tf.experiment.settings import field as field_lib
from memo_tf.experiment.settings import data as data_lib
from memo_tf.experiment.settings import proxies as proxies_lib
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import subsets as subsets_lib

FORMAT_VERSION = 1
BUNDLED_DATASETS = ("digits", "mnist5k")
# As the estimators name them; correctness is always scored.
OUTCOMES = ("correctness", "label_probability", "margin")
# A name as TensorFlow Datasets writes it: name/config:version.
_DATASET = re.compile(r"[A-Za-z]\w*(/\w[\w.\-]*)?(:[\d.*]+)?|(npz|folder):.+")


_field = field_lib.field
DataConfig = data_lib.DataConfig
ProxiesConfig = proxies_lib.ProxiesConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubsetsConfig:
  """Which examples each run trains on."""

  num_subsets: int = _field(
    40,
    "M, how many subsets, so runs of each model and recipe; at least 2. A "
    "larger number extends a study.",
    "grows",
    short=True,
  )
  subset_ratio: float = _field(
    0.7, "Fraction of the training examples in a subset, in (0, 1).", short=True
  )
  subset_scheme: str = _field(
    "balanced",
    "balanced: every example is in the same number of subsets of each complete "
    "block; uniform: subsets drawn independently (Feldman & Zhang, 2020); "
    "bernoulli: every example on its own; complementary: bernoulli halves and "
    "their complements; two_sizes: sizes s and s - 1 in turn, as in Feldman & "
    "Zhang's definition.",
    choices=subsets_lib.SCHEMES,
  )
  subset_families: tuple[str, ...] = _field(
    (),
    "Further subset families beside that of --subset_ratio, by name: r0.50, "
    "r0.30-uniform, full.",
    "union",
  )


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
    short=True,
  )
  recipes: tuple[str, ...] = _field(
    ("one_hot",),
    "How each model is trained: one_hot, or distilled-TEACHER-tTEMPERATURE, as "
    "in distilled-cifar_resnet-56-t3: from the teacher's predictions, by a "
    "teacher of the same subset, which is trained first.",
    "union",
    short=True,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
  """How a model is trained: what a recipe takes over."""

  epochs: int = _field(
    20, "Passes over the run's own subset; at least 1.", short=True
  )
  batch_size: int = _field(
    128,
    "Examples in a step. An epoch is subset size // batch size steps; what is "
    "left over waits for the next epoch's order.",
    short=True,
  )
  learning_rate: float = _field(
    0.1, "Peak learning rate of SGD, above 0.", short=True
  )
  schedule: str = _field(
    "cosine",
    "step: times --decay_factor at each of --decay_epochs; cosine: to 0.",
    choices=recipes_lib.SCHEDULES,
  )
  warmup_epochs: float = _field(
    0.0, "Epochs in which the learning rate rises linearly from 0."
  )
  decay_epochs: tuple[float, ...] = _field(
    (), "Epochs at which the step schedule decays."
  )
  decay_factor: float = _field(0.1, "Factor of each decay of --schedule=step.")
  momentum: float = _field(0.9, "Momentum of SGD, in [0, 1).")
  nesterov: bool = _field(True, "Nesterov's form of momentum.")
  weight_decay: float = _field(
    1e-4, "Strength c of weight decay; what it means is the convention's."
  )
  weight_decay_convention: str = _field(
    "gradient",
    "gradient: c * w is added to the gradient (He et al., PyTorch); loss: "
    "c * |w|^2 is added to the loss, so 2c * w to the gradient (Keras's l2); "
    "decoupled: w loses learning_rate * c * w (Loshchilov & Hutter, 2019).",
    choices=recipes_lib.WEIGHT_DECAYS,
  )
  weight_decay_coverage: str = _field(
    "kernels",
    "kernels: convolution and dense kernels; all: biases, gamma and beta too.",
    choices=recipes_lib.WEIGHT_DECAY_COVERAGES,
  )
  batch_norm_momentum: float = _field(
    0.9, "Momentum of batch normalization's moving statistics, in [0, 1)."
  )
  precision: str = _field(
    "float32",
    "float32; bfloat16: layers compute in bfloat16; weights, statistics, "
    "logits and loss stay float32; float64, to compare ways of computing.",
    choices=recipes_lib.PRECISIONS,
  )
  augmentation: str = _field(
    "none",
    "none, or pad_crop_flip: 4 pixels of black around, a random crop of the "
    "old size, mirrored half the time (He et al., 2016).",
    choices=recipes_lib.AUGMENTATIONS,
  )
  synchronized_batch_norm: bool = _field(
    False,
    "Batch normalization over all replicas of a step, not over each one's share "
    "(--strategy=mirrored, multi_worker).",
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunningConfig:
  """Where and how the work is done."""

  seed: int = _field(
    0, "Every random stream derives from it; 0 or more.", short=True
  )
  threads_per_unit: int = _field(
    1,
    "Threads of one run. Part of what fixes the results: another number gives "
    "other roundings. 1 repeats to the bit.",
  )
  jit_compile: str = _field(
    "auto",
    "Compile with XLA: on, off, or auto: on an accelerator, not on a CPU, where "
    "it loses. Part of what fixes the results.",
    choices=("auto", "on", "off"),
  )
  strategy: str = _field(
    "one_device",
    "Where a run's steps are computed: one_device; mirrored: on all devices of "
    "this machine; multi_worker: on several processes, each of which gives the "
    "same command with its own TF_CONFIG.",
    choices=("one_device", "mirrored", "multi_worker"),
  )
  cpu_devices: int = _field(
    1,
    "Logical devices that the CPU is divided into, to use mirrored without "
    "accelerators.",
  )
  workers: int = _field(
    0,
    "Runs at a time; 0: one a GPU, without GPUs the cores // threads_per_unit.",
    "free",
    short=True,
  )
  storage: str = _field(
    "auto",
    "memory: all images are held in memory, decoded; stream: they are read and "
    "decoded from disk as a run needs them; auto: stream if they would take more "
    "than --memory_budget_gb. Batches and results are the same.",
    "free",
    choices=("auto", "memory", "stream"),
  )
  memory_budget_gb: float = _field(
    4.0,
    "Gigabytes that the decoded training and test images may take in memory "
    "(--storage=auto); 0 or more.",
    "free",
  )
  checkpoint_epochs: int = _field(
    0,
    "Save the state of an unfinished run every so many epochs, to go on there "
    "after a crash; 0: only between runs.",
    "free",
  )
  max_retries: int = _field(
    1,
    "How often a launch tries a run again that failed or whose worker died; the "
    "others go on meanwhile.",
    "free",
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputsConfig:
  """What is kept and shown."""

  keep_logits: bool = _field(
    False, "Keep every run's logits, float16 [N + T, C].", "free"
  )
  keep_weights: bool = _field(
    False, "Keep every run's final weights, as Keras's .weights.h5.", "free"
  )
  materialize_subsets: bool = _field(
    False,
    "Write each subset as TFRecord shards of its own and train from those, for "
    "storage that cannot afford to read all to use a part.",
    "free",
  )
  exclude_flagged_runs: bool = _field(
    False,
    "Leave runs that got stuck out of the scores (they are listed either way).",
    "free",
  )
  report_images: str = _field(
    "shown",
    "shown, or none: the page holds no image of the data set.",
    "free",
    choices=("shown", "none"),
  )
  outcomes: tuple[str, ...] = _field(
    ("correctness",),
    "Outcomes to score: correctness (always there; Feldman's memorization), "
    "label_probability, margin.",
    "free",
  )
  influence_top_k: int = _field(
    0,
    "Keep instead the k most influential training examples of every test "
    "example, of any class; 0: the pairs above the thresholds.",
    "free",
  )
  min_memorization: float = _field(
    0.25,
    "Influential pairs are kept of training examples of at least this "
    "memorization (Feldman & Zhang, 2020).",
    "free",
  )
  min_influence: float = _field(
    0.15,
    "Pairs are kept from this influence on (Feldman & Zhang, 2020).",
    "free",
  )
  trajectory_rule: str = _field(
    "default",
    "How an example's memorization over sizes is given a shape class; "
    "docs/method.md has the formulas.",
    "free",
    choices=("default", "endpoints", "argmax", "z", "template"),
  )
  min_change: float = _field(
    0.2,
    "Least change of memorization over sizes that counts for its shape class; in "
    "(0, 1].",
    "free",
  )
  interval_width: float = _field(
    0.2,
    "Width of a score's 95 % interval that one would like; page and status say "
    "how many more runs it takes. Above 0.",
    "free",
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
  """A whole study. Construct, then `validate()`."""

  data: DataConfig = DataConfig()
  subsets: SubsetsConfig = SubsetsConfig()
  models: ModelsConfig = ModelsConfig()
  recipe: TrainingConfig = TrainingConfig()
  running: RunningConfig = RunningConfig()
  outputs: OutputsConfig = OutputsConfig()
  proxies: ProxiesConfig = ProxiesConfig()

  def family_names(self) -> tuple[str, ...]:
    """The subset families of the study, the one of `subset_ratio` first."""
    first = subsets_lib.family_name(
      self.subsets.subset_ratio, self.subsets.subset_scheme
    )
    rest = [f for f in self.subsets.subset_families if f != first]
    return (first, *rest)

  def to_json(self) -> str:
    content = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
    return json.dumps(content, indent=2) + "\n"

  def validate(self) -> "ExperimentConfig":
    """Returns itself, or raises a `ValueError` that names flag and value."""
    from memo_tf.experiment import config_rules  # which imports this module

    config_rules.check(self)
    return self


def groups() -> dict[str, type]:
  """The groups of fields: name in `ExperimentConfig` to dataclass."""
  return typing.get_type_hints(ExperimentConfig)


def from_json(text: str) -> ExperimentConfig:
  """Reads a recorded config; refuses one of a newer format.

  Raises:
    ValueError: if it is not a config of this format.
  """
  content = json.loads(text)
  if not isinstance(content, dict) or not all(
    isinstance(content.get(group, {}), dict) for group in groups()
  ):
    raise ValueError("it is not a config")
  version = content.pop("format_version", None)
  if not isinstance(version, int) or version > FORMAT_VERSION:
    raise ValueError(
      f"config.json has format_version {version}; this memo_tf reads up to "
      f"{FORMAT_VERSION}: use a newer one."
    )
  parts = {}
  for group, kind in groups().items():
    values = content.pop(group, {})
    known = {f.name for f in dataclasses.fields(kind)}
    if set(values) - known:
      raise ValueError(
        f"config.json has unknown fields in {group!r}: "
        f"{', '.join(sorted(set(values) - known))}"
      )
    parts[group] = kind(
      **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    )
  if content:
    raise ValueError(f"config.json has unknown groups: {sorted(content)}")
  return ExperimentConfig(**parts)


def merge(
  recorded: ExperimentConfig, given: ExperimentConfig
) -> ExperimentConfig:
  """The config of a directory that is opened again with `given`.

  Returns:
    `given` with the lists of names united with the recorded ones.

  Raises:
    ValueError: that shows each field that may not differ and does.
  """
  conflicts, parts = [], {}
  for group, kind in groups().items():
    old, new = getattr(recorded, group), getattr(given, group)
    changes: dict[str, Any] = {}
    # Until a proxy is asked for nothing is recorded that could differ.
    if group == "proxies" and not old.proxies:
      old = new
    for field in dataclasses.fields(kind):
      before, after = getattr(old, field.name), getattr(new, field.name)
      policy = field.metadata["policy"]
      if policy == "union":
        changes[field.name] = (*before, *(a for a in after if a not in before))
      elif (
        policy == "fixed" and portable(field, before) != portable(field, after)
      ) or (policy == "grows" and after < before):
        conflicts.append(
          f"--{field.name}: recorded {show(before)}, given {show(after)}"
          + (" (it may only grow)" if policy == "grows" else "")
        )
    parts[group] = dataclasses.replace(new, **changes)
  if conflicts:
    raise ValueError(
      "the directory holds a study with another config: "
      + "; ".join(conflicts)
      + ". Give those values, or another --experiment_dir."
    )
  return ExperimentConfig(**parts)


def is_dataset_name(name: str) -> bool:
  """Whether `--dataset` could be this: known, one's own, or TFDS's."""
  return bool(_DATASET.fullmatch(name))


def portable(field: dataclasses.Field, value):
  """A value as it is recorded: of a path its last part, the same elsewhere."""
  if not field.metadata.get("path") or not value:
    return value
  if value.startswith(("npz:", "folder:")):
    kind, colon, place = value.partition(":")
    return kind + colon + pathlib.PurePath(place).name
  return value if field.name == "dataset" else pathlib.PurePath(value).name


def show(value) -> str:
  """A value as it stands in a flag."""
  return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
