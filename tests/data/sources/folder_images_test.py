"""Images as people have them: each is right, or one line names its file."""

import io
import os
import pathlib
import struct
import zlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from PIL import Image

from memo_tf.data.sources import folder_images
from memo_tf.data.sources import image_source
from memo_tf.data.sources import load as load_lib
from memo_tf.data.stored import conversion
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib

RED, GREY = (200, 30, 30), (128, 128, 128)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
  sink = io.BytesIO()
  image.save(sink, kind, **options)
  return sink.getvalue()


def red(mode: str = "RGB") -> Image.Image:
  image = Image.new("RGB", (12, 10), RED)
  return image.quantize(4) if mode == "P" else image.convert(mode)


def noise() -> Image.Image:
  rng = np.random.default_rng(0)
  return Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))


def translucent(colour, kind, **options) -> bytes:
  return encoded(Image.new("RGBA", (12, 10), (*colour, 40)), kind, **options)


def animated(kind: str) -> bytes:
  second = Image.new("RGB", (12, 10), (0, 0, 255))
  options = {"lossless": True} if kind == "WEBP" else {}
  return encoded(
    red(), kind, save_all=True, append_images=[second], duration=9, **options
  )


def turned() -> bytes:
  """A JPEG of 12x10, to be shown upright as 10x12."""
  exif = Image.Exif()
  exif[0x0112] = 6
  return encoded(red(), "JPEG", exif=exif.tobytes(), quality=100)


def huge_png() -> bytes:
  """A PNG whose header states 100,000 by 100,000 pixels, and few bytes."""

  def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum

  header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
  return (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", header)
    + chunk(b"IDAT", zlib.compress(bytes(9)))
    + chunk(b"IEND", b"")
  )


def sixteen_bits() -> bytes:
  return encoded(Image.fromarray(np.full((10, 12), 0x80FF, np.uint16)), "PNG")


# Name, content, the colour of every pixel, and how far JPEG may be from it.
TAKEN = (
  ("jpeg", encoded(red(), "JPEG", quality=100), RED, 3),
  ("jpeg_grey", encoded(Image.new("L", (12, 10), 128), "JPEG"), GREY, 1),
  ("jpeg_cmyk", encoded(red("CMYK"), "JPEG", quality=100), RED, 4),
  ("jpeg_turned", turned(), RED, 3),
  ("jpeg_progressive", encoded(red(), "JPEG", progressive=True), RED, 3),
  ("png", encoded(red(), "PNG"), RED, 0),
  ("png_palette", encoded(red("P"), "PNG"), RED, 0),
  ("png_grey", encoded(Image.new("L", (12, 10), 128), "PNG"), GREY, 0),
  ("png_16_bits", sixteen_bits(), GREY, 0),
  ("png_1_bit", encoded(Image.new("1", (12, 10), 1), "PNG"), (255,) * 3, 0),
  ("png_alpha", translucent(RED, "PNG"), RED, 0),
  ("png_grey_alpha", encoded(Image.new("LA", (12, 10), (128, 9)), "PNG"), GREY,
   0),
  ("png_animated", animated("PNG"), RED, 0),
  ("gif", encoded(red(), "GIF"), RED, 0),
  ("gif_animated", animated("GIF"), RED, 0),
  ("bmp", encoded(red(), "BMP"), RED, 0),
  ("bmp_palette", encoded(red("P"), "BMP"), RED, 0),
  ("webp", encoded(red(), "WEBP", lossless=True), RED, 0),
  ("webp_alpha", translucent(RED, "WEBP", lossless=True, exact=True), RED, 0),
  ("webp_animated", animated("WEBP"), RED, 0),
)  # fmt: skip
REFUSED = (
  ("nothing", b"", "empty file"),
  ("text", b"no image", "no JPEG, PNG, WebP, GIF or BMP"),
  ("tiff", encoded(red(), "TIFF"), "no JPEG, PNG"),
  ("page", b"<html>404 not found</html>", "no JPEG, PNG"),
  ("jpeg_truncated", encoded(noise(), "JPEG")[:700], "truncated JPEG"),
  ("png_truncated", encoded(noise(), "PNG")[:700], "truncated PNG"),
  ("png_damaged", encoded(noise(), "PNG").replace(b"IDAT", b"XDAT"), "PNG"),
  ("gif_truncated", encoded(noise(), "GIF")[:900], "truncated"),
  ("webp_truncated", encoded(noise(), "WEBP")[:60], ""),
  ("bmp_truncated", encoded(noise(), "BMP")[:60], "truncated"),
)


class DecodeTest(parameterized.TestCase):
  @parameterized.named_parameters(*TAKEN)
  def test_taken(self, content, colour, tolerance):
    pixels = folder_images.decode(content)

    self.assertEqual(pixels.dtype, np.uint8)
    self.assertEqual(pixels.shape, (10, 12, 3))
    difference = np.abs(pixels.astype(int) - np.array(colour))
    self.assertLessEqual(difference.max(), tolerance)

  @parameterized.named_parameters(*REFUSED)
  def test_refused_in_a_few_words(self, content, words):
    with self.assertRaisesRegex(image_source.UnreadableError, words) as caught:
      folder_images.decode(content)

    self.assertLess(len(str(caught.exception)), 40)


