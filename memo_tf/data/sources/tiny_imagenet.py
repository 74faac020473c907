"""Tiny-ImageNet as a TFDS builder, as TFDS has none.

It reads the official archive, `tiny-imagenet-200.zip`, which the user provides:

    tiny-imagenet-200/wnids.txt                        the 200 classes, in order
    tiny-imagenet-200/words.txt                        their names
    tiny-imagenet-200/train/<wnid>/images/*.JPEG       500 a class
    tiny-imagenet-200/val/images/val_<n>.JPEG          10,000
    tiny-imagenet-200/val/val_annotations.txt          file, wnid, bounding box
    tiny-imagenet-200/test/images/*.JPEG               unlabelled: not used

The labels of the validation images are in the annotations only, and some 1,800
images are greyscale. Splits: `train`, and `validation`, which studies use as
their test set. Features: `id` (the index among its split's images in the
archive's own order), `image` (uint8 64x64x3) and `label` (the index in
wnids.txt). Images are decoded once, here, and kept as PNG: JPEG decoders round
differently, and the data set would depend on the decoder. Nothing is unpacked
to disk.
"""

import collections
import hashlib
import io
import pathlib
import zipfile
import zlib

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds

ARCHIVE = "tiny-imagenet-200.zip"
URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
SHA256 = "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821"
SIDE = 64
_ROOT = "tiny-imagenet-200"
_DESCRIPTION = (
  "100,000 training images of 200 classes of ImageNet, 500 each, shrunk to "
  "64x64 pixels, and 10,000 validation images, 50 each."
)
_LICENCE = (
  "that of ImageNet: non-commercial research and educational use "
  "(https://image-net.org/download)"
)
_CITATION = """@misc{le2015tiny,
  author = {Ya Le and Xuan Yang},
  title = {Tiny {ImageNet} Visual Recognition Challenge},
  howpublished = {CS 231N, Stanford University},
  year = {2015}
}"""


def builder(
  data_dir: str | pathlib.Path,
  archive: str | pathlib.Path | None = None,
  **expected,
) -> "TinyImagenet":
  """The builder, as TFDS's own: `.info`, `.download_and_prepare()`, ….

  Args:
    data_dir: TFDS's folder: where the prepared data set is, or goes to.
    archive: the official archive. By default that name in `data_dir`, or in
      `data_dir/downloads/manual`, where TFDS looks.
    **expected: what the archive must be, if not the official one: see
      `TinyImagenet`.

  Returns:
    A builder whose `download_and_prepare()` raises a `ValueError` of one line
    if the archive is missing, is not the one expected, is damaged or
    incomplete, or names files outside of itself.
  """
  data_dir = pathlib.Path(data_dir).expanduser()
  if archive is None:
    paths = (data_dir / ARCHIVE, data_dir / "downloads" / "manual" / ARCHIVE)
    archive = next((path for path in paths if path.exists()), paths[0])
  return TinyImagenet(data_dir=str(data_dir), archive=archive, **expected)


