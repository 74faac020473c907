"""Images as WebP sheets of many cells each, and single ones as data URIs."""

import dataclasses
import io

import numpy as np
from PIL import Image

# A larger image is shrunk to this many pixels a side.
MAX_SIDE = 64
# Cells of a sheet; a browser decodes whole sheets.
CELLS = 1024
# All images together, in bytes of pixels, up to which nothing is lost.
LOSSLESS_BYTES = 4_000_000
QUALITY = 70


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sheets:
  """Images in sheets.

  Attributes:
    contents: WebP files.
    columns: cells of a row.
    rows: rows of every sheet; those of the last one may be empty.
    width, height: of a cell, in pixels.
    cells: cells of a sheet.
  """

  contents: list[bytes]
  columns: int
  rows: int
  width: int
  height: int
  cells: int


def sheets(images: np.ndarray, order: np.ndarray, max_pixel: int) -> Sheets:
  """Images in sheets, in a given order.

  Args:
    images: `[N, H, W, channels]`, in [0, max_pixel].
    order: `[K]` int, which image is in each cell.
    max_pixel: the value shown as full intensity.
  """
  height, width = _cell(images.shape[1:3])
  size = len(order) * height * width * 3
  cells = min(CELLS, max(1, len(order)))
  columns = int(np.ceil(np.sqrt(cells)))
  rows = -(-cells // columns)
  contents = []
  for start in range(0, len(order), cells):
    sheet = np.zeros((rows * height, columns * width, 4), np.uint8)
    sheet[..., 3] = 255
    for place, n in enumerate(order[start : start + cells]):
      row, column = divmod(place, columns)
      top, left = row * height, column * width
      sheet[top : top + height, left : left + width] = np.asarray(
        _picture(images[n], max_pixel, (width, height)).convert("RGBA")
      )
    contents.append(_webp(Image.fromarray(sheet), size <= LOSSLESS_BYTES))
  return Sheets(
    contents=contents,
    columns=columns,
    rows=rows,
    width=width,
    height=height,
    cells=cells,
  )


def single(image: np.ndarray, max_pixel: int) -> bytes:
  """One image `[H, W, channels]` as a WebP file, without loss."""
  height, width = _cell(image.shape[:2])
  return _webp(_picture(image, max_pixel, (width, height)), True)


def _cell(shape: tuple[int, ...]) -> tuple[int, int]:
  """Height and width of an image as it is shown."""
  scale = min(1.0, MAX_SIDE / max(shape[:2]))
  return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _picture(image: np.ndarray, max_pixel: int, size) -> Image.Image:
  pixels = image
  if max_pixel != 255 or image.dtype != np.uint8:
    pixels = np.clip(np.round(image * (255.0 / max_pixel)), 0, 255)
    pixels = pixels.astype(np.uint8)
  if pixels.shape[-1] not in (1, 3, 4):  # such as depth as a second channel
    pixels = pixels[..., :1] if pixels.shape[-1] == 2 else pixels[..., :3]
  if pixels.shape[-1] == 1:
    pixels = pixels[..., 0]
  picture = Image.fromarray(pixels)
  if picture.size != size:
    picture = picture.resize(size, Image.Resampling.BOX)
  return picture


def _webp(picture: Image.Image, lossless: bool) -> bytes:
  sink = io.BytesIO()
  if picture.mode == "RGBA" and min(picture.getchannel("A").tobytes()) == 255:
    picture = picture.convert("RGB")
  picture.save(
    sink, format="WEBP", lossless=lossless, quality=QUALITY, method=4
  )
  return sink.getvalue()
