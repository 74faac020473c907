"""A whole study of streamed data: the arrays of one in memory, to the bit."""

import json
import pathlib

from absl.testing import absltest
import numpy as np
import pytest

from tests.support import shared_studies
from tests.support import small_study

MODEL = shared_studies.PROXY_MODELS[0]
# Two runs of the shared study, which holds its images in memory.
STREAM = {
  **shared_studies.WITH_PROXIES,
  "models": MODEL,
  "num_subsets": 2,
  "storage": "stream",
}


def recordings(folder) -> dict[str, bytes]:
  """The files that runs recorded."""
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.glob("runs/**/[!.]*/*.npz")
  }


class StreamedStudyTest(absltest.TestCase):
  @pytest.mark.slow
  def test_killed_twice_it_gives_the_arrays_of_one_in_memory(self):
    held = shared_studies.finished("proxies").folder
    streamed = pathlib.Path(self.create_tempdir().full_path) / "streamed"

    # While the data set is written …
    process = small_study.start(streamed, **STREAM)
    small_study.wait_for(lambda: list(streamed.glob(".dataset~*/shards/*")))
    small_study.kill_all(process)
    self.assertFalse((streamed / "dataset").exists())
    # … and within a run.
    process = small_study.start(streamed, **STREAM)
    small_study.wait_for(lambda: list(streamed.rglob("checkpoint.npz")))
    small_study.kill_all(process)
    result = small_study.launch(streamed, **STREAM)
    self.assertEqual(result.returncode, 0, result.stderr)
    # What was half-written; the first launch after a death may still see it.
    self.assertEmpty(list(streamed.glob(".dataset~*")))

    self.assertIn("Images are streamed from disk", result.stderr)
    found, expected = small_study.arrays(streamed), small_study.arrays(held)
    names = [name for name in found if name.startswith(f"{MODEL}/")]
    self.assertNotEmpty(names)
    for name in names:
      np.testing.assert_array_equal(found[name], expected[name], name)
    recorded = recordings(streamed)
    # Dynamics clean and in batch; probabilities; what is right after epoch 1.
    self.assertLen(recorded, 2 * 4)
    self.assertEqual({**recordings(held), **recorded}, recordings(held))
    records = [
      json.loads(path.read_text())
      for path in small_study.finished_runs(streamed)
    ]
    self.assertTrue(any(r["resumed_after_epoch"] > 0 for r in records))
    page = (streamed / "report/index.html").read_text()
    self.assertGreater(page.count("data:image/webp"), 8)

    self.proxies_of_gradients_are_refused(streamed)
    self.damaged_image_stops_the_study(streamed)

  def proxies_of_gradients_are_refused(self, folder):
    result = small_study.launch(folder, **{**STREAM, "proxies": "grand"})

    self.assertEqual(result.returncode, 2)
    self.assertIn("Received: --proxies=grand", result.stderr)

  def damaged_image_stops_the_study(self, folder):
    """One byte of one image: named, with what to do."""
    path = folder / "dataset/shards/train-00000-of-00001.tfrecord"
    index = np.load(folder / "dataset/shards/train-index.npy")
    content = bytearray(path.read_bytes())
    content[index["offset"][700] + 50] ^= 1
    path.write_bytes(content)

    result = small_study.launch(folder, **{**STREAM, "num_subsets": 3})

    self.assertEqual(result.returncode, 1)
    last = result.stderr.strip().splitlines()[-1]
    self.assertStartsWith(last, "memo_tf.launch: ")
    self.assertIn(f"{path} is damaged: the image of example 700", last)
    self.assertIn(f"move the folder {folder / 'dataset'} away", last)
    self.assertLen(small_study.finished_runs(folder), 2)


if __name__ == "__main__":
  absltest.main()
