"""Weight clustering by tfmot: a kernel has a few distinct values.

Each weight is replaced by the nearest of its kernel's centroids (Han et al.,
2016, arXiv:1510.00149), which start as drawn by k-means++ and are trained with
the weights behind them; gradients of a centroid are averaged over its weights.
"""

from typing import Any

import tensorflow_model_optimization as tfmot
from tensorflow_model_optimization.python.core.clustering.keras import (
  cluster_config,
)
from tensorflow_model_optimization.python.core.clustering.keras import (
  clustering_centroids,
)
import tf_keras

from memo_tf.compression.child import rebuilding

_clustering = tfmot.clustering.keras
_START = _clustering.CentroidInitialization.KMEANS_PLUS_PLUS


def build(
  graph: dict[str, Any], options: dict[str, Any], steps: int
) -> tf_keras.Model:
  """The model whose kernels are clustered as it is trained.

  Args:
    graph: of the model.
    options: `clusters`, 2 or more.
    steps: of the whole fine-tuning.
  """

  def wrap(layer):
    return _clustering.cluster_weights(
      layer,
      number_of_clusters=options["clusters"],
      cluster_centroids_init=_START,
      cluster_gradient_aggregation=cluster_config.GradientAggregation.AVG,
    )

  return rebuilding.build(graph, wrap)


def reset(model: tf_keras.Model) -> None:
  """Draws the centroids anew, from the kernels as they are."""
  factory = clustering_centroids.CentroidsInitializerFactory
  start = factory.get_centroid_initializer(_START)
  for layer in _clustered(model):
    for name, weight in layer.original_clusterable_weights.items():
      centroids = start(weight, layer.number_of_clusters)
      layer.cluster_centroids[name].assign(centroids.get_cluster_centroids())


def finish(model: tf_keras.Model) -> None:
  """Sets every weight to its centroid."""
  for layer in _clustered(model):
    for name, weight in layer.original_clusterable_weights.items():
      algorithm = layer.clustering_algorithms[name]
      indices = algorithm.get_pulling_indices(weight)
      weight.assign(algorithm.get_clustered_weight(indices, weight))


def _clustered(model: tf_keras.Model) -> list:
  return [x for x in model.layers if hasattr(x, "cluster_centroids")]
