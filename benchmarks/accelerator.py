r"""Times one training step on an accelerator that has no TensorFlow.

TensorFlow and JAX share XLA. `write` traces the training step of a study with
TensorFlow, on any machine, and writes it as an HLO module with its inputs and
the losses that TensorFlow computes. `run` compiles the module with JAX's XLA
for whatever device JAX has, checks the losses and times the step, beside
PyTorch (channels-last, same precision, compiled) if it is installed. It times
the step alone, on data that are already on the device, not the program around
it.

    python benchmarks/accelerator.py write --models=cifar_resnet-8 \
        --batch_size=1024 --precision=bfloat16 --output_dir=OUT
    python benchmarks/accelerator.py run --output_dir=OUT

`run` uses names inside jaxlib that may change between versions; it works with
jax 0.10.2.
"""

import argparse
from collections.abc import Callable
import json
import pathlib
import re
import sys
import time
from typing import Any

import numpy as np

from memo_tf.experiment import settings as settings_lib

CHECKED_STEPS = 5
RATE = 0.05


def write(arguments: argparse.Namespace) -> None:
  """Writes `.hlo`, `.npz` (inputs, losses) and `.json` for each model."""
  import tensorflow as tf

  from memo_tf import models
  from memo_tf.experiment import recipes
  from memo_tf.training import distribution
  from memo_tf.training import trainer as trainer_lib

  folder = pathlib.Path(arguments.output_dir)
  folder.mkdir(parents=True, exist_ok=True)
  shape = (arguments.size, arguments.size, arguments.channels)
  settings = settings_lib.TrainingConfig(
    batch_size=arguments.batch_size, precision=arguments.precision
  )
  for name in arguments.models.split(","):
    trainer = trainer_lib.Trainer(
      name,
      recipes.parse("one_hot", settings),
      image_shape=shape,
      num_classes=arguments.classes,
      mean=np.full(shape[2], 128, np.float32),
      std=np.full(shape[2], 64, np.float32),
      strategy=distribution.one_device(),
    )
    trainer.initialize(0, name)
    rng = np.random.default_rng(0)
    batch = (
      tf.constant(
        rng.integers(0, 256, (arguments.batch_size, *shape)), tf.uint8
      ),
      tf.constant(
        rng.integers(0, arguments.classes, arguments.batch_size), tf.int32
      ),
      tf.constant(RATE),
    )
    step = compiled_step(trainer)
    module = step.experimental_get_compiler_ir(*batch)(stage="hlo_serialized")
    (folder / f"{name}.hlo").write_bytes(module)
    inputs = [*batch, *captured(step.get_concrete_function(), trainer)]
    arrays = {f"p{i}": np.asarray(value) for i, value in enumerate(inputs)}
    losses = []
    if not arguments.skip_losses:
      losses = [float(step(*batch)[0]) for _ in range(CHECKED_STEPS)]
    np.savez(folder / f"{name}.npz", losses=np.array(losses), **arrays)
    about = {
      "model": name,
      "batch_size": arguments.batch_size,
      "precision": arguments.precision,
      "image_shape": shape,
      "parameters": models.count_parameters(trainer.model),
    }
    (folder / f"{name}.json").write_text(json.dumps(about) + "\n")
    print(f"{name}: {len(module) / 1e6:.2f} MB of HLO, losses {losses}")


def compiled_step(trainer: Any) -> Any:
  """One step on a batch as a function that XLA compiles, for its HLO.

  Takes images `[B, H, W, channels]`, int32 labels `[B]` and the rate; returns
  the mean loss and the number correct, and updates the variables.
  """
  import tensorflow as tf

  size, shape = trainer.recipe.batch_size, trainer.model.input_shape[1:]
  return tf.function(
    lambda images, labels, rate: trainer.step(images, labels, rate)[:2],
    input_signature=[
      tf.TensorSpec([size, *shape], tf.uint8),
      tf.TensorSpec([size], tf.int32),
      tf.TensorSpec([], tf.float32),
    ],
    jit_compile=True,
  )


def captured(function: Any, trainer: Any) -> list[np.ndarray]:
  """Variables that a traced step captured, in the order of its parameters."""
  variables = [v.value for v in trainer.model.variables]
  variables += trainer.optimizer.velocities
  values = []
  for tensor in function.captured_inputs:
    if tensor.dtype.name == "resource":
      values.append(next(v for v in variables if v.handle is tensor).numpy())
    else:
      values.append(tensor.numpy())
  return values


class Module:
  """An HLO module on JAX's device that feeds its variables back each step."""

  def __init__(self, content: bytes, inputs: list[np.ndarray]):
    import jax
    from jax._src import xla_bridge
    from jax._src.lib import xla_client
    from jax.interpreters import mlir
    from jaxlib import _jax
    from jaxlib.mlir import ir

    computation = xla_client.XlaComputation(content)
    header = computation.as_hlo_text().split("\n", 1)[0]
    # {result}: (parameter, {}): a result that is the new value of a variable.
    pairs = re.findall(r"\{(\d+)\}: \((\d+), \{\}", header)
    self.alias = {int(result): int(parameter) for result, parameter in pairs}
    text = xla_client._xla.mlir.xla_computation_to_mlir_module(computation)
    backend = xla_bridge.get_backend()
    with mlir.make_ir_context():
      module = ir.Module.parse(
        text if isinstance(text, str | bytes) else str(text)
      )
      devices = _jax.DeviceList(tuple(backend.local_devices()[:1]))
      self._program = backend.compile_and_load(
        module, devices, xla_client.CompileOptions()
      )
    self._arguments = [jax.device_put(value) for value in inputs]

  def step(self) -> Any:
    """Runs one step; returns its first result, the loss, on the device."""
    results = [
      parts[0]
      for parts in self._program.execute_sharded(
        self._arguments
      ).disassemble_into_single_device_arrays()
    ]
    for result, parameter in self.alias.items():
      self._arguments[parameter] = results[result]
    return next(r for i, r in enumerate(results) if i not in self.alias)


