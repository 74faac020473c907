"""Tiny-ImageNet's builder, on made archives in the official layout."""

import hashlib
import io
import pathlib
import stat
import zipfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from PIL import Image

from memo_tf.data.sources import tiny_imagenet

# Not in order of name, as in the official wnids.txt.
WNIDS = ("n02124075", "n01443537", "n02012849")
WORDS = (
  "n01443537\tgoldfish, Carassius auratus\nn02012849\tcrane\n"
  "n02124075\tEgyptian cat\nn03126707\tcrane\n"
)
PER_CLASS, VALIDATION = 4, 5
EXPECTED = {
  "num_classes": 3,
  "train_per_class": PER_CLASS,
  "num_validation": VALIDATION,
}


def jpeg(pixels: np.ndarray) -> bytes:
  sink = io.BytesIO()
  Image.fromarray(pixels).save(sink, format="JPEG", quality=95)
  return sink.getvalue()


def members() -> dict[str, bytes]:
  """Name to content, in the archive's order: labels first, val before train."""
  rng = np.random.default_rng(0)
  root = "tiny-imagenet-200"
  labels = [WNIDS[n % 3] for n in (2, 0, 1, 1, 0)]
  content = {
    f"{root}/wnids.txt": "\n".join(WNIDS).encode() + b"\n",
    f"{root}/words.txt": WORDS.encode(),
    f"{root}/val/val_annotations.txt": "".join(
      f"val_{n}.JPEG\t{wnid}\t0\t32\t44\t62\n" for n, wnid in enumerate(labels)
    ).encode(),
  }
  for n in (3, 0, 4, 1, 2):
    image = rng.integers(0, 256, (64, 64, 3), np.uint8)
    content[f"{root}/val/images/val_{n}.JPEG"] = jpeg(image)
  for wnid in sorted(WNIDS):
    content[f"{root}/train/{wnid}/{wnid}_boxes.txt"] = b"0\t1\t2\t3\n"
    for n in range(PER_CLASS):
      image = rng.integers(0, 256, (64, 64, 3), np.uint8)
      if n == 1:
        image = image[..., 0]  # greyscale
      content[f"{root}/train/{wnid}/images/{wnid}_{n}.JPEG"] = jpeg(image)
  content[f"{root}/test/images/test_0.JPEG"] = jpeg(image)
  return content


class TinyImagenetTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.archive = self.folder / tiny_imagenet.ARCHIVE

  def write(self, content: dict[str, bytes]) -> str:
    """Writes the archive; returns its checksum."""
    with zipfile.ZipFile(self.archive, "w") as archive:
      archive.mkdir("tiny-imagenet-200")
      for name, data in content.items():
        archive.writestr(name, data)
    return hashlib.sha256(self.archive.read_bytes()).hexdigest()

  def prepared(self, sha256=None, **expected):
    builder = tiny_imagenet.builder(
      self.folder, sha256=sha256, **{**EXPECTED, **expected}
    )
    builder.download_and_prepare()
    return builder

  def assert_refused(self, *parts: str, sha256=None, **expected):
    with self.assertRaises(ValueError) as caught:
      self.prepared(sha256, **expected)

    line = str(caught.exception)
    self.assertNotIn("\n", line)
    for part in parts:
      self.assertIn(part, line)
    # Nothing half there that a later call would take for the data set.
    self.assertEmpty(list(self.folder.rglob("dataset_info.json")))

  def test_the_official_checksum_and_counts_are_the_default(self):
    self.write(members())

    self.assert_refused(
      str(self.archive), tiny_imagenet.SHA256, sha256=tiny_imagenet.SHA256
    )
    builder = tiny_imagenet.builder(self.folder)
    with self.assertRaisesRegex(ValueError, tiny_imagenet.SHA256):
      builder.download_and_prepare()
    self.assertEqual(builder.info.features["label"].num_classes, 200)

  def test_every_example_in_the_archives_order(self):
    content = members()
    builder = self.prepared(self.write(content))

    for split, part, count in (
      ("train", "/train/", 12),
      ("validation", "/val/", 5),
    ):
      names = [n for n in content if part in n and n.endswith(".JPEG")]
      examples = list(builder.as_dataset(split=split).as_numpy_iterator())
      self.assertEqual(builder.info.splits[split].num_examples, count)
      self.assertEqual([int(e["id"]) for e in examples], list(range(count)))
      for name, example in zip(names, examples, strict=True):
        image = Image.open(io.BytesIO(content[name]))
        np.testing.assert_array_equal(
          example["image"], np.asarray(image.convert("RGB"))
        )
        if split == "train":
          self.assertEqual(WNIDS[example["label"]], name.split("/")[2])
    # Ids 0 … 4 are val_3, val_0, val_4, val_1, val_2.
    labels = [int(e["label"]) for e in examples]
    self.assertEqual(labels, [1, 2, 0, 0, 1])

  def test_greyscale_images_have_three_equal_channels(self):
    builder = self.prepared(self.write(members()))

    images = [e["image"] for e in builder.as_dataset(split="train")]

    grey = [bool((i.numpy() == i.numpy()[..., :1]).all()) for i in images]
    self.assertEqual(grey, [False, True, False, False] * 3)

  def test_class_names_licence_and_citation(self):
    content = members()
    content["tiny-imagenet-200/wnids.txt"] = (
      b"n02124075\nn01443537\nn02012849\nn03126707"
    )
    for n in range(PER_CLASS):
      content[
        f"tiny-imagenet-200/train/n03126707/images/n03126707_{n}.JPEG"
      ] = content["tiny-imagenet-200/test/images/test_0.JPEG"]
    self.write(content)
    self.prepared(num_classes=4)
    self.archive.unlink()

    # Once prepared, the archive is no longer needed.
    again = self.prepared(num_classes=4)

    self.assertEqual(
      again.info.features["label"].names,
      ["Egyptian cat", "goldfish", "crane (n02012849)", "crane (n03126707)"],
    )
    self.assertIn("Le and Xuan Yang", again.info.citation)
    licence = again.info.redistribution_info.license
    self.assertIn("non-commercial", licence)

  def test_no_archive_says_where_to_put_what(self):
    self.assert_refused(
      "tiny-imagenet-200.zip", str(self.folder), tiny_imagenet.URL
    )

  def test_archive_where_tfds_looks_for_it(self):
    self.write(members())
    manual = self.folder / "downloads/manual"
    manual.mkdir(parents=True)
    self.archive.rename(manual / tiny_imagenet.ARCHIVE)

    builder = self.prepared()

    self.assertEqual(builder.info.splits["train"].num_examples, 12)

  def test_truncated_archive(self):
    sha256 = self.write(members())
    content = self.archive.read_bytes()
    self.archive.write_bytes(content[: len(content) // 2])

    self.assert_refused(str(self.archive), sha256, "SHA-256", sha256=sha256)
    self.assert_refused(str(self.archive), "damaged")

  def test_flipped_bit_in_an_image(self):
    self.write(members())
    content = bytearray(self.archive.read_bytes())
    name = b"n01443537_2.JPEG"
    content[content.index(name) + 1000] ^= 1
    self.archive.write_bytes(content)

    self.assert_refused("damaged", "n01443537_2.JPEG", "CRC")

  def test_image_that_is_none(self):
    content = members()
    content["tiny-imagenet-200/val/images/val_1.JPEG"] = b"not a JPEG"
    self.write(content)

    self.assert_refused("damaged", "val_1.JPEG")

  def test_image_of_another_size(self):
    content = members()
    content["tiny-imagenet-200/val/images/val_1.JPEG"] = jpeg(
      np.zeros((64, 32, 3), np.uint8)
    )
    self.write(content)

    self.assert_refused("val_1.JPEG", "32x64 pixels")

  @parameterized.parameters(
    ("wnids.txt", "wnids.txt"),
    ("words.txt", "words.txt"),
    ("val/val_annotations.txt", "val_annotations.txt"),
    ("val/images/val_2.JPEG", "4 validation images and 5 annotations"),
    (
      "train/n02012849/images/n02012849_3.JPEG",
      "3 training images of n02012849, not 4",
    ),
  )
  def test_incomplete(self, name, part):
    content = members()
    del content[f"tiny-imagenet-200/{name}"]
    self.write(content)

    self.assert_refused("incomplete", part)

  def test_annotation_of_an_unknown_class(self):
    content = members()
    name = "tiny-imagenet-200/val/val_annotations.txt"
    content[name] = content[name].replace(WNIDS[0].encode(), b"n99999999")
    self.write(content)

    self.assert_refused("val_annotations.txt", "n99999999")

  @parameterized.parameters(
    "../outside.txt",
    "tiny-imagenet-200/train/../../../outside.txt",
    "/etc/outside.txt",
    "C:/outside.txt",
    "tiny-imagenet-200\\..\\..\\outside.txt",
  )
  def test_paths_that_lead_out_are_refused(self, name):
    self.write(members() | {name: b"mine"})

    self.assert_refused("leads out", "outside.txt")
    self.assertFalse((self.folder.parent / "outside.txt").exists())

  def test_links_are_refused(self):
    self.write(members())
    link = zipfile.ZipInfo("tiny-imagenet-200/train/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(self.archive, "a") as archive:
      archive.writestr(link, "/etc/passwd")

    self.assert_refused("leads out", "train/link")


if __name__ == "__main__":
  absltest.main()
