"""How an image is stored in a record: its pixels, or a PNG or JPEG of them.

An image of the right shape that is published as PNG or JPEG keeps its bytes, so
that storing it changes nothing. Every other image is encoded here: as PNG,
which is lossless, or, if asked for, as JPEG, which is smaller and faster to
read but changes the pixels a little.

Files are decoded by the ops that TensorFlow Datasets uses, so that pixels are
the same whether a data set is held in memory or streamed.
"""

import numpy as np
import tensorflow as tf

KINDS = ("raw", "png", "jpeg")
# How PNG and JPEG files begin.
PUBLISHED = (b"\x89PNG", b"\xff\xd8\xff")


def encode(image: np.ndarray, kind: str, quality: int = 95) -> bytes:
  """The bytes of an image `[H, W, channels]` as one of `KINDS`.

  Raises:
    ValueError: for a JPEG of 16 bits or four channels, which does not exist.
  """
  if kind == "raw":
    return np.ascontiguousarray(image).tobytes()
  if kind == "png":
    return tf.io.encode_png(image).numpy()
  if image.dtype != np.uint8 or image.shape[-1] not in (1, 3):
    raise ValueError(
      "--image_encoding=jpeg takes images of 8 bits with 1 or 3 channels. "
      f"Received: {image.dtype} with {image.shape[-1]} channels"
    )
  # At full resolution of colour: halved, it is lost whatever the quality.
  encoded = tf.io.encode_jpeg(image, quality=quality, chroma_downsampling=False)
  return encoded.numpy()


def decode(
  content: tf.Tensor,
  kind: str,
  shape: tuple[int | None, int | None, int],
  image_type: str,
) -> tf.Tensor:
  """The image `[H, W, channels]` of a string scalar, inside a graph or out.

  Args:
    content: the bytes.
    kind: of the data set; if it is not `raw`, each image may be PNG or JPEG.
    shape: of the image; height and width may be None unless `kind` is `raw`.
    image_type: `uint8` or `uint16`.
  """
  if kind == "raw":
    return tf.reshape(tf.io.decode_raw(content, image_type), shape)
  image = tf.io.decode_image(
    content, shape[-1] or 0, dtype=image_type, expand_animations=False
  )
  return tf.ensure_shape(image, shape)
