"""Units become tasks: every unit once, teachers first, models never mixed."""

import collections
import dataclasses

from absl.testing import absltest
from absl.testing import parameterized

from launchers import tasks
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib

RECIPES = ("one_hot", "distilled-cifar_resnet-14-t3")


def plan_of(**models):
  config = config_rules.validated(
    config_lib.StudyConfig(
      models=settings_lib.ModelsConfig(**models),
      subsets=settings_lib.SubsetsConfig(num_subsets=10),
    )
  )
  return plan_lib.Plan.of(config)


class SplitTest(parameterized.TestCase):
  @parameterized.parameters((1, 0), (3, 0), (10, 0), (1000, 0), (0, 1), (0, 4))
  def test_every_unit_once_and_what_it_requires_in_an_earlier_wave(
    self, units_per_task, slots
  ):
    plan = plan_of(
      models=("cifar_resnet-8", "cifar_resnet-14"), recipes=RECIPES
    )
    planned = plan.units

    waves = tasks.split(
      planned, plan, units_per_task=units_per_task, slots=slots
    )

    wave_of = {
      unit: number
      for number, wave in enumerate(waves)
      for task in wave
      for unit in task.units
    }
    counts = collections.Counter(
      unit for wave in waves for task in wave for unit in task.units
    )
    self.assertCountEqual(counts, planned)
    self.assertEqual(set(counts.values()), {1})
    for unit in planned:
      for needed in plan.requires(unit):
        self.assertLess(wave_of[needed], wave_of[unit])
    names = [task.name for wave in waves for task in wave]
    self.assertLen(set(names), len(names))
    for wave in waves:
      for task in wave:
        self.assertLen({(u.model, u.recipe) for u in task.units}, 1)
        self.assertLessEqual(len(task.units), units_per_task or 10)

  def test_sizes(self):
    plan = plan_of(models=("cifar_resnet-8",))

    def sizes(**how):
      waves = tasks.split(plan.units, plan, **how)
      return [len(task.units) for wave in waves for task in wave]

    # Ten units: 4 + 3 + 3 on three slots, never 4 + 4 + 2.
    self.assertEqual(sizes(units_per_task=0, slots=3), [4, 3, 3])
    self.assertEqual(sizes(units_per_task=4), [4, 3, 3])
    self.assertEqual(sizes(units_per_task=1), [1] * 10)
    self.assertEqual(sizes(units_per_task=0, slots=0), [10])

  def test_nothing_pending_is_no_wave(self):
    plan = plan_of(models=("cifar_resnet-8",))

    self.assertEmpty(tasks.split([], plan, units_per_task=3))

  @parameterized.parameters(-1, 1001)
  def test_rejects_units_per_task(self, number):
    with self.assertRaisesRegex(ValueError, f"--units_per_task={number}"):
      tasks.split([], plan_of(), units_per_task=number)

  def test_again_keeps_the_name(self):
    plan = plan_of(models=("cifar_resnet-8",))
    [[task]] = tasks.split(plan.units, plan, units_per_task=10)

    again = task.again(task.units[4:])

    self.assertEqual((again.name, again.attempt), (task.name, 1))
    self.assertLen(again.units, 6)


class ResourcesTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ("fraction_above_one", (1, 1.5, 1), "--gpus_per_task=1.5"),
    ("negative", (1, -0.5, 1), "--gpus_per_task=-0.5"),
    ("not_a_number", (1, float("nan"), 1), "--gpus_per_task=nan"),
    ("infinite", (1, float("inf"), 1), "--gpus_per_task=inf"),
    ("too_few_cores", (1, 0.0, 2), "--cpus_per_task=1"),
  )
  def test_rejects(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      tasks.resources(*arguments)

  def test_workers_fill_the_cores_that_a_task_has(self):
    running = settings_lib.RunningConfig(threads_per_unit=2)

    def workers(cpus, gpus=0.0, **changes):
      asked = tasks.resources(cpus, gpus, 2)
      return tasks.workers_of(asked, dataclasses.replace(running, **changes))

    self.assertEqual(workers(0), 1)
    self.assertEqual(workers(2), 1)
    self.assertEqual(workers(5), 2)
    self.assertEqual(workers(8), 4)
    self.assertEqual(workers(8, 0.25), 1)
    self.assertEqual(workers(8, strategy="mirrored"), 1)

  @parameterized.parameters(
    # cores, GPUs asked for; a node's cores, GPUs; how many fit
    (1, 0, 8, 0, 8),
    (3, 0, 8, 0, 2),
    (1, 0.25, 8, 1, 4),
    (1, 0.3, 8, 2, 6),  # three a device: a fraction never spans two
    (1, 0.1, 100, 1, 10),
    (1, 1, 8, 3, 3),
    (2, 1, 4, 8, 2),
    (1, 2, 8, 5, 2),
    (9, 0, 8, 0, 0),
  )
  def test_fitting(self, cpus, gpus, node_cpus, node_gpus, expected):
    asked = tasks.resources(cpus, gpus, 1)

    self.assertEqual(tasks.fitting(asked, node_cpus, node_gpus), expected)


if __name__ == "__main__":
  absltest.main()
