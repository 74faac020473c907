"""Which GPUs the workers may use, found without opening one.

TensorFlow could tell too, but a process that asks it holds memory on every
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
    Those in CUDA_VISIBLE_DEVICES, if it is set (as schedulers do), up to the
    first invalid one, as CUDA reads it; else all GPUs of the machine.
  """
  limit = os.environ.get(VARIABLE)
  nodes = [p for p in devices.glob("nvidia[0-9]*") if p.name[6:].isdigit()]
  if not nodes:
    return []
  if limit is None:
    return [str(index) for index in range(len(nodes))]
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
  """The environment variables that assign GPUs to a worker.

  With one_device a worker gets one GPU, in turn if there are more workers than
  GPUs; with the other strategies it gets all of them.
  """
  if not gpus or strategy != "one_device":
    return {}
  return {VARIABLE: gpus[worker % len(gpus)]}
