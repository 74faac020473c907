"""Which files of a folder are images, without reading one."""

import os
import pathlib

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.data.sources import folder_files
from memo_tf.experiment import errors


class ListingTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.create_tempdir().full_path, "pets")

  def make(self, *names: str) -> None:
    for name in names:
      path = self.root / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(b"")

  def names(self, split: str, **arguments) -> list[str]:
    found = folder_files.listing(self.root, **arguments)
    return [image.name for image in found.splits[split]]

  def test_a_folder_for_each_class(self):
    self.make("dog/2.JPG", "dog/1.png", "cat/10.webp", "cat/9.gif", "cat/a.bmp")

    found = folder_files.listing(self.root)

    self.assertEqual(found.class_names, ("cat", "dog"))
    self.assertEqual(
      [image.name for image in found.splits[folder_files.NO_SPLIT]],
      ["cat/10.webp", "cat/9.gif", "cat/a.bmp", "dog/1.png", "dog/2.JPG"],
    )
    self.assertEqual(found.images[0].class_name, "cat")

  def test_a_folder_for_each_split(self):
    self.make("train/cat/1.png", "train/dog/1.png", "test/cat/1.png")

    self.assertEqual(
      self.names("train"), ["train/cat/1.png", "train/dog/1.png"]
    )
    self.assertEqual(self.names("test"), ["test/cat/1.png"])

  def test_a_class_may_be_called_like_a_split(self):
    self.make("train/1.png", "car/1.png")  # pictures of trains

    self.assertEqual(self.names(""), ["car/1.png", "train/1.png"])

  def test_another_training_split_decides_the_layout(self):
    self.make("fit/cat/1.png", "fit/dog/1.png", "cat/1.png", "notes/1.png")
    with self.assertRaisesRegex(errors.UsageError, "fit, which has none"):
      folder_files.listing(self.root)

    self.make("cat/young/1.png", "notes/old/1.png")
    self.assertLen(self.names("fit", train_split="fit"), 2)

  def test_ignored_files_are_counted_by_reason(self):
    self.make(
      "cat/1.png", "dog/1.png", "README.md", ".DS_Store", "cat/._1.png",
      "cat/notes.txt", "cat/more.TXT", "cat/x.tiff", "dog/Makefile",
      "dog/deep/1.png", "dog/deep/er/2.png", ".git/1.png",
    )  # fmt: skip

    found = folder_files.listing(self.root)

    self.assertLen(found.images, 2)
    self.assertEqual(
      found.ignored,
      {
        "hidden": 2,
        ".txt": 2,
        ".tiff": 1,
        "no image by name": 1,
        "in folders below a class": 2,
        "beside the class folders": 1,
      },
    )

  @parameterized.parameters(
    "日本語.png", "Å.png", "A\u030a.png", "<b>&amp;.png", "a'b\"c.png",
    "new\nline.png", "tab\t.png", "space .png", "%00.png", "=1+1.png",
  )  # fmt: skip
  def test_any_name(self, name):
    self.make(f"cat/{name}", "dog/1.png")

    self.assertEqual(self.names("")[0], f"cat/{name}")

  def test_a_name_that_is_no_unicode_can_be_stored(self):
    self.make("cat/1.png", "dog/1.png")
    path = os.fsencode(self.root / "cat") + b"/caf\xe9.png"
    pathlib.Path(os.fsdecode(path)).write_bytes(b"")

    names = self.names("")

    self.assertEqual(names[1], "cat/caf\\xe9.png")
    names[1].encode()

  @parameterized.named_parameters(
    ("nothing", (), "no folder with images"),
    ("no class", ("1.png", "2.png"), "no folder with images"),
    ("splits without classes", ("train/1.png", "test/1.png"), "right in test,"),
    ("an empty class", ("a/1.png", "b/1.png", "c/x.txt"), "pets/c, which has"),
    ("an empty class of a split", ("train/a/1.png", "train/b/x"), "train/b,"),
    ("no image by name", ("a/1.tif", "b/2.tif"), "no folder with images"),
  )
  def test_another_layout_is_one_clear_line(self, names, words):
    self.root.mkdir()
    self.make(*names)

    with self.assertRaisesRegex(errors.UsageError, words) as caught:
      folder_files.listing(self.root)

    self.assertNotIn("\n", str(caught.exception))

  @parameterized.named_parameters(
    ("a FIFO", lambda path: os.mkfifo(path), "a FIFO"),
    ("a folder", lambda path: path.mkdir(), "x.png, which is a folder"),
    ("a link to nothing", lambda path: path.symlink_to("no.png"), "nowhere"),
    ("a link out", lambda path: path.symlink_to("/etc/passwd"), "leads out"),
    ("a link to itself", lambda path: path.symlink_to("x.png"), "nowhere"),
  )
  def test_what_is_no_plain_file_is_refused(self, make, words):
    self.make("cat/1.png", "dog/1.png")
    make(self.root / "cat/x.png")

    with self.assertRaisesRegex(errors.UsageError, words):
      folder_files.listing(self.root)

  def test_links_inside_and_files_that_are_no_images_may_be_anything(self):
    self.make("cat/1.png", "dog/1.png")
    (self.root / "cat/x.png").symlink_to(self.root / "dog/1.png")
    os.mkfifo(self.root / "cat/queue")
    os.mkfifo(self.root / "queue")

    self.assertLen(self.names(""), 3)


if __name__ == "__main__":
  absltest.main()