class TinyImagenet(tfds.core.GeneratorBasedBuilder):
  """Le & Yang (2015), from a local archive.

  Args:
    archive: its path.
    sha256: of the archive, in hexadecimal; None: not checked.
    num_classes, train_per_class, num_validation: how many must be there.
    **kwargs: of TFDS's builders: data_dir.
  """

  name = "tiny_imagenet"
  VERSION = tfds.core.Version("1.0.0")
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"Get {URL} and leave it as it is."

  def __init__(
    self,
    *,
    archive: str | pathlib.Path = ARCHIVE,
    sha256: str | None = SHA256,
    num_classes: int = 200,
    train_per_class: int = 500,
    num_validation: int = 10_000,
    **kwargs,
  ):
    self._archive = pathlib.Path(archive).expanduser()
    self._sha256 = sha256
    self._num_classes = num_classes
    self._train_per_class = train_per_class
    self._num_validation = num_validation
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description=_DESCRIPTION,
      features=tfds.features.FeaturesDict(
        {
          "id": np.int64,
          "image": tfds.features.Image(
            shape=(SIDE, SIDE, 3), encoding_format="png"
          ),
          "label": tfds.features.ClassLabel(num_classes=self._num_classes),
        }
      ),
      supervised_keys=("image", "label"),
      homepage="https://cs231n.stanford.edu",
      citation=_CITATION,
      license=_LICENCE,
      disable_shuffling=True,  # the order written is that of the ids
    )

  def _split_generators(self, dl_manager):
    self._check_file()
    try:
      with zipfile.ZipFile(self._archive) as content:
        names = self._safe_names(content)
        wnids, class_names = self._classes(content, names)
        train = self._train_members(names, wnids)
        validation = self._validation_members(content, names, wnids)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
      raise self._error(f"is damaged ({error})") from error
    self.info.features["label"].names = class_names
    return {
      "train": self._generate_examples(train),
      "validation": self._generate_examples(validation),
    }

  def _generate_examples(self, members: list[tuple[str, int]]):
    """Yields examples of (name in the archive, label), in order."""
    with zipfile.ZipFile(self._archive) as content:
      for index, (name, label) in enumerate(members):
        yield (
          index,
          {"id": index, "image": self._image(content, name), "label": label},
        )

  def _image(self, content: zipfile.ZipFile, name: str) -> np.ndarray:
    """One image, uint8 `[64, 64, 3]`, greyscale ones as RGB."""
    try:
      encoded = content.read(name)
      with Image.open(io.BytesIO(encoded)) as image:
        pixels = np.asarray(image.convert("RGB"))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
      detail = " ".join(str(error).split())
      raise self._error(f"is damaged: {name} ({detail})") from error
    if pixels.shape != (SIDE, SIDE, 3):
      raise self._error(
        f"holds {name} of {pixels.shape[1]}x{pixels.shape[0]} pixels, not "
        f"{SIDE}x{SIDE}"
      )
    return pixels

  def _check_file(self) -> None:
    """The file is there, and is the one that is meant."""
    if not self._archive.is_file():
      raise ValueError(
        f"Tiny-ImageNet needs its official archive, {ARCHIVE} (248,100,043 "
        f"bytes, {URL}), as it is, in the folder {self._archive.parent}. "
        "There is none"
      )
    if self._sha256 is None:
      return
    with open(self._archive, "rb") as file:
      found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != self._sha256.lower():
      raise self._error(
        f"is not the expected archive, or damaged: its SHA-256 is {found}, not "
        f"{self._sha256.lower()} ({self._archive.stat().st_size:,} bytes); get "
        f"it anew from {URL}"
      )

  def _safe_names(self, content: zipfile.ZipFile) -> list[str]:
    """The files in the archive, in its order; refuses paths that lead out."""
    names = []
    for member in content.infolist():
      # Backslashes and drive letters, for what other systems would read there.
      parts = member.orig_filename.replace("\\", "/").split("/")
      is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
      if (
        ".." in parts
        or parts[0] == ""
        or parts[0].endswith(":")
        or "\0" in member.orig_filename
        or is_link
      ):
        raise self._error(
          "is refused: it holds a path that leads out of its folder, "
          f"{member.orig_filename!r}"
        )
      if not member.is_dir():
        names.append(member.filename)
    name, count = (
      collections.Counter(names).most_common(1)[0] if names else ("", 0)
    )
    if count > 1:
      raise self._error(f"is refused: it holds {name} {count} times")
    return names

  def _classes(self, content, names) -> tuple[dict[str, int], list[str]]:
    """Label by wnid, and the C class names."""
    wnids = self._lines(content, names, "wnids.txt")
    if len(wnids) != self._num_classes or len(set(wnids)) != len(wnids):
      raise self._error(
        f"is incomplete: wnids.txt names {len(set(wnids))} classes, not "
        f"{self._num_classes}"
      )
    words = {}
    for line in self._lines(content, names, "words.txt"):
      wnid, _, text = line.partition("\t")
      words[wnid] = text.split(",")[0].strip()
    missing = [wnid for wnid in wnids if not words.get(wnid)]
    if missing:
      raise self._error(f"is incomplete: words.txt has no {missing[0]}")
    # A few classes share their first word, such as the bird and the machine
    # crane.
    uses = collections.Counter(words[wnid] for wnid in wnids)
    class_names = [
      words[wnid] if uses[words[wnid]] == 1 else f"{words[wnid]} ({wnid})"
      for wnid in wnids
    ]
    return {wnid: label for label, wnid in enumerate(wnids)}, class_names

  def _train_members(self, names, wnids) -> list[tuple[str, int]]:
    members = []
    for name in names:
      parts = name.split("/")
      if parts[:2] == [_ROOT, "train"] and parts[3:4] == ["images"]:
        if parts[2] not in wnids:
          raise self._error(f"holds {name}, whose class is not in wnids.txt")
        members.append((name, wnids[parts[2]]))
    counts = np.bincount([label for _, label in members], minlength=len(wnids))
    for wnid, label in wnids.items():
      if counts[label] != self._train_per_class:
        raise self._error(
          f"is incomplete: it holds {counts[label]} training images of {wnid}, "
          f"not {self._train_per_class}"
        )
    return members

  def _validation_members(self, content, names, wnids) -> list[tuple[str, int]]:
    labels = {}
    for line in self._lines(content, names, "val/val_annotations.txt"):
      fields = line.split("\t")
      if len(fields) < 2 or fields[1] not in wnids:
        raise self._error(
          "is damaged: val_annotations.txt has a line without a file and one "
          f"of the classes: {line[:80]!r}"
        )
      labels[fields[0]] = wnids[fields[1]]
    folder = f"{_ROOT}/val/images/"
    found = [n.removeprefix(folder) for n in names if n.startswith(folder)]
    strange = sorted(set(found) ^ set(labels))
    if len(found) != self._num_validation or strange:
      example = f"; {strange[0]} is only in one of them" if strange else ""
      raise self._error(
        f"is incomplete: it holds {len(found)} validation images and "
        f"{len(labels)} annotations, not {self._num_validation}{example}"
      )
    return [(folder + name, labels[name]) for name in found]

  def _lines(self, content, names, name: str) -> list[str]:
    """The lines of a text file that are not empty."""
    path = f"{_ROOT}/{name}"
    if path not in names:
      raise self._error(f"is incomplete: it holds no {path}")
    try:
      text = content.read(path).decode()
    except UnicodeDecodeError as error:
      raise self._error(f"is damaged: {path} is no text") from error
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]

  def _error(self, problem: str) -> ValueError:
    return ValueError(f"The archive {self._archive} {problem}")
