"""The page: figures, galleries, what is flagged, and nothing taken on trust."""

import base64
import dataclasses
import io
import json
import pathlib

from absl.testing import absltest
import numpy as np
import pandas as pd
from PIL import Image

from memo_tf.estimators import influence
from memo_tf.estimators import memorization
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.report import figures
from memo_tf.report import page
from memo_tf.scoring import groups
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from tests.support import made_up

EVIL = "<script>alert(1)</script>"


def make_group(flagged=(), never_out=False) -> groups.GroupScores:
  """Four examples, four runs; example 3 is planted and memorized."""
  in_mask = np.array(
    [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], bool
  )
  if never_out:
    in_mask[:, 0] = True
  labels = np.array([0, 1, 0, 1], np.int32)
  predicted = np.tile(labels, (4, 1))
  predicted[~in_mask[:, 3], 3] = 0
  stack = predictions.RunStack(
    units=tuple(
      work_units.WorkUnit("cifar_resnet-8", "one_hot", "r0.50", m)
      for m in range(4)
    ),
    in_mask=in_mask,
    label_prob=np.full((4, 4), 0.5, np.float32),
    margin=np.ones((4, 4), np.float32),
    predicted=predicted,
    labels=labels,
    test_predicted=np.array([[0, 1]] * 4, np.int32),
    test_labels=np.array([0, 0], np.int32),
    test_label_prob=np.full((4, 2), 0.5, np.float32),
    test_margin=np.ones((4, 2), np.float32),
  )
  return groups.GroupScores(
    group=work_units.Group("cifar_resnet-8", "one_hot", "r0.50"),
    parameters=75_002,
    scores=memorization.memorization_scores(stack.correct, in_mask),
    stack=stack,
    examples=pd.DataFrame(
      {
        "label": labels,
        "clean_label": [0, 1, 0, 0],
        "is_noisy": [False, False, False, True],
      }
    ),
    flagged=tuple(flagged),
    num_missing=1,
    seconds=12.0,
  )


class PageTest(absltest.TestCase):
  def write(
    self, results, failures=None, report_images="shown", duplicates=None
  ) -> str:
    root = pathlib.Path(self.create_tempdir().full_path)
    directory = directory_lib.StudyDirectory(root)
    directory.dataset_dir.mkdir()
    np.save(
      directory.dataset_dir / "images.npy", np.zeros((6, 8, 8, 3), np.uint8)
    )
    info = {
      **made_up.ABOUT_DATA,
      "name": EVIL,
      "version": "1",
      "licence": "none",
      "citation": "nobody",
      "order": "any",
      "num_train": 4,
      "num_test": 2,
      "num_classes": 2,
      "class_names": [EVIL, "cat & dog"],
      "image_shape": [8, 8, 3],
      "normalization": {"mean": [0.0] * 3, "std": [1.0] * 3},
      "max_pixel": 255,
    }
    if duplicates:
      info["duplicates"] = duplicates
    (directory.dataset_dir / "info.json").write_text(json.dumps(info))
    record = {**made_up.ABOUT_RUN, "outputs": {}}
    for result in results:
      for unit in result.stack.units:
        folder = directory.run_dir(unit)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(
          json.dumps(record | {"unit": unit.name})
        )
    path = page.write_page(
      directory,
      config_lib.StudyConfig(
        outputs=settings_lib.OutputsConfig(report_images=report_images)
      ),
      results,
      failures or {},
      "--dataset=digits",
    )
    return path.read_text()

  def test_names_from_data_are_escaped(self):
    html = self.write([make_group()], {"unit": EVIL})

    self.assertNotIn("<script", html)
    self.assertIn("&lt;script&gt;alert(1)", html)
    self.assertIn("cat &amp; dog", html)

  def test_it_shows_the_groups_figures(self):
    html = self.write([make_group()])

    # Example 3 is right in the 2 runs that saw it and wrong in the others: 1;
    # the rest 0: mean 0.25. The planted one is on top: AUROC 1.
    self.assertIn("<td>0.250</td>", html)
    self.assertIn("<td>1.0000</td>", html)
    self.assertIn("75,002", html)
    self.assertIn("made-up chip (4 runs)", html)
    self.assertIn("1 run is missing", html)
    first = html[html.index('class="tile planted"') :]
    self.assertIn("id 3", first[: first.index("</div>")])

  def test_images_can_be_kept_out(self):
    group = dataclasses.replace(
      make_group(),
      influence=influence.InfluencePairs(
        train_ids=np.array([3]),
        test_ids=np.array([1]),
        influence=np.array([0.5]),
        standard_error=np.array([0.1]),
        q_value=np.array([0.01]),
        num_tested=8,
      ),
    )
    shown = self.write([group])
    without = self.write([group], report_images="none")

    self.assertIn("data:image/png", shown)
    self.assertNotIn("data:image", without)
    self.assertNotIn("<img", without)
    self.assertIn("id 3", without)
    self.assertIn("train 3, test 1", without)
    for html in (shown, without):
      self.assertIn("Licence: none", html)
      self.assertIn("nobody", html)

  def test_planted_truth_and_duplicates_are_shown(self):
    group = make_group()
    group.examples["plant"] = ["", "exact_duplicate", "", "noise_image"]
    group.examples["origin_id"] = [0, 0, 2, -1]
    group.examples["is_noisy"] = False

    html = self.write([group], duplicates={"duplicate_of_train": 17})

    self.assertIn("<h2>Planted truth</h2>", html)
    self.assertIn("<td>clean, 2 copies</td><td>2</td>", html)
    self.assertIn('<span class="planted-mark">noise image</span>', html)
    self.assertIn("17 images with a duplicate among the training images", html)
    # Neither the copy nor the noise is among what was not planted.
    rest = html[html.index("Without planted images: 2") :]
    self.assertNotIn("id 3<", rest)
    self.assertNotIn("Planted truth", self.write([]))

  def test_flagged_runs_are_listed(self):
    html = self.write([make_group(flagged=[("some/unit", "too low")])])

    self.assertIn("some/unit: too low", html)
    self.assertNotIn("None: the accuracy", html)
    self.assertIn("None: the accuracy", self.write([make_group()]))

  def test_what_was_never_held_out_is_counted_and_not_shown(self):
    html = self.write([make_group(never_out=True)])

    self.assertIn("1 image was never held out", html)
    self.assertNotIn("nan", html.lower().replace("nanny", ""))

  def test_no_finished_run_still_gives_a_page(self):
    self.assertIn("What was memorized", self.write([]))


class FiguresTest(absltest.TestCase):
  def test_the_same_figures_give_the_same_file(self):
    values = np.random.default_rng(0).uniform(-0.1, 1, 200)
    noisy = values > 0.9

    one = figures.memorization_histogram(values, noisy)

    self.assertEqual(one, figures.memorization_histogram(values, noisy))
    self.assertNotIn("mathdefault", one)
    self.assertStartsWith(one, "<svg")
    self.assertIn("planted wrong label", one)

  def test_image_uri_is_the_image(self):

    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)

    uri = figures.image_uri(image, max_pixel=15)

    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(pixels, image[..., 0] * 17)


if __name__ == "__main__":
  absltest.main()
