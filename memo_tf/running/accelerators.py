"""Which GPUs this machine lends to the workers, found without opening one.

TensorFlow would say it too, but a process that asks it holds memory on every
GPU until it ends, and the parent of the workers must hold none.
"""

import os
import pathlib

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(devices: pathlib.Path = pathlib.Path("/dev")) -> list[str]:
  """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them.

  Args:
    devices: where the driver has a node `nvidia0`, `nvidia1`, … for each GPU.

  Returns:
    Those of CUDA_VISIBLE_DEVICES up to its first invalid one, as CUDA reads it,
    where it is set (a scheduler sets it); else all of the machine.
  """
  limit = os.environ.get(VARIABLE)
  nodes = [p for p in devices.glob("nvidia[0-9]*") if p.name[6:].isdigit()]
  if not nodes:
    return []
  if limit is None:
    return [str(place) for place in range(len(nodes))]
  names = []
  for name in (part.strip() for part in limit.split(",")):
    if not name or name.startswith("-"):
      break
    names.append(name)
  return names


def gpu_models(
  driver: pathlib.Path = pathlib.Path("/proc/driver/nvidia/gpus"),
) -> str:
  """The models of the GPUs that runs train on; empty without a GPU.

  Args:
    driver: where the driver has a folder for each GPU of the machine.
  """
  if not visible_gpus():
    return ""
  models = set()
  for path in driver.glob("*/information"):
    for line in path.read_text(errors="replace").splitlines():
      if line.startswith("Model:"):
        models.add(line.partition(":")[2].strip())
  return ", ".join(sorted(models)) or "GPU"


def environment(gpus: list[str], worker: int, strategy: str) -> dict[str, str]:
  """What the environment of a worker says of GPUs.

  A worker of one_device gets one GPU, in turn if there are more workers than
  GPUs; of the other strategies all of them.
  """
  if not gpus or strategy != "one_device":
    return {}
  return {VARIABLE: gpus[worker % len(gpus)]}
