"""Readers and writers of published file formats; never pickle.

Every array is in the data set's original order, and the labels serve as a
checksum: pass your labels, and a file in another order is refused.
"""

from memo_tf.interchange.attribution import read_attribution
from memo_tf.interchange.attribution import write_attribution_truth
from memo_tf.interchange.aux_arrays import read_aux_arrays
from memo_tf.interchange.aux_arrays import write_aux_arrays
from memo_tf.interchange.cleanlab import cleanlab_arrays
from memo_tf.interchange.cscores import read_cscores
from memo_tf.interchange.cscores import write_cscores
from memo_tf.interchange.datamodels import read_datamodels
from memo_tf.interchange.datamodels import write_datamodels
from memo_tf.interchange.feldman_zhang import read_influence_matrix
from memo_tf.interchange.feldman_zhang import read_influence_pairs
from memo_tf.interchange.feldman_zhang import write_influence_matrix
from memo_tf.interchange.feldman_zhang import write_influence_pairs
from memo_tf.interchange.files import InterchangeError
from memo_tf.interchange.lira import read_lira
from memo_tf.interchange.lira import write_lira

__all__ = [
  "InterchangeError",
  "cleanlab_arrays",
  "read_attribution",
  "read_aux_arrays",
  "read_cscores",
  "read_datamodels",
  "read_influence_matrix",
  "read_influence_pairs",
  "read_lira",
  "write_attribution_truth",
  "write_aux_arrays",
  "write_cscores",
  "write_datamodels",
  "write_influence_matrix",
  "write_influence_pairs",
  "write_lira",
]
