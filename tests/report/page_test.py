"""The page: its answer, sections and data, and nothing taken on trust."""

import dataclasses
import json
import pathlib
import re

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.estimators import margins
from memo_tf.estimators import reliability
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.report import assets
from memo_tf.report import charts
from memo_tf.report import closing
from memo_tf.report import material
from memo_tf.store import directory as directory_lib
from tests.support import page_data
from tests.support import page_study

EVIL = page_study.EVIL
make_group, with_pairs = page_study.make_group, page_study.with_pairs


class PageTest(absltest.TestCase):
  def write(self, results, failures=None, **options) -> page_data.Page:
    root = pathlib.Path(self.create_tempdir().full_path)
    path = page_study.write(root, results, failures, **options)
    return page_data.Page(path)

  def test_names_from_data_are_text_in_every_place(self):
    group = make_group(flagged=[(EVIL, EVIL)])
    group.examples["source"] = [EVIL, "b", "c", "d"]
    group.examples["duplicate_of_train"] = [1, 0, -1, -1]
    found = self.write([with_pairs(group, q=0.01)], {"unit": EVIL})

    # No element comes of them: what has the name is text, attributes or data.
    self.assertNotIn(EVIL, found.html)
    own = [tag for tag, _ in found.tags if tag == "script"]
    self.assertLen(own, found.html.count("<script"))
    self.assertGreater(found.text.count(EVIL), 10)
    self.assertIn("cat & dog", found.text)
    # And the data have it as it is.
    self.assertEqual(found.values["meta"]["classes"][0], EVIL)
    self.assertEqual(found.values["examples"]["source"][0], EVIL)
    cells = json.dumps(found.values["charts"]["answers"])
    self.assertIn(json.dumps(EVIL)[1:-1], cells)

  def test_it_asks_nothing_of_any_network(self):
    found = self.write([make_group()])

    self.assertEmpty([s for s in found.sources if re.match(r"\w+://|//", s)])
    policy = next(
      a["content"]
      for tag, a in found.tags
      if a.get("http-equiv") == "Content-Security-Policy"
    )
    self.assertStartsWith(policy, "default-src 'none'")
    self.assertNotIn("http", policy)

  def test_it_shows_the_groups_figures(self):
    found = self.write([make_group()])

    # Example 3 is right in the 2 runs that saw it and wrong in the others: 1,
    # with an interval from 0.05 on; the rest 0: mean 0.25. AUROC 1.
    self.assertIn("0 of 4 images are memorized for certain", found.text)
    self.assertIn("<td>0.250</td>", found.html)
    self.assertIn("<td>1.0000</td>", found.html)
    self.assertIn("75,002", found.text)
    self.assertIn("ResNet-8", found.text)
    self.assertIn("made-up chip (4 runs)", found.text)
    self.assertIn("No: 1 run missing", found.text)
    first = found.html[found.html.index('class="card planted"') :]
    self.assertIn('data-open="train:3"', first[:60])

  def test_images_can_be_kept_out(self):
    group = with_pairs(make_group(), q=0.01)
    shown = self.write([group])
    without = self.write([group], report_images="none")

    self.assertIn("data:image/webp", shown.html)
    self.assertNotIn("data:image", without.html.replace(bokeh_text(), ""))
    self.assertEmpty([tag for tag, _ in without.tags if tag == "img"])
    self.assertEmpty(without.values["beside"]["sheets"])
    self.assertFalse(without.values["meta"]["cell"]["shown"])
    for found in (shown, without):
      self.assertIn("training image 3, test image 1", found.text)
      self.assertIn("Licence: none", found.text)
      self.assertIn("nobody", found.text)

  def test_pairs_are_named_only_where_q_carries_it(self):
    named = self.write([with_pairs(make_group(), q=0.05)])
    chance = self.write([with_pairs(make_group(), q=0.051)])

    self.assertIn("q = 0.050: unlikely to be chance", named.text)
    np.testing.assert_array_equal(
      page_data.unpacked(named.values["influence"][0]["train"]), [3]
    )
    self.assertIn("The only pair with a high estimate cannot", chance.text)
    self.assertNotIn("training image 3, test image 1", chance.text)
    self.assertEmpty(page_data.unpacked(chance.values["influence"][0]["train"]))

  def test_planted_truth_and_duplicates_are_shown(self):
    group = make_group()
    group.examples["plant"] = ["", "exact_duplicate", "", "noise_image"]
    group.examples["origin_id"] = [0, 0, 2, -1]
    group.examples["is_noisy"] = False
    group.examples["duplicate_of_train"] = [1, 0, -1, -1]

    found = self.write([group], info={"duplicates": {"duplicate_of_train": 17}})

    self.assertIn("Planted truth", found.text)
    self.assertIn("clean, 2 copies", found.text)
    self.assertIn("planted: noise image", found.text)
    self.assertIn("17 images with a duplicate among the training", found.text)
    # Labels 0 and 1 of one image.
    self.assertIn("1 pair has (nearly) the same image", found.text)
    np.testing.assert_array_equal(
      found.array("examples", "issue"), [2, 2, 0, 0]
    )
    self.assertNotIn("Planted truth", self.write([]).text)

  def test_what_has_not_fitted_is_said_first(self):
    found = self.write([make_group(fits=False)])

    start = found.text.index("Before you read on.")
    self.assertLess(start, found.text.index("memorized for certain"))
    self.assertIn("under 0.9 for ResNet-8", found.text)
    self.assertIn("Fitted? No", found.text)
    self.assertNotIn("Before you read on.", self.write([make_group()]).text)

  def test_few_runs_say_that_nothing_can_be_certain(self):
    found = self.write([make_group()])

    # Two runs in and two out: a score of 1 has an interval from 0.07 on, and
    # two votes of two a share of at least 0.34.
    self.assertIn("With so few runs no image can be", found.text)
    self.assertIn("starts at 0.07", found.text)
    self.assertIn("Enough runs? No", found.text)
    self.assertIn("These runs cannot tell which labels are wrong", found.text)

  def test_every_group_has_its_reliability_drawn(self):
    groups = []
    for times, model in ((2, "cifar_resnet-8"), (4, "cifar_resnet-14")):
      group = make_group(model=model)
      curve = reliability.reliability_curve(
        np.tile(group.stack.correct, (times, 1)),
        np.tile(group.stack.in_mask, (times, 1)),
        block=2,
      )
      groups.append(dataclasses.replace(group, reliability_curve=tuple(curve)))

    drawn = self.write(groups).values["charts"]

    # They are measured at other numbers of runs, so each has a chart.
    for index, runs in enumerate(([4, 8], [4, 8, 16])):
      (columns,) = page_data.chart_columns(drawn[f"reliability-{index}"])
      self.assertEqual(columns["x"], runs)

  def test_sizes_that_cannot_be_compared_say_why(self):
    groups_ = [
      make_group(),
      make_group(model="cifar_resnet-14"),
    ]
    models = settings_lib.ModelsConfig(
      models=("cifar_resnet-8", "cifar_resnet-14")
    )
    found = self.write(groups_, models=models)

    self.assertIn("ResNet-8 and ResNet-14 (one-hot labels) are not", found.text)
    self.assertIn("--num_subsets=4 or more makes it possible", found.text)

  def test_of_test_labels_is_said_only_what_is_known(self):
    planted, plain = make_group(), make_group()
    plain.examples["is_noisy"] = False
    text = "Wrong labels were planted among the training images only"

    self.assertIn(text, self.write([planted]).text)
    self.assertNotIn(text, self.write([plain]).text)

  def test_what_is_not_known_of_given_predictions_is_not_said(self):
    group = dataclasses.replace(make_group(), parameters=0)
    data = settings_lib.DataConfig(dataset="predictions:mine")
    about = {
      "image_shape": [1, 1, 3],
      "num_classes": 3,
      "class_names": ["cat", "dog", "(another class)"],
      "predictions": {"kind": "correctness"},
    }
    given = self.write([group], data=data, info=about, report_images="none")
    trained = self.write([make_group()])

    for text in ("of 8×8 pixels", "75,002", "of one worker", "memo_tf.launch"):
      self.assertIn(text, trained.text)
      self.assertNotIn(text, given.text)
    self.assertIn("2 test images, 2 classes", given.text)
    self.assertNotIn("pixels", given.text)
    self.assertIn("Train them where the others were trained", given.text)
    self.assertIn("which class it names when it is wrong", given.text)
    self.assertNotIn("--find_duplicates", given.text)

  def test_flagged_runs_are_listed(self):
    found = self.write([make_group(flagged=[("some/unit", "too low")])])

    self.assertIn("some/unit: too low", found.text)
    self.assertNotIn("None: the accuracy", found.text)
    self.assertIn("None: the accuracy", self.write([make_group()]).text)

  def test_what_was_never_held_out_is_counted_and_has_no_score(self):
    found = self.write([make_group(never_out=True)])

    self.assertIn("1 image was never held out", found.text)
    self.assertNotRegex(found.text.lower(), r"\bnan\b")
    self.assertTrue(np.isnan(found.array("group:0", "score")[0]))

  def test_no_finished_run_still_gives_a_page(self):
    found = self.write([])

    self.assertIn("What was memorized", found.text)
    self.assertIn("No run is finished yet", found.text)
    self.assertEqual(found.values["meta"], {"groups": []})

  def test_figures_of_another_estimator_say_so(self):
    group = make_group()
    scores = group.scores
    names = {f.name for f in dataclasses.fields(margins.MarginScores)}
    found = {
      name: getattr(scores, name, 0.25 * np.ones(4)) for name in names
    } | {"memorization": np.full(4, 0.125), "misfit": 0.0}
    other = dataclasses.replace(
      group,
      estimator="margin",
      margin=margins.MarginScores(**found | {"ambiguous_misfit": 0.0}),
    )

    page_ = self.write([other])

    self.assertIn("These figures are those of --estimator=margin", page_.text)
    # The grid has the plain scores all the same.
    np.testing.assert_array_equal(
      page_.array("group:0", "score"), scores.memorization.astype(np.float32)
    )
    self.assertNotIn("--estimator=", self.write([group]).text)

  def test_margins_are_shown_where_the_file_has_them(self):
    group = make_group()
    root = pathlib.Path(self.create_tempdir().full_path)
    folder = root / "scores" / group.group.name
    folder.mkdir(parents=True)
    columns = ("memorization_margin", "margin_ci_low", "margin_ci_high")
    pd.DataFrame({c: [1.0, 2.0, 3.0, 4.0] for c in columns}).to_parquet(
      folder / "memorization.parquet"
    )
    study = material.Material(
      directory=directory_lib.StudyDirectory(root),
      config=config_lib.StudyConfig(),
      results=[group],
      failures={},
      settings="",
      studies=(),
      compared=(),
      info={},
    )

    found = study.margins(group)

    self.assertEqual(found["memorization_margin"].tolist(), [1, 2, 3, 4])


