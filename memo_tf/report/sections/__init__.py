"""The sections under the grid, in order: one module and one template each.

To add one, write `make(study) -> Section | None` in a module of its own, a
template of the section's name in `templates/sections/`, and a line here.
"""

from memo_tf.report.sections import agreement
from memo_tf.report.sections import attribution
from memo_tf.report.sections import certainty
from memo_tf.report.sections import classes
from memo_tf.report.sections import compression
from memo_tf.report.sections import distillation
from memo_tf.report.sections import epochs
from memo_tf.report.sections import frozen
from memo_tf.report.sections import influence
from memo_tf.report.sections import method
from memo_tf.report.sections import planted
from memo_tf.report.sections import proxies
from memo_tf.report.sections import ratios
from memo_tf.report.sections import removal
from memo_tf.report.sections import section
from memo_tf.report.sections import sizes

SECTIONS: tuple[section.Maker, ...] = (
  classes.make,
  sizes.make,
  epochs.make,
  distillation.make,
  compression.make,
  frozen.make,
  agreement.make,
  ratios.make,
  influence.make,
  attribution.make,
  removal.make,
  proxies.make,
  planted.make,
  certainty.make,
  method.make,
)
