"""Files of the field: written, read back, refused when damaged."""

import os
import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf import interchange
from memo_tf.interchange import feldman_zhang

ROOT = pathlib.Path(__file__).resolve().parents[2]


DATA = pathlib.Path(
  os.environ.get("MEMO_TF_SHARED_DATA", ROOT.parent / "shared/data")
)


PAIRS = DATA / "cifar100_high_infl_pairs_infl0.15_mem0.25.npz"


class PublishedTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    if not PAIRS.exists():
      self.skipTest("the published files are not there")

  def test_pairs_are_as_many_as_published(self):
    pairs = interchange.read_influence_pairs(PAIRS)

    uniques, counts = np.unique(pairs.test_ids, return_counts=True)
    self.assertLen(pairs.influence, 1015)
    self.assertLen(uniques, 888)
    self.assertEqual((counts == 1).sum(), 774)
    self.assertLen(np.unique(pairs.train_ids), 964)
    self.assertGreaterEqual(pairs.influence.min(), 0.15)
    self.assertGreaterEqual(pairs.memorization.min(), 0.25)

  def test_what_is_written_is_read_back(self):
    path = self.create_tempfile().full_path + ".npz"
    pairs = interchange.read_influence_pairs(PAIRS)
    interchange.write_influence_pairs(path, pairs)

    again = interchange.read_influence_pairs(path)

    for name in ("train_ids", "test_ids", "influence", "memorization"):
      np.testing.assert_array_equal(getattr(again, name), getattr(pairs, name))

  def test_cscores(self):
    path = self.create_tempfile().full_path + ".npz"
    found = interchange.read_cscores(DATA / "cifar10-cscores-orig-order.npz")
    interchange.write_cscores(path, found.scores, found.labels)

    again = interchange.read_cscores(path, labels=found.labels)

    self.assertAlmostEqual(found.scores.mean(), 0.7640, 4)
    self.assertEqual((found.scores < 0.5).sum(), 4838)
    np.testing.assert_array_equal(again.scores, found.scores)
    with self.assertRaisesRegex(ValueError, "in another order: "):
      interchange.read_cscores(path, labels=found.labels[::-1])


