"""Faults inside a worker, for the tests of faults: read from the environment.

Python imports this by itself where its folder is in PYTHONPATH.

    FAULT_NAN_UNIT=00002           that unit's weights begin as NaN
    FAULT_FAIL_ONCE_UNIT=00002     that unit raises, once
    FAULT_ONCE_FILE=PATH           the mark that it has
"""

import importlib.abc
import importlib.machinery
import os
import pathlib
import sys

_TARGET = "memo_tf.training.trainer"


class _Hook(importlib.abc.MetaPathFinder):
  def find_spec(self, name, path=None, target=None):
    if name != _TARGET:
      return None
    spec = importlib.machinery.PathFinder.find_spec(name, path)
    run = spec.loader.exec_module

    def exec_module(module):
      run(module)
      _spoil(module.Trainer)

    spec.loader.exec_module = exec_module
    return spec


def _spoil(trainer) -> None:
  initialize = trainer.initialize

  def spoiled(self, seed, unit):
    index = unit.rsplit("/", 1)[1]
    initialize(self, seed, unit)
    if index == os.environ.get("FAULT_NAN_UNIT"):
      variable = self.model.trainable_variables[0]
      variable.assign(variable.numpy() * float("nan"))
    if index == os.environ.get("FAULT_FAIL_ONCE_UNIT"):
      mark = pathlib.Path(os.environ["FAULT_ONCE_FILE"])
      if not mark.exists():
        mark.write_text("")
        raise RuntimeError("made to fail once")

  trainer.initialize = spoiled


if {"FAULT_NAN_UNIT", "FAULT_FAIL_ONCE_UNIT"} & set(os.environ):
  sys.meta_path.insert(0, _Hook())
