"""A whole study with proxies: files, comparison, page; and wrong use."""

import json
import pathlib

from absl.testing import absltest
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from memo_tf.report import names
from tests.support import page_data
from tests.support import shared_studies
from tests.support import small_study

MODELS = shared_studies.PROXY_MODELS


def setUpModule():
  global STUDY, OUTPUT
  OUTPUT = shared_studies.finished("proxies")
  STUDY = OUTPUT.folder


def table(model) -> pd.DataFrame:
  return pd.read_parquet(STUDY / "proxies" / model / "one_hot.parquet")


class ProxyStudyTest(absltest.TestCase):
  def test_the_first_runs_record_and_no_others(self):
    for path in small_study.finished_runs(STUDY):
      there = {p.name for p in path.parent.glob("*.npz")}
      records = int(path.parent.name) < 2
      expected = {"dynamics.npz", "batch_dynamics.npz", "probabilities.npz"}
      of_all = {"after_epoch_1.npz"}  # --score_epochs is for every run
      self.assertEqual(there, of_all | (expected if records else set()), path)

  def test_proxies_are_means_over_the_runs_that_saw_the_example(self):
    folder = STUDY / "runs" / MODELS[0] / "one_hot" / "r0.50"
    masks = np.load(STUDY / "subsets" / "r0.50.npy")
    # Runs 0 and 1 are a balanced block at 0.5: each example is in one of them.
    expected = np.full(1500, np.nan)
    for index in range(2):
      with np.load(folder / f"{index:05d}" / "dynamics.npz") as content:
        own = content["label_prob"].mean(axis=0, dtype=np.float64)
      expected[masks[index]] = own[masks[index]]

    found = table(MODELS[0])

    np.testing.assert_array_equal(found["example_id"], np.arange(1500))
    np.testing.assert_allclose(
      found["cumulative_probability"], expected, rtol=1e-6
    )
    np.testing.assert_array_equal(found["mine"], np.arange(1500) % 7)

  def test_cscore_is_the_held_out_accuracy(self):
    scores = pd.read_parquet(
      STUDY / "scores" / MODELS[1] / "one_hot" / "r0.50/memorization.parquet"
    )

    np.testing.assert_allclose(
      table(MODELS[1])["cscore"], scores["out_accuracy"]
    )

  def test_never_learned_is_nan_beside_a_mask(self):
    found = table(MODELS[0])

    never = found["forgetting_events_never"]
    self.assertGreater(never.max(), 0)
    self.assertTrue(found["forgetting_events"][never == 1].isna().all())
    np.testing.assert_array_equal(
      found["forgetting_events_known"], found["forgetting_events"].notna()
    )

  def test_signs_and_settings_are_in_the_files_metadata(self):
    path = STUDY / "proxies" / MODELS[0] / "one_hot.parquet"
    about = pq.read_schema(path).metadata

    signs = json.loads(about[b"signs"])
    self.assertEqual(signs["mine"], -1)
    self.assertEqual(signs["el2n"], 1)
    # The user's file, without its folder.
    self.assertNotIn("/custom.parquet", str(about))

  def test_comparison_has_every_proxy_at_every_size_and_a_verdict(self):
    folder = STUDY / "comparison" / "cifar_resnet" / "one_hot"
    criteria = pd.read_parquet(folder / "criteria.parquet")
    verdicts = pd.read_csv(folder / "verdicts.csv")

    names = {*shared_studies.PROXIES, "mine"}
    self.assertEqual(set(verdicts["proxy"]), names)
    spearman = criteria[criteria["criterion"] == "spearman"]
    self.assertEqual(
      set(zip(spearman["proxy"], spearman["size"])),
      {(name, model) for name in names for model in MODELS},
    )
    self.assertIn("auroc_planted", set(criteria["criterion"]))
    # By hand: Spearman of memorization and minus the proxy of one's own.
    scores = pd.read_parquet(
      STUDY / "scores" / MODELS[0] / "one_hot" / "r0.50/memorization.parquet"
    )
    expected = (
      scores["memorization"]
      .rank()
      .corr((-pd.Series(np.arange(1500) % 7)).rank())
    )
    row = spearman[(spearman["proxy"] == "mine")].iloc[0]
    self.assertAlmostEqual(row["estimate"], expected, places=9)

  def test_the_page_shows_table_verdicts_and_plots(self):
    page = page_data.Page(STUDY / "report" / "index.html")

    self.assertIn("Proxies of memorization", page.text)
    for text in ("ranking:", "forgetting events", "mine"):
      self.assertIn(text, page.text)
    plots = [c for c in page.values["charts"] if c.startswith("proxy-0-")]
    self.assertLen(plots, 6)

  def test_what_the_page_has_is_what_the_files_have(self):
    page = page_data.Page(STUDY / "report" / "index.html")
    groups = page.values["meta"]["groups"]

    self.assertLen(groups, len(MODELS))
    for index, about in enumerate(groups):
      scores = pd.read_parquet(
        STUDY / "scores" / about["name"] / "memorization.parquet"
      )
      right = {
        part: np.rint(scores[f"{part}_accuracy"] * scores[f"num_{part}"])
        for part in ("in", "out")
      }
      for name, expected in {
        "score": scores["memorization"].astype(np.float32),
        "low": scores["ci_low"].astype(np.float32),
        "high": scores["ci_high"].astype(np.float32),
        "inAll": scores["num_in"],
        "inRight": right["in"],
        "outAll": scores["num_out"],
        "outRight": right["out"],
      }.items():
        found = page.array(f"group:{index}", name)
        np.testing.assert_array_equal(found, expected, name)
      # The strip, and the sentence of its last line.
      count = int((scores["ci_low"] > 0.5).sum())
      mean = scores["memorization"].mean()
      self.assertIn(f"{about['title']} {count} {mean:.3f}", page.text)
    self.assertIn(f"{count} of 1,500 images", page.text)
    examples = pd.read_parquet(STUDY / "dataset/examples.parquet")
    train = examples[examples["split"] == "train"]
    np.testing.assert_array_equal(
      page.array("examples", "label"), train["label"]
    )
    summary = json.loads((STUDY / "scores/summary.json").read_text())
    for row in summary:
      self.assertIn(row["certainty"], page.text)
    family = STUDY / "trajectories/cifar_resnet/one_hot/r0.50"
    for text in pd.read_parquet(family / "findings.parquet")["text"]:
      for model in sorted(MODELS, key=len, reverse=True):
        text = text.replace(model, names.model(model))
      self.assertIn(text, page.text)
    table = pd.read_parquet(family / "classes.parquet")
    q_values = page_data.unpacked(page.values["sizes"][0]["q"])
    np.testing.assert_allclose(q_values, table["change_q_value"], rtol=1e-6)
    for proxy in page.values["proxies"]:
      self.assertLen(page_data.unpacked(proxy["values"]), 1500)
    verdicts = pd.read_csv(
      STUDY / "comparison/cifar_resnet/one_hot/verdicts.csv"
    )
    for row in verdicts.itertuples():
      self.assertIn(row.verdict, page.text)

  def test_proxies_and_sizes_say_the_same_of_a_step(self):
    steps = pd.read_parquet(
      STUDY / "comparison/cifar_resnet/one_hot/steps.parquet"
    )
    own = steps[steps["score"] == "memorization"]
    changes = pd.read_parquet(
      STUDY / "trajectories/cifar_resnet/one_hot/r0.50/changes.parquet"
    )

    row, change = own.iloc[0], changes.iloc[0]
    self.assertLen(own, 1)
    self.assertEqual(row["change"], change["memorization"])
    self.assertEqual(row["ci_low"], change["memorization_low"])
    rises, falls = row["ci_low"] > 0, row["ci_high"] < 0
    expected = "rises" if rises else "falls" if falls else "unsure"
    self.assertEqual(row["direction"], expected)


class WrongUseTest(absltest.TestCase):
  def refused(self, *parts, **changes):
    folder = pathlib.Path(self.create_tempdir().full_path) / "study"
    result = small_study.launch(folder, **changes)

    self.assertEqual(result.returncode, 2, result.stderr)
    self.assertNotIn("Traceback", result.stderr)
    (line,) = [
      text for text in result.stderr.splitlines() if text.startswith("memo_tf.")
    ]
    for part in parts:
      self.assertIn(part, line)
    self.assertFalse((folder / "config.json").exists())

  def test_unknown_proxy(self):
    self.refused("--proxies must be among", "el2n", "eln2", proxies="eln2")

  def test_file_without_the_column(self):
    path = self.create_tempfile("own.parquet").full_path
    pd.DataFrame({"id": [0], "mine": [1.0]}).to_parquet(path)

    self.refused("--proxy_files", "example_id", proxy_files=path)


if __name__ == "__main__":
  absltest.main()