class RoundTripTest(parameterized.TestCase):
  def matrices(self, with_names=False, square=False):
    rng = np.random.default_rng(0)
    train_labels = np.repeat([0, 1], [5, 4])[rng.permutation(9)]
    test_labels = np.repeat([0, 1], [5 if square else 3, 4])
    ids = [np.flatnonzero(train_labels == c) for c in (0, 1)]
    test = [np.flatnonzero(test_labels == c) for c in (0, 1)]
    names = [
      np.array([f"{part}-{i}ü" for i in range(size)])
      for part, size in (("a", 9), ("b", len(test_labels)))
    ]
    return feldman_zhang.PublishedInfluence(
      memorization=rng.random(9),
      influence={c: rng.random((len(test[c]), len(ids[c]))) for c in (0, 1)},
      train_ids=dict(enumerate(ids)),
      test_ids=dict(enumerate(test)),
      train_labels=train_labels,
      test_labels=test_labels,
      train_filenames=names[0] if with_names else None,
      test_filenames=names[1] if with_names else None,
    )

  def assert_same(self, one, other):
    np.testing.assert_array_equal(one.memorization, other.memorization)
    for label, matrix in other.influence.items():
      np.testing.assert_array_equal(one.influence[label], matrix)
      np.testing.assert_array_equal(
        one.train_ids[label], other.train_ids[label]
      )
    if other.train_filenames is not None:
      self.assertEqual(
        one.train_filenames.tolist(), other.train_filenames.tolist()
      )

  @parameterized.product(names=[False, True], square=[False, True])
  def test_matrices(self, names, square):
    folder = pathlib.Path(self.create_tempdir().full_path)
    content = self.matrices(names, square)
    index = folder / "index.npz" if names else None

    interchange.write_influence_matrix(
      folder / "m.npz", content, index_path=index
    )
    again = interchange.read_influence_matrix(
      folder / "m.npz",
      index_path=index,
      train_labels=content.train_labels,
      test_labels=content.test_labels,
    )

    self.assert_same(again, content)
    # As published: training rows.
    stored = np.load(folder / "m.npz")["infl_matrix_class0"]
    self.assertEqual(stored.shape, content.influence[0].T.shape)

  def test_parts_are_put_together(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    content = self.matrices()
    interchange.write_influence_matrix(folder / "m.npz", content)
    whole = (folder / "m.npz").read_bytes()
    parts = [folder / f"split_a{c}.bin" for c in "abc"]
    for part, start in zip(parts, range(3)):
      third = len(whole) // 3
      end = None if start == 2 else (start + 1) * third
      part.write_bytes(whole[start * third : end])

    self.assert_same(interchange.read_influence_matrix(parts), content)

  def test_test_rows_are_turned(self):
    path = self.create_tempfile().full_path + ".npz"
    content = self.matrices()
    interchange.write_influence_matrix(path, content)
    arrays = dict(np.load(path))
    for label in (0, 1):
      arrays[f"infl_matrix_class{label}"] = content.influence[label]
    np.savez(path, **arrays)

    again = interchange.read_influence_matrix(path, rows="test")

    self.assert_same(again, content)

  @parameterized.parameters(4, 7)
  def test_demo_has_test_rows(self, num_test):
    path = self.create_tempfile().full_path + ".npz"
    matrix = np.arange(7.0 * num_test).reshape(num_test, 7)
    np.savez(path, memorization=np.arange(7.0), influence=matrix)

    found = interchange.read_influence_matrix(path)
    turned = interchange.read_influence_matrix(
      path, rows="test" if num_test == 7 else None
    )

    np.testing.assert_array_equal(found.influence[None], matrix)
    np.testing.assert_array_equal(turned.influence[None], matrix)

  def test_aux_arrays_in_any_order(self):
    path = self.create_tempfile().full_path + ".npz"
    # Examples 4, 0, 2 in the subset, right, wrong, right; 3, 1 removed.
    np.savez(
      path,
      index_train=[4, 0, 2],
      correctness_train=[1, 0, 1],
      index_removed=[3, 1],
      correctness_removed=[0, 1],
      index_test=[1, 0],
      correctness_test=[1, 0],
      subsample_idx=[0, 2, 4],
    )

    run = interchange.read_aux_arrays(path)
    interchange.write_aux_arrays(path, run)
    again = interchange.read_aux_arrays(path)

    self.assertEqual(
      run.correct_train.tolist(), [False, True, True, False, True]
    )
    self.assertEqual(run.in_mask.tolist(), [True, False, True, False, True])
    self.assertEqual(run.correct_test.tolist(), [False, True])
    for name in ("correct_train", "in_mask", "correct_test"):
      np.testing.assert_array_equal(getattr(run, name), getattr(again, name))

  def test_lira_and_datamodels(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    rng = np.random.default_rng(1)
    masks, logits = rng.random((12, 5)) < 0.5, rng.random((12, 5, 3))
    interchange.write_lira(folder / "lira", masks, logits)
    interchange.write_datamodels(folder / "dm", masks, logits[..., 0])
    done = np.ones(12, bool)
    done[3] = False
    np.save(folder / "dm" / "_completed.npy", done)

    got_masks, got_logits = interchange.read_lira(folder / "lira")
    dm_masks, margins = interchange.read_datamodels(folder / "dm")

    np.testing.assert_array_equal(got_masks, masks)
    np.testing.assert_array_equal(got_logits, logits)
    np.testing.assert_array_equal(dm_masks, masks[done])
    np.testing.assert_array_equal(
      margins, logits[done, :, 0].astype(np.float16)
    )


class RefusalTest(absltest.TestCase):
  def refused(self, message, **arrays):
    path = self.create_tempfile().full_path + ".npz"
    np.savez(path, **arrays)
    with self.assertRaisesRegex(
      interchange.InterchangeError, message
    ) as caught:
      interchange.read_cscores(path, labels=[0, 1, 1])
    self.assertNotIn("\n", str(caught.exception))

  def test_one_clear_line(self):
    self.refused("lacks scores", labels=[0, 1, 1])
    self.refused(
      "pickled", labels=[0, 1, 1], scores=np.array([1, "a", None], object)
    )
    self.refused("another order", labels=[1, 0, 1], scores=[0.1, 0.2, 0.3])
    self.refused("other labels", labels=[0, 0, 1], scores=[0.1, 0.2, 0.3])
    self.refused("equal length", labels=[0, 1, 1], scores=[0.1, 0.2])

  def test_no_file_and_no_archive(self):
    path = self.create_tempfile(content="not an archive").full_path
    with self.assertRaisesRegex(interchange.InterchangeError, "pickled|read"):
      interchange.read_cscores(path)
    with self.assertRaisesRegex(interchange.InterchangeError, "not exist"):
      interchange.read_cscores(path + ".none")

  def test_pairs_of_two_classes_mean_another_order(self):
    path = self.create_tempfile().full_path + ".npz"
    np.savez(path, tr_idx=[0, 2], tt_idx=[1, 0], infl=[0.2, 0.3], mem=[1.0, 1])
    interchange.read_influence_pairs(
      path, train_labels=[5, 0, 6], test_labels=[6, 5]
    )

    with self.assertRaisesRegex(interchange.InterchangeError, "order|labels"):
      interchange.read_influence_pairs(
        path, train_labels=[6, 0, 5], test_labels=[6, 5]
      )


if __name__ == "__main__":
  absltest.main()
