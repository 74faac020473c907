"""What a page is made from: the study's files, read once, for every section."""

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from memo_tf.analysis import evidence
from memo_tf.analysis import planted_truth
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import agreement
from memo_tf.findings import compared_recipes
from memo_tf.findings import compression
from memo_tf.findings import epochs as epochs_lib
from memo_tf.findings import frozen as frozen_lib
from memo_tf.findings import onion
from memo_tf.findings import proxies
from memo_tf.findings import ratios as ratios_lib
from memo_tf.findings import removal
from memo_tf.findings import sizes
from memo_tf.report import names
from memo_tf.report import suspects as suspects_lib
from memo_tf.scoring import groups
from memo_tf.store import arrays
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Material:
  """A study as the page sees it.

  Attributes:
    directory: of the study.
    config: of the study.
    results: the scores of each group, smallest model first.
    failures: error of each unit that failed, by its name.
    settings: text of a flagfile that reproduces the study.
    studies: over sizes.
    compared: proxies beside memorization.
    compressed: compressed models beside those that they were made from.
    frozen: runs of which only the last layer was trained, beside whole ones.
    removed: training without memorized examples.
    onions: memorization of the others without them.
    agreed: models beside each other, and beside themselves.
    ratios: over subset ratios.
    epochs: over training.
    info: `dataset/info.json`.
    recipes: recipes beside their baseline.
  """

  directory: directory_lib.StudyDirectory
  config: config_lib.StudyConfig
  results: list[groups.GroupScores]
  failures: dict[str, str]
  settings: str
  studies: Sequence[sizes.SizeStudy]
  compared: Sequence[proxies.RecipeFindings]
  info: dict
  recipes: Sequence[compared_recipes.RecipeComparison] = ()
  compressed: Sequence[compression.CompressionStudy] = ()
  frozen: Sequence[frozen_lib.FrozenControl] = ()
  removed: Sequence[removal.RemovalStudy] = ()
  onions: Sequence[onion.OnionStudy] = ()
  agreed: Sequence[agreement.ModelAgreement] = ()
  ratios: Sequence[ratios_lib.RatioStudy] = ()
  epochs: Sequence[epochs_lib.EpochStudy] = ()

  @functools.cached_property
  def images(self) -> np.ndarray | None:
    """`[N + T, H, W, channels]`; None if the page must not show any."""
    if self.config.outputs.report_images != "shown":
      return None
    is_encoded = dataset_info.is_encoded(self.info)
    name = "thumbnails.npy" if is_encoded else "images.npy"
    return arrays.load(self.directory.dataset_dir / name, mmap_mode="r")

  @functools.cached_property
  def scored(self) -> list[groups.GroupScores]:
    """The groups that have a score: whole data are never held out."""
    return [
      r for r in self.results if not np.isnan(r.scores.memorization).all()
    ]

  @functools.cached_property
  def primary(self) -> groups.GroupScores | None:
    """The largest model of the first recipe and subset family."""
    recipe = self.config.models.recipes[0]
    family = subsets_lib.family_name(
      self.config.subsets.subset_ratio, self.config.subsets.subset_scheme
    )
    first = [
      r
      for r in self.scored
      if (r.group.recipe, r.group.subsets) == (recipe, family)
    ]
    found = first or self.scored
    return found[-1] if found else None

  @functools.cached_property
  def suspects(self) -> suspects_lib.Suspects:
    """What held-out models of `primary` say against given labels."""
    if self.primary is None:
      raise ValueError("without scores nothing is suspected")
    return suspects_lib.find(self.primary, knows_answers=self.knows_answers)

  @functools.cached_property
  def knows_answers(self) -> bool:
    """Whether it is known which other class a wrong answer is.

    Of predictions made elsewhere may be known only that they are wrong; they
    have one class for all wrong answers, unless there are but two classes.
    """
    kind = self.info.get("predictions", {}).get("kind", "logits")
    return kind == "logits" or self.info["num_classes"] == 2

  @functools.cached_property
  def _figures(self) -> dict[tuple, dict[str, float]]:
    return {r.group: r.summary() for r in self.results}

  def figures(self, result: groups.GroupScores) -> dict[str, float]:
    """`GroupScores.summary` of one of `results`."""
    return self._figures[result.group]

  @functools.cached_property
  def examples(self) -> pd.DataFrame:
    """One row per training example, then one per test example."""
    path = self.directory.dataset_dir / "examples.parquet"
    if path.exists() or not self.results:
      return predictions.read_examples(self.directory)
    # Whoever scores predictions of other programs may have no such file.
    return self.results[0].examples.assign(split="train")

  @functools.cached_property
  def train(self) -> pd.DataFrame:
    """One row per training example; only with results."""
    return self.results[0].examples

  @functools.cached_property
  def names(self) -> dict[str, list[str]]:
    """Names of the examples by split, "" where one has none.

    A split of which no names are known has no entry. Planted copies have none.
    """
    tests = self.examples[self.examples["split"] == "test"]
    found = {}
    for split, table in (("train", self.train), ("test", tests)):
      for column in ("source", "file_name"):
        if column in table:
          found[split] = table[column].fillna("").astype(str).tolist()
          break
    return found

  @functools.cached_property
  def kind(self) -> np.ndarray:
    """`[N]` str: how an example was planted, in words; "" if it was not."""
    found, _ = self.results[0].kinds()
    return np.where(found == planted_truth.CLEAN, "", found)

  @functools.cached_property
  def knows_truth(self) -> bool:
    """Whether labels before planting differ from the given ones."""
    return bool(self.results and self.train["is_noisy"].any())

  def class_name(self, label: int) -> str:
    """The name of a class."""
    return self.info["class_names"][label]

  def title(self, result: groups.GroupScores) -> str:
    """A group's plain name, as short as the study allows."""
    model, recipe, family = result.group
    parts = [names.model(model)]
    if len({r.group.recipe for r in self.results}) > 1:
      parts.append(names.recipe(recipe))
    if len({r.group.subsets for r in self.results}) > 1:
      parts.append(f"subsets {family}")
    return ", ".join(parts)

  def share(self, result: groups.GroupScores) -> str:
    """How much of the data each run of a group had: "70 %"."""
    ratio = subsets_lib.parse_family(result.group.subsets).ratio
    return f"{100 * ratio:.4g} %"

  def margins(self, result: groups.GroupScores) -> pd.DataFrame | None:
    """`memorization_margin` with its interval, where the file has them."""
    path = self.directory.scores_dir(result.group) / "memorization.parquet"
    columns = ["memorization_margin", "margin_ci_low", "margin_ci_high"]
    if not path.exists():
      return None
    if not set(columns) <= set(pq.read_schema(path).names):
      return None
    return pd.read_parquet(path, columns=columns)

  @functools.cached_property
  def estimator_note(self) -> str:
    """What the figures are made of, where it is not what images have."""
    found = {r.chosen_estimator for r in self.results} - {"plain"}
    if not found:
      return ""
    return (
      f"These figures are those of --estimator={' or '.join(sorted(found))}; "
      "the images above have the plain scores, with those from margins beside "
      "them."
    )

  def unfitted(self) -> list[groups.GroupScores]:
    """The groups whose models have not fitted their own subsets."""
    return [
      r
      for r in self.results
      if not evidence.fits(self.figures(r)["in_accuracy"])
    ]


