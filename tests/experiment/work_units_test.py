"""Units of work and their names."""

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import work_units


class NameTest(parameterized.TestCase):
  def test_name_by_hand(self):
    unit = work_units.WorkUnit("cifar_resnet-20", "one_hot", "r0.70", 7)

    self.assertEqual(unit.name, "cifar_resnet-20/one_hot/r0.70/00007")
    self.assertEqual(unit.group, ("cifar_resnet-20", "one_hot", "r0.70"))
    self.assertEqual(unit.group.name, "cifar_resnet-20/one_hot/r0.70")

  @parameterized.parameters(
    "cifar_resnet-20/one_hot/r0.70/00007",
    "cifar_resnet-20-w0.5/one_hot/r0.30-uniform/99999",
    "a/b/full/123456",
    "a/distilled-cifar_resnet-56-t3/half-a/00000",
  )
  def test_round_trip(self, name):
    self.assertEqual(work_units.parse_unit(name).name, name)

  def test_parts(self):
    self.assertEqual(
      work_units.parse_unit("a-1/b/r0.50/00012"),
      work_units.WorkUnit("a-1", "b", "r0.50", 12),
    )

  @parameterized.parameters(
    "",
    "a/b/c",
    "a/b/c/7",
    "a/b/c/0007",
    "a/b/c/-0007",
    "a/b/c/0000x",
    "a/b/c/00007/",
    "/a/b/c/00007",
    "a/b/c/d/00007",
    "a//c/00007",
    "../b/c/00007",
    "a/../c/00007",
    "a/b/../00007",
    "../../../x/y/z/00007",
    "./b/c/00007",
    ".hidden/b/c/00007",
    "~/b/c/00007",
    "a b/b/c/00007",
    "a\\b/b/c/00007",
    "a/b/c/00007\n",
    "a\x00/b/c/00007",
    "-a/b/c/00007",
  )
  def test_wrong_names(self, name):
    with self.assertRaisesRegex(
      ValueError, "MODEL/RECIPE/SUBSETS/INDEX"
    ) as caught:
      work_units.parse_unit(name)
    self.assertIn(repr(name), str(caught.exception))

  def test_units_sort_by_their_parts(self):
    names = ["a/b/c/00010", "a/b/c/00002", "a/a/d/00099", "b/a/a/00000"]

    found = sorted(work_units.parse_unit(name) for name in names)

    self.assertEqual(
      [unit.name for unit in found],
      ["a/a/d/00099", "a/b/c/00002", "a/b/c/00010", "b/a/a/00000"],
    )


if __name__ == "__main__":
  absltest.main()
