"""What a Ray cluster of this launch alone (--ray_address=local) listens on."""

import json
import os
import subprocess
import sys

from absl.testing import absltest
import pytest

from tests.launchers import clusters
from tests.support import small_study

# Starts the cluster as the launcher does; prints the addresses that it and its
# descendants listen on, as /proc/net has them.
PROGRAM = """
import json, os, pathlib
from launchers import ray_cluster

ray = ray_cluster._import_ray("local")
ray_cluster._connect(ray, "local")
parents = {}
for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
  try:
    text = path.read_text().rpartition(")")[2].split()
  except OSError:
    continue
  parents[int(path.parent.name)] = int(text[1])
mine = {os.getpid()}
while more := {p for p, parent in parents.items() if parent in mine} - mine:
  mine |= more
sockets = set()
for pid in mine:
  for file in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
    try:
      sockets.add(os.readlink(file))
    except OSError:
      pass
found = []
for name in ("tcp", "tcp6"):
  for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
    fields = line.split()
    if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
      found.append(fields[1].split(":")[0])

@ray.remote
def mode():
  return os.environ.get("RAY_AUTH_MODE")

print(json.dumps([found, ray.get(mode.remote())]))
ray.shutdown()
"""
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F")


@pytest.mark.slow
class RayLocalTest(absltest.TestCase):
  def test_it_is_reached_from_this_machine_with_a_token_only(self):
    clusters.require_ray()
    environment = {
      name: value
      for name, value in {**os.environ, **small_study.environment()}.items()
      if not name.startswith("RAY_")
    }

    done = subprocess.run(
      [sys.executable, "-c", PROGRAM],
      cwd=small_study.ROOT,
      env={**environment, "PYTHONPATH": str(small_study.ROOT)},
      capture_output=True,
      text=True,
      timeout=300,
      check=True,
    )

    addresses, mode = json.loads(done.stdout.splitlines()[-1])
    self.assertNotEmpty(addresses)
    self.assertLessEqual(set(addresses), set(LOOPBACK))
    self.assertEqual(mode, "token")


if __name__ == "__main__":
  absltest.main()
