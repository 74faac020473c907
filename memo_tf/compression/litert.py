"""Predictions of an int8 model by the LiteRT interpreter, in float32."""

from collections.abc import Callable

import numpy as np

BATCH_SIZE = 64


class Int8Model:
  """A `.tflite` file from int8 images to int8 logits, called with floats.

  Args:
    content: the file's content.
    threads: of the interpreter.
  """

  def __init__(self, content: bytes, threads: int = 1):
    # Here, since every worker imports this module, and few compute in int8.
    from ai_edge_litert import interpreter as litert

    self._interpreter = litert.Interpreter(
      model_content=content, num_threads=threads
    )
    self._size = 0
    self._resize(1)

  def __call__(self, images: np.ndarray) -> np.ndarray:
    """float32 logits `[n, C]` of float32 images `[n, H, W, channels]`.

    Images are rounded to the model's 8-bit input, and its 8-bit logits are
    scaled back: two classes may well have the same logit.
    """
    images = np.asarray(images, np.float32)
    parts = [
      self._batch(images[i : i + BATCH_SIZE])
      for i in range(0, len(images), BATCH_SIZE)
    ]
    return np.concatenate(parts)

  def of_raw(
    self, mean: np.ndarray, std: np.ndarray
  ) -> Callable[..., np.ndarray]:
    """The same of raw images, which are normalized batch by batch.

    Args:
      mean, std: float32 `[channels]`.
    """

    def predict(images) -> np.ndarray:
      parts = [
        self(normalized(images[i : i + BATCH_SIZE], mean, std))
        for i in range(0, len(images), BATCH_SIZE)
      ]
      return np.concatenate(parts)

    return predict

  def tensor_types(self) -> dict[str, int]:
    """How many tensors of the model have which type."""
    types = [
      np.dtype(d["dtype"]).name for d in self._interpreter.get_tensor_details()
    ]
    return {name: types.count(name) for name in sorted(set(types))}

  def _batch(self, images: np.ndarray) -> np.ndarray:
    self._resize(len(images))
    scale, zero = self._input["quantization"]
    rounded = np.clip(np.round(images / scale) + zero, -128, 127)
    self._interpreter.set_tensor(self._input["index"], rounded.astype(np.int8))
    self._interpreter.invoke()
    logits = self._interpreter.get_tensor(self._output["index"])
    scale, zero = self._output["quantization"]
    return (logits.astype(np.float32) - zero) * np.float32(scale)

  def _resize(self, size: int) -> None:
    if size == self._size:
      return
    details = self._interpreter.get_input_details()[0]
    shape = [size, *details["shape"][1:]]
    self._interpreter.resize_tensor_input(details["index"], shape)
    self._interpreter.allocate_tensors()
    self._size = size
    self._input = self._interpreter.get_input_details()[0]
    self._output = self._interpreter.get_output_details()[0]


def normalized(images, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
  """float32 images as a model gets them, of raw ones."""
  scale = np.float32(1.0) / np.asarray(std, np.float32)
  return (np.asarray(images, np.float32) - mean) * scale