def time_steps(
  step: Callable[[], Any],
  wait: Callable[[Any], object],
  seconds: float,
  repeats: int,
) -> list[float]:
  """Seconds per step, measured `repeats` times for about `seconds` each."""
  wait(step())
  started = time.perf_counter()
  wait(step())
  count = max(3, int(seconds / (time.perf_counter() - started)))
  times = []
  for _ in range(repeats):
    started = time.perf_counter()
    for _ in range(count):
      last = step()
    wait(last)
    times.append((time.perf_counter() - started) / count)
  return times


def torch_step(
  about: dict, device: str
) -> tuple[Callable[[], Any], Callable[[Any], float]]:
  """PyTorch's compiled step on the same shapes; returns (step, wait)."""
  import contender_torch
  import torch
  from torch.nn import functional

  depth = int(about["model"].split("-")[1])
  height, width, channels = about["image_shape"]
  model = contender_torch.build(depth, channels).to(
    device, memory_format=torch.channels_last
  )
  groups = contender_torch.parameter_groups(model)
  fused = {"fused": True} if device == "cuda" else {}
  optimizer = torch.optim.SGD(
    groups, lr=RATE, momentum=0.9, nesterov=True, **fused
  )
  size = (about["batch_size"], channels, height, width)
  images = torch.randint(0, 256, size, dtype=torch.uint8, device=device)
  images = images.contiguous(memory_format=torch.channels_last)
  labels = torch.randint(0, 10, size[:1], device=device)
  half = about["precision"] == "bfloat16"

  @torch.compile(mode="max-autotune" if device == "cuda" else None)
  def loss_of() -> torch.Tensor:
    with torch.autocast(device, torch.bfloat16, enabled=half):
      logits = model((images.float() - 128.0) / 64.0)
    return functional.cross_entropy(logits.float(), labels)

  def step() -> torch.Tensor:
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of()
    loss.backward()
    optimizer.step()
    return loss

  return step, lambda loss: loss.item()


def run(arguments: argparse.Namespace) -> None:
  """Checks and times every module in the folder; prints a JSON line last."""
  import jax

  folder, rows, ratios = pathlib.Path(arguments.output_dir), [], {}
  for path in sorted(folder.glob("*.hlo")):
    about = json.loads(path.with_suffix(".json").read_text())
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as content:
      count = len(content.files) - 1
      inputs = [content[f"p{i}"] for i in range(count)]
      expected = content["losses"]
    started = time.perf_counter()
    module = Module(path.read_bytes(), inputs)
    compiling = time.perf_counter() - started
    losses = [float(np.asarray(module.step())) for _ in expected]
    error = float(np.max(np.abs(losses - expected), initial=0.0))
    times = time_steps(module.step, np.asarray, arguments.seconds, 5)
    row = {
      **about,
      "device": str(jax.devices()[0]),
      "compile_s": round(compiling, 2),
      "largest_loss_error": error,
      "step_ms": round(1e3 * float(np.median(times)), 4),
      "images_per_s": round(about["batch_size"] / float(np.median(times))),
    }
    if arguments.torch:
      device = "cuda" if "cuda" in row["device"].lower() else "cpu"
      step, wait = torch_step(about, device)
      peer = time_steps(step, wait, arguments.seconds, 5)
      row["torch_step_ms"] = round(1e3 * float(np.median(peer)), 4)
      spread = sorted(p / t for p in peer for t in times)
      ratios[f"PyTorch compiled, {about['model']}"] = [
        round(spread[0], 3),
        round(float(np.median(spread)), 3),
        round(spread[-1], 3),
      ]
    rows.append(row)
    print(json.dumps(row), flush=True)
  if not rows:
    sys.exit(f"{folder} has no .hlo files: run `write` first")
  print(
    json.dumps({"benchmark": "accelerator (the step only)", "ratios": ratios})
  )


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  commands = parser.add_subparsers(dest="command", required=True)
  writing = commands.add_parser("write")
  writing.add_argument("--models", default="cifar_resnet-8")
  writing.add_argument("--batch_size", type=int, default=1024)
  writing.add_argument("--precision", default="bfloat16")
  writing.add_argument("--size", type=int, default=32)
  writing.add_argument("--channels", type=int, default=3)
  writing.add_argument("--classes", type=int, default=10)
  writing.add_argument("--skip_losses", action="store_true")
  running = commands.add_parser("run")
  running.add_argument("--seconds", type=float, default=1.0)
  running.add_argument("--torch", action="store_true")
  for command in (writing, running):
    command.add_argument("--output_dir", required=True)
  arguments = parser.parse_args()
  {"write": write, "run": run}[arguments.command](arguments)


if __name__ == "__main__":
  main()