class ClosingTest(absltest.TestCase):
  def lines(self, results, **data):
    study = material.Material(
      directory=directory_lib.StudyDirectory("some study"),
      config=config_lib.StudyConfig(data=settings_lib.DataConfig(**data)),
      results=results,
      failures={},
      settings="",
      studies=(),
      compared=(),
      info={"class_names": ["0", "1"]},
    )
    return closing.lines(study, pathlib.Path("a b/index.html"))

  def test_answer_page_and_what_next(self):
    done = dataclasses.replace(make_group(), num_missing=0)

    answer, link, following = self.lines([done])

    self.assertStartsWith(answer, "0 of 4 images are memorized for certain by")
    self.assertStartsWith(link, "Page: file:///")
    self.assertEndsWith(link, "/a%20b/index.html")
    self.assertRegex(following, r"Next: .*--num_subsets=\d+ halves")

  def test_of_runs_made_elsewhere_neither_time_nor_flag_is_said(self):
    done = dataclasses.replace(make_group(), num_missing=0)
    poor = dataclasses.replace(make_group(fits=False), num_missing=0)

    following = self.lines([done], dataset="predictions:mine")[-1]
    unfitted = self.lines([poor], dataset="predictions:mine")[-1]

    self.assertRegex(following, r"; \d+ runs per model halve the intervals\.$")
    self.assertIn("train ResNet-8 for longer: accuracy", unfitted)

  def test_missing_runs_come_first(self):
    self.assertIn("1 run missing", self.lines([make_group()])[-1])


def bokeh_text() -> str:
  """Bokeh's JavaScript as the page has it; it has icons of its own."""
  return assets.safe_script(charts.library())


if __name__ == "__main__":
  absltest.main()
