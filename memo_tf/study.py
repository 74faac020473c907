"""The Python face of a study: from data and a model to scores and the page.

    study = memo_tf.Study(
      "studies/mine", data=(x, y), model=my_models.small, num_subsets=20,
      test_fraction=0.2, epochs=10,
    )
    study.run()
    study.scores().nlargest(3, "memorization")
    study.report()

A study is its directory: `Study.open` gives any existing one back, however it
was made, and `run` resumes it. Settings are those of the flags of
`memo_tf.launch`, by the same names. This module imports no TensorFlow; workers
do, in processes that `run` starts by their own command line, so that a script
needs no `if __name__ == "__main__":`.

One class with its methods and their docstrings: hence the length.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import html
import os
import pathlib
import sys
from typing import Any
from typing import Self

import pandas as pd

from memo_tf.data.sources import in_memory
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.findings import tables
from memo_tf.running import conductor
from memo_tf.running import progress as progress_lib
from memo_tf.running import python_models
from memo_tf.running.elsewhere import study as elsewhere
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import selections
from memo_tf.store import survey as survey_lib

# Of a study directory: the arrays and models that a Python program gave.
INPUT, ARRAYS = "input", "data.npz"
_WORKER = "memo_tf.running.worker"


class Study:
  """A study of which training examples models memorize.

  Args:
    directory: folder of the study; new, or that of the same study.
    data: what to train on: arrays `(x, y)`, `(x_train, y_train), (x_test,
      y_test)`, a tf.data.Dataset or a pair of them, a Hugging Face Dataset or
      DatasetDict, or a name as `--dataset` takes it: "cifar10", "npz:FILE",
      "folder:DIR". Arrays are written to the study's folder, once. Without test
      examples, `test_fraction` says how many to set aside.
    model: what to train, or a list of the sizes to compare: the name of a model
      that memo_tf has, "FILE.py:FUNCTION", such a function itself, or a built
      `keras.Model`, of which the architecture is used. Models give logits.
    num_subsets: M, the number of subsets, and so of runs per model.
    **settings: any other flag of `memo_tf.launch`, by its name: `epochs=10`.

  Raises:
    UsageError: a `ValueError` of one line, if something is not what a study
      takes, or the directory holds another study.
    StudyError: a `RuntimeError` of one line, if the directory is damaged.
  """

  def __init__(
    self,
    directory: str | os.PathLike,
    *,
    data: Any,
    model: Any = None,
    num_subsets: int | None = None,
    **settings: Any,
  ):
    self._directory = directory_lib.StudyDirectory(directory)
    if "dataset" in settings:
      raise errors.UsageError(
        "`data` names the data set in Python. Received: dataset="
      )
    if model is not None and "models" in settings:
      raise errors.UsageError(
        "`model` and `models` are the same. Received: both"
      )
    if num_subsets is not None:
      settings["num_subsets"] = num_subsets
    models = settings.pop("models", model)
    arrays: dict = {}
    if isinstance(data, (str, pathlib.Path)):
      settings["dataset"] = _dataset_name(data)
    else:
      settings["dataset"] = f"npz:{ARRAYS}"
      settings["data_dir"] = str(self._directory.root / INPUT)
      arrays = in_memory.arrays_of(
        data,
        image_key=settings.get("image_key", ""),
        label_key=settings.get("label_key", ""),
      )
    self._config = self._checked(settings, models)
    if arrays:
      in_memory.keep(
        self._directory.root / INPUT / ARRAYS,
        arrays,
        may_replace=not self._is_set_up(),
      )

  @classmethod
  def open(cls, directory: str | os.PathLike) -> Self:
    """The study of an existing directory, of any format and however made.

    Raises:
      StudyError: if there is none, or its settings cannot be read.
    """
    study = cls.__new__(cls)
    study._directory = directory_lib.StudyDirectory(directory)
    study._config = opening.recorded_config(study._directory)
    return study

  @property
  def directory(self) -> pathlib.Path:
    """The folder of the study."""
    return self._directory.root

  @property
  def config(self) -> config_lib.StudyConfig:
    """Every setting, in groups, as `config.json` has them."""
    return self._config

  @property
  def models(self) -> tuple[str, ...]:
    """The models, by the names that the study has for them."""
    return self._config.models.models

  def run(self, *, progress: bool | Callable[[str], None] = True) -> Self:
    """Trains what is not trained yet, scores, and writes the page.

    It does what `memo_tf.launch` does, to the bit. Finished runs are kept, so
    that calling it again resumes a study that was interrupted.

    Args:
      progress: print progress and results; False: nothing; or a function that
        gets each line.

    Returns:
      The study.

    Raises:
      UsageError: if settings, data and models do not fit together.
      StudyError: if the directory cannot be used, or runs failed.
      KeyboardInterrupt: as usual; workers have ended by then.
    """
    # Else each worker that imports the user's file would start workers.
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == _WORKER:
      raise errors.UsageError(
        "the file of the model runs a study when it is imported: put that part "
        'under `if __name__ == "__main__":`, or the model into another file'
      )
    with _one_line(self._directory), progress_lib.shown(progress):
      code = conductor.launch(self._config, self._directory)
    self._config = opening.recorded_config(self._directory)
    if code:
      raise errors.StudyError(self._failure())
    return self

  def scores(
    self, model: str | None = None, recipe: str | None = None
  ) -> pd.DataFrame:
    """Memorization scores; see `findings.tables.scores`."""
    return tables.scores(
      self._directory, self._plan(), model=model, recipe=recipe
    )

  def influence(
    self, model: str | None = None, recipe: str | None = None
  ) -> pd.DataFrame:
    """Influential pairs of examples; see `findings.tables.influence`."""
    return tables.influence(
      self._directory, self._plan(), model=model, recipe=recipe
    )

  def trajectories(self) -> pd.DataFrame:
    """Memorization over model sizes; see `findings.tables.trajectories`."""
    return tables.trajectories(self._directory)

  def compare(
    self, first: str | None = None, second: str | None = None
  ) -> pd.DataFrame:
    """Change of every score between two groups; see `findings.tables`."""
    return tables.compare(
      self._directory, self._plan(), first=first, second=second
    )

  def report(self) -> pathlib.Path:
    """The path of the page.

    Raises:
      StudyError: if it is not written yet.
    """
    path = self._directory.report_path
    if not path.exists():
      raise errors.StudyError(
        f"{self.directory} has no page yet: run() writes it"
      )
    return path

  def __repr__(self) -> str:
    return f"<memo_tf.Study {str(self.directory)!r}: {self._state()}>"

  def _repr_html_(self) -> str:
    """What a notebook shows: the study, how far it is, and its figures."""
    figures = tables.figures(self._directory)
    table = "" if figures is None else figures.to_html(index=False)
    return (
      f"<p><b>{html.escape(str(self.directory))}</b>: "
      f"{html.escape(self._config.data.dataset)}, {self._state()}</p>{table}"
    )

  def _state(self) -> str:
    """How many runs are done, in words."""
    plan = self._plan()
    found = survey_lib.survey(self._directory, plan)
    count = len(self.models)
    return (
      f"{count} model{'s' if count > 1 else ''}, "
      f"{self._config.subsets.num_subsets} subsets, {len(found.done)} of "
      f"{len(plan.wanted)} runs done"
    )

  def _checked(self, settings: dict, models: Any) -> config_lib.StudyConfig:
    """The config of the settings, compared with that of the directory.

    Raises:
      UsageError: as `__init__`.
    """
    try:
      config_rules.from_settings(settings)  # before anything is written
      if models is not None:
        settings = settings | {"models": self._references(models)}
      config = config_rules.from_settings(settings)
    except ValueError as error:
      raise errors.UsageError(str(error)) from error
    return opening.recorded_config(self._directory, config)

  def _references(self, models: Any) -> tuple[str, ...]:
    """What `--models` calls the models."""
    given = models if isinstance(models, (list, tuple)) else [models]
    folder, may_replace = self._directory.root / INPUT, not self._is_set_up()
    return tuple(
      python_models.reference(one, folder, may_replace=may_replace)
      for one in given
    )

  def _is_set_up(self) -> bool:
    return self._directory.config_path.exists()

  def _plan(self) -> plan_lib.Plan:
    return selections.plan(self._directory, self._config)

  def _failure(self) -> str:
    """One line about the runs that failed."""
    plan = self._plan()
    pending = survey_lib.survey(self._directory, plan).pending
    failed = survey_lib.failures(self._directory, pending)
    unit, error = next(iter(failed.items()), (pending[0], "no message"))
    return (
      f"{len(pending)} of {len(plan.wanted)} runs failed, such as {unit.name}: "
      f"{error}. Logs are under {self.directory / 'work'}; run() tries again"
    )


def study_from_predictions(
  correct: Any = None,
  in_mask: Any = None,
  labels: Any = None,
  *,
  directory: str | os.PathLike,
  logits: Any = None,
  margin: Any = None,
  test_correct: Any = None,
  test_logits: Any = None,
  test_margin: Any = None,
  test_labels: Any = None,
  images: Any = None,
  test_images: Any = None,
  class_names: Any = None,
  file_names: Any = None,
  test_file_names: Any = None,
  parameters: Any = None,
  model: str = "model",
  name: str = "predictions",
  progress: bool | Callable[[str], None] = True,
  **settings: Any,
) -> Study:
  """Makes a study of runs that were trained elsewhere, from their predictions.

  Give `logits`, `margin` or `correct`: each is an array, or a mapping from
  names of models to arrays, of several sizes on the same subsets, smallest
  first. Draw subsets with `memo_tf.experiment.subsets.in_masks`. Imports no
  TensorFlow.

  Args:
    correct: bool `[M, N]`, whether run m predicts the label of training example
      n, in evaluation mode and without augmentation.
    in_mask: bool `[M, N]`, whether run m trained on example n.
    labels: int `[N]`, in [0, C).
    directory: folder of the study: new, empty, or that of the same predictions,
      which are then scored again.
    logits: float `[M, N, C]`, before the softmax.
    margin: float `[M, N]`, the label's logit minus the largest other one.
    test_correct, test_logits, test_margin: the same on T test examples.
    test_labels: int `[T]`.
    images, test_images: `[N, H, W]` or `[N, H, W, channels]`, for the page;
      uint8 or uint16, or fractions in [0, 1].
    class_names: C names.
    file_names, test_file_names: a name per example.
    parameters: the number of parameters of each model, if known.
    model: the model's name, of a single one.
    name: of the data set.
    progress: as for `Study.run`.
    **settings: of what is scored and shown: `min_memorization=0.1`.

  Returns:
    The study, scored, with its page.

  Raises:
    UsageError: a `ValueError` of one line, if predictions, masks and labels do
      not fit together, or an example was in every run, or in none.
    StudyError: if the directory cannot be used.
  """
  values = {
    name: given
    if given is None or isinstance(given, Mapping)
    else {model: given}
    for name, given in {
      "correct": correct,
      "logits": logits,
      "margin": margin,
      "test_correct": test_correct,
      "test_logits": test_logits,
      "test_margin": test_margin,
      "parameters": parameters,
    }.items()
  }
  values |= {
    "in_mask": in_mask,
    "labels": labels,
    "test_labels": test_labels,
    "images": images,
    "test_images": test_images,
    "class_names": class_names,
    "file_names": file_names,
    "test_file_names": test_file_names,
  }
  place = directory_lib.StudyDirectory(directory)
  with _one_line(place), progress_lib.shown(progress):
    elsewhere.make(place, values, settings, name)
  return Study.open(directory)


@contextlib.contextmanager
def _one_line(directory: directory_lib.StudyDirectory) -> Iterator[None]:
  """Makes an error from the disk one line that says what to do."""
  try:
    yield
  except OSError as error:
    text = errors.describe_os_error(error, str(directory.root))
    raise errors.StudyError(text) from error


def _dataset_name(data: str | pathlib.Path) -> str:
  """A name as --dataset takes it; of a path, that of the file or folder."""
  if isinstance(data, str):
    return data
  return f"folder:{data}" if data.is_dir() else f"npz:{data}"