def of(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
  results: list[groups.GroupScores],
  failures: dict[str, str],
  settings: str,
  studies: Sequence[sizes.SizeStudy] = (),
  compared: Sequence[proxies.RecipeFindings] = (),
  recipes: Sequence[compared_recipes.RecipeComparison] = (),
  compressed: Sequence[compression.CompressionStudy] = (),
  frozen: Sequence[frozen_lib.FrozenControl] = (),
  removed: Sequence[removal.RemovalStudy] = (),
  onions: Sequence[onion.OnionStudy] = (),
  agreed: Sequence[agreement.ModelAgreement] = (),
  ratios: Sequence[ratios_lib.RatioStudy] = (),
  epochs: Sequence[epochs_lib.EpochStudy] = (),
) -> Material:
  """The material of a study's page.

  Args:
    directory: the study's directory.
    config: the study's configuration.
    results: from `scoring.score_study`, smallest model first.
    failures: error messages of the runs that failed in this launch, by unit
      name.
    settings: text of a flagfile that reproduces the study, shown on the page.
    studies: from `findings.sizes.study_sizes`.
    compared: from `findings.proxies.compare_study`; empty without proxies.
    recipes: from `findings.distillation.study_distillation`.
    compressed: from `findings.compression.compare_compressed`.
    frozen: from `findings.frozen.compare_frozen`.
    removed: from `findings.removal.study_removal`; empty without removal.
    onions: from `findings.onion.study_onion`; empty without an onion.
    agreed: from `findings.agreement.study_agreement`.
    ratios: from `findings.ratios.study_ratios`.
    epochs: from `findings.epochs.study_epochs`.
  """
  # Data sets written by early versions have no entry for duplicates.
  info = {"duplicates": {}, "notes": [], **dataset_info.read_info(directory)}
  return Material(
    directory=directory,
    config=config,
    results=results,
    failures=failures,
    settings=settings,
    studies=studies,
    compared=compared,
    recipes=recipes,
    compressed=compressed,
    frozen=frozen,
    info=info,
    removed=removed,
    onions=onions,
    agreed=agreed,
    ratios=ratios,
    epochs=epochs,
  )
