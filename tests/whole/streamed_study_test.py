"""A whole study of streamed data: the arrays of one in memory, to the bit."""

import json
import pathlib

from absl.testing import absltest
import numpy as np

from tests.support import small_study

FEW = {"num_subsets": 2, "epochs": 4}
STREAM = {"storage": "stream", **FEW}


def recordings(folder) -> dict[str, bytes]:
  """The files that runs recorded."""
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.glob("runs/**/[!.]*/*.npz")
  }


class StreamedStudyTest(absltest.TestCase):
  def test_killed_twice_it_gives_the_arrays_of_one_in_memory(self):
    root = pathlib.Path(self.create_tempdir().full_path)
    held, streamed = root / "held", root / "streamed"
    dynamics = "cumulative_probability,forgetting_events,ensemble_disagreement"
    more = [
      "--checkpoint_epochs=1",
      f"--proxies={dynamics}",
      "--proxy_runs=2",
    ]

    result = small_study.launch(held, *more, **FEW)
    self.assertEqual(result.returncode, 0, result.stderr)

    # While the data set is written …
    process = small_study.start(streamed, *more, **STREAM)
    small_study.wait_for(lambda: list(streamed.glob(".dataset~*/shards/*")))
    small_study.kill_all(process)
    self.assertFalse((streamed / "dataset").exists())
    # … and within a run.
    process = small_study.start(streamed, *more, **STREAM)
    small_study.wait_for(lambda: list(streamed.rglob("checkpoint.npz")))
    small_study.kill_all(process)
    result = small_study.launch(streamed, *more, **STREAM)
    self.assertEqual(result.returncode, 0, result.stderr)
    # What was half-written; the first launch after a death may still see it.
    self.assertEmpty(list(streamed.glob(".dataset~*")))

    self.assertIn("Images are streamed from disk", result.stderr)
    self.assertEmpty(
      small_study.differences(
        small_study.arrays(held), small_study.arrays(streamed)
      )
    )
    recorded = recordings(streamed)
    self.assertLen(recorded, 2 * 3)  # dynamics clean, in batch; probabilities
    self.assertEqual(recorded, recordings(held))
    records = [
      json.loads(path.read_text())
      for path in small_study.finished_runs(streamed)
    ]
    self.assertTrue(any(r["resumed_after_epoch"] > 0 for r in records))
    page = (streamed / "report/index.html").read_text()
    self.assertGreater(page.count("data:image/png"), 20)

    self.proxies_of_gradients_are_refused(streamed, more)
    self.damaged_image_stops_the_study(streamed, more)

  def proxies_of_gradients_are_refused(self, folder, more):
    more = [*more, "--proxies=grand"]
    result = small_study.launch(folder, *more, **STREAM)

    self.assertEqual(result.returncode, 2)
    self.assertIn("Received: --proxies=grand", result.stderr)

  def damaged_image_stops_the_study(self, folder, more):
    """One byte of one image: named, with what to do."""
    path = folder / "dataset/shards/train-00000-of-00001.tfrecord"
    index = np.load(folder / "dataset/shards/train-index.npy")
    content = bytearray(path.read_bytes())
    content[index["offset"][700] + 50] ^= 1
    path.write_bytes(content)

    result = small_study.launch(folder, *more, **{**STREAM, "num_subsets": 3})

    self.assertEqual(result.returncode, 1)
    last = result.stderr.strip().splitlines()[-1]
    self.assertStartsWith(last, "memo_tf.launch: ")
    self.assertIn(f"{path} is damaged: the image of example 700", last)
    self.assertIn(f"move the folder {folder / 'dataset'} away", last)
    self.assertLen(small_study.finished_runs(folder), 2)


if __name__ == "__main__":
  absltest.main()