class FolderOfFormsTest(parameterized.TestCase):
  """All of them in one folder, in Keras's layout."""

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.create_tempdir().full_path, "forms")
    (self.root / "red").mkdir(parents=True)
    (self.root / "blue").mkdir()
    for name, content, *_ in TAKEN:
      # Half of them under the wrong suffix, as is usual.
      suffix = name.partition("_")[0] if len(name) % 2 else "jpg"
      (self.root / "red" / f"{name}.{suffix}").write_bytes(content)
    for number in range(20):
      image = Image.new("RGB", (12, 10), (0, number, 255))
      image.save(self.root / "blue" / f"{number}.png")

  def config(self, **settings) -> settings_lib.DataConfig:
    return settings_lib.DataConfig(
      dataset=f"folder:{self.root}", **{"test_fraction": 0.25, **settings}
    )

  def test_memory_and_stream_have_the_same_pixels_and_names(self):
    data = load_lib.load(self.config(), 3)
    stream = load_lib.stream(self.config(), 3)
    held = {"train": data.train_images, "test": data.test_images}
    count = 0
    for split, index, row in conversion.Converter(stream, "png").all():
      np.testing.assert_array_equal(row.image, held[split][index])
      count += 1

    self.assertEqual(count, 40)
    np.testing.assert_array_equal(stream.train_sources, data.train_sources)
    is_red = [name.startswith("red/") for name in data.train_sources]
    np.testing.assert_array_equal(data.train_labels == 1, is_red)
    self.assertTrue(data.sources_are_files)

  def test_what_is_not_used_of_an_image_is_counted(self):
    text = " ".join(load_lib.load(self.config()).notes)

    self.assertIn("forms: 40 images in 2 classes.", text)
    self.assertIn("3 of them animated", text)
    self.assertIn("3 of them transparent", text)
    self.assertIn("1 of them with an EXIF orientation", text)

  def break_some(self) -> list[str]:
    for name, content, _ in REFUSED:
      (self.root / "blue" / f"{name}.png").write_bytes(content)
    return [f"blue/{name}.png" for name, *_ in REFUSED]

  @parameterized.parameters(False, True)
  def test_all_unreadable_files_are_listed_at_once(self, as_stream):
    broken = self.break_some()

    with self.assertRaises(errors.UsageError) as caught:
      if as_stream:
        stream = load_lib.stream(self.config(), 3)
        list(conversion.Converter(stream, "png").all())
      else:
        load_lib.load(self.config(), 3)

    text = str(caught.exception)
    self.assertRegex(text, "10 of 50 images of .*forms cannot be read")
    self.assertIn("--skip_unreadable", text)
    self.assertNotIn("\n", text)
    for name in broken:
      self.assertIn(name, text)

  def test_a_long_list_is_cut(self):
    for number in range(30):
      (self.root / "blue" / f"x{number:02}.png").write_bytes(b"")

    with self.assertRaisesRegex(
      errors.UsageError, r"x09.png \(empty file\) and 20 more\. Repair"
    ):
      load_lib.load(self.config())

  @parameterized.parameters(False, True)
  def test_skipped_images_are_recorded_and_change_no_other(self, as_stream):
    before = load_lib.load(self.config(), 3)
    broken = self.break_some()
    load = load_lib.stream if as_stream else load_lib.load

    data = load(self.config(skip_unreadable=True), 3)

    np.testing.assert_array_equal(data.train_sources, before.train_sources)
    np.testing.assert_array_equal(data.test_sources, before.test_sources)
    self.assertCountEqual([s.partition(":")[0] for s in data.skipped], broken)
    self.assertIn("10 unreadable images are left out", " ".join(data.notes))

  def test_a_folder_of_unreadable_images_only_is_one_clear_line(self):
    for path in self.root.glob("*/*"):
      path.write_bytes(b"")

    with self.assertRaisesRegex(
      errors.UsageError,
      "must leave images.*forms, where all 40 are unreadable: blue/0.png ",
    ) as caught:
      load_lib.load(self.config(skip_unreadable=True))
    self.assertNotIn("\n", str(caught.exception))

  def test_a_huge_header_is_refused_before_it_is_decoded(self):
    (self.root / "blue/huge.png").write_bytes(huge_png())

    with self.assertRaisesRegex(
      errors.UsageError, "max_image_pixels.*huge.png of 100000x100000"
    ):
      load_lib.load(self.config(skip_unreadable=True))

  def test_differing_sizes_need_a_size(self):
    Image.new("RGB", (64, 48)).save(self.root / "blue/large.png")

    with self.assertRaisesRegex(errors.UsageError, "10x12 to 48x64"):
      load_lib.load(self.config())

    data = load_lib.load(self.config(image_size=9))
    self.assertEqual(data.train_images.shape[1:], (9, 9, 3))

  def test_the_drawn_test_set_is_stratified_and_follows_the_content(self):
    data = load_lib.load(self.config(), 3)
    test = set(data.test_sources)
    moved = sorted(test)[0]

    self.assertEqual(np.bincount(data.test_labels).tolist(), [5, 5])
    os.rename(self.root / moved, self.root / "blue/another name.jpg")
    again = set(load_lib.load(self.config(), 3).test_sources)
    self.assertEqual(again, test - {moved} | {"blue/another name.jpg"})
    self.assertNotEqual(set(load_lib.load(self.config(), 4).test_sources), test)

  def test_few_examples_move_when_some_are_added(self):
    before = set(load_lib.load(self.config(), 3).test_sources)
    for number in range(20, 24):
      image = Image.new("RGB", (12, 10), (0, number, 255))
      image.save(self.root / "blue" / f"{number}.png")

    after = load_lib.load(self.config(), 3)

    # The quota of blue grows from 5 of 20 to 6 of 24: at most 4 new ones push
    # out others, and no red one moves.
    moved = before - set(after.test_sources)
    self.assertLessEqual(len(moved), 4)
    self.assertEqual([n for n in moved if n.startswith("red/")], [])


if __name__ == "__main__":
  absltest.main()
