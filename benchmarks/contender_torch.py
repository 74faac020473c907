"""Training with PyTorch, eager or compiled, channels-last, for training.py."""

import argparse
from collections.abc import Callable
import time

import pairing
from sklearn import datasets as sklearn_datasets
import torch
from torch import nn
from torch.nn import functional

BATCH = 128


class Block(nn.Module):
  """A basic block with the parameter-free shortcut A."""

  def __init__(self, inside: int, outside: int, stride: int):
    super().__init__()
    self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    self.first_norm = nn.BatchNorm2d(outside)
    self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
    self.second_norm = nn.BatchNorm2d(outside)
    self.stride, self.missing = stride, outside - inside

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    y = functional.relu(self.first_norm(self.first(x)), inplace=True)
    y = self.second_norm(self.second(y))
    if self.missing:
      x = x[:, :, :: self.stride, :: self.stride]
      half = self.missing // 2
      x = functional.pad(x, (0, 0, 0, 0, half, self.missing - half))
    return functional.relu(x + y, inplace=True)


def build(depth: int, channels: int) -> nn.Module:
  """The CIFAR ResNet of memo_tf in PyTorch, from images to logits."""
  layers = [
    nn.Conv2d(channels, 16, 3, 1, 1, bias=False),
    nn.BatchNorm2d(16),
    nn.ReLU(inplace=True),
  ]
  inside = 16
  for stage, outside in enumerate((16, 32, 64)):
    for block in range((depth - 2) // 6):
      layers.append(Block(inside, outside, 2 if stage and not block else 1))
      inside = outside
  layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
  return nn.Sequential(*layers)


def parameter_groups(model: nn.Module) -> list[dict]:
  """Weight decay on kernels only, as ours."""
  kernels = [p for p in model.parameters() if p.ndim > 1]
  others = [p for p in model.parameters() if p.ndim == 1]
  return [
    {"params": kernels, "weight_decay": 1e-4},
    {"params": others, "weight_decay": 0.0},
  ]


def study_work(compiled: bool) -> Callable[[float], tuple[int, float]]:
  """Whole runs on the digits: built once, re-initialized for each subset."""
  content = sklearn_datasets.load_digits()
  images = torch.tensor(content.images, dtype=torch.float32)[:, None]
  images = (images - 5) / 6
  labels = torch.tensor(content.target)
  model = build(8, 1).to(memory_format=torch.channels_last)

  def loss_of(batch: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(model(batch), given)

  step_loss = torch.compile(loss_of) if compiled else loss_of

  def reset(module: nn.Module) -> None:
    if hasattr(module, "reset_parameters"):
      module.reset_parameters()

  def work(seconds: float) -> tuple[int, float]:
    count, started = 0, time.perf_counter()
    while not count or time.perf_counter() - started < seconds:
      members = torch.randperm(1500)[:1050]
      model.apply(reset)
      optimizer = torch.optim.SGD(
        parameter_groups(model), lr=0.1, momentum=0.9, nesterov=True
      )
      model.train()
      for _ in range(20):
        order = members[torch.randperm(1050)]
        for indices in order[: 1050 // BATCH * BATCH].split(BATCH):
          optimizer.zero_grad(set_to_none=True)
          step_loss(images[indices], labels[indices]).backward()
          optimizer.step()
      model.eval()
      with torch.inference_mode():
        torch.cat([model(part) for part in images.split(256)]).argmax(1)
      count += 1
    return count, time.perf_counter() - started

  return work


def main() -> None:
  parser = argparse.ArgumentParser()
  for name in ("threads", "depth", "size", "channels"):
    parser.add_argument(f"--{name}", type=int)
  parser.add_argument("--kind")
  parser.add_argument("--precision", default="float32")
  arguments = parser.parse_args()
  torch.set_num_threads(arguments.threads)
  if arguments.kind.startswith("study"):
    pairing.serve(study_work(arguments.kind.endswith("compiled")))
    return
  shape = (2048, arguments.channels, arguments.size, arguments.size)
  images = torch.randint(0, 256, shape, dtype=torch.uint8)
  images = images.contiguous(memory_format=torch.channels_last)
  labels = torch.randint(0, 10, (2048,))
  model = build(arguments.depth, arguments.channels)
  model = model.to(memory_format=torch.channels_last)
  optimizer = torch.optim.SGD(
    parameter_groups(model), lr=0.01, momentum=0.9, nesterov=True
  )

  def loss_of(batch: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    inputs = (batch.float() - 128.0) / 64.0
    with torch.autocast(
      "cpu", torch.bfloat16, enabled=arguments.precision == "bfloat16"
    ):
      logits = model(inputs)
    return functional.cross_entropy(logits.float(), given)

  if arguments.kind == "compiled":
    loss_of = torch.compile(loss_of)

  def work(seconds: float) -> tuple[int, float]:
    items, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
      indices = torch.randint(0, 2048, (BATCH,))
      batch = images[indices].contiguous(memory_format=torch.channels_last)
      optimizer.zero_grad(set_to_none=True)
      loss_of(batch, labels[indices]).backward()
      optimizer.step()
      items += BATCH
    return items, time.perf_counter() - started

  pairing.serve(work)


if __name__ == "__main__":
  main()
