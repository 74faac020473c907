"""Distribution of the true trajectories behind noisy ones: empirical Bayes.

A measured trajectory is the true one plus nearly normal noise of known
covariance over sizes: y[n] ~ N(m[n], D[n] R D[n]), D[n] the example's standard
errors and R the correlation over sizes, which is not the identity since all
sizes share their subsets. The true trajectories are assumed to be drawn from a
distribution, called the law here, with finitely many atoms. Its weights
maximize the likelihood (Kiefer & Wolfowitz, 1956; Koenker & Mizera, 2014), by
the EM algorithm. The atoms are flat trajectories at many levels and
least-squares fits of all shapes to measured trajectories. Fits to measured
trajectories carry their noise, so this is done twice: the second time with fits
to the posterior means under the first law.

The share of a shape class, with the noise taken out, is the weight of the atoms
of that shape. The posterior of a single example is not reported: it depends on
the assumed law, and under others it is overconfident.
"""

import dataclasses

import numpy as np

from memo_tf.analysis.trajectories import templates

MIN_STANDARD_ERROR = 0.01
NUM_LEVELS = 61
MAX_PICKED = 500
MAX_FITTED = 2000
EM_STEPS = (20, 30)
_CHUNK = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrajectoryLaw:
  """A fitted law of true trajectories.

  Attributes:
    atoms: `[S, J]`, trajectories.
    weights: `[J]`, summing to 1.
    correlation: `[S, S]`, of the noise.
  """

  atoms: np.ndarray
  weights: np.ndarray
  correlation: np.ndarray

  def draw(
    self,
    memorization: np.ndarray,
    standard_error: np.ndarray,
    rng: np.random.Generator,
  ) -> np.ndarray:
    """Indices of atoms drawn from each example's posterior, int `[N]`."""
    drawn = []
    for start in range(0, memorization.shape[1], _CHUNK):
      part = slice(start, start + _CHUNK)
      total = np.cumsum(
        self._joint(memorization[:, part], standard_error[:, part]), axis=1
      )
      mark = rng.random((len(total), 1)) * total[:, -1:]
      drawn.append(np.minimum((total < mark).sum(axis=1), total.shape[1] - 1))
    return np.concatenate(drawn)

  def noise(
    self, standard_error: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    """Noise drawn for every score, `[S, N]`."""
    root = np.linalg.cholesky(self.correlation)
    return standard_error * (root @ rng.standard_normal(standard_error.shape))

  def _joint(self, memorization, standard_error) -> np.ndarray:
    likelihood = _likelihood(
      memorization, standard_error, self.correlation, self.atoms
    )
    return likelihood * self.weights.astype(np.float32)


def fit_law(
  memorization: np.ndarray,
  standard_error: np.ndarray,
  correlation: np.ndarray | None = None,
  *,
  seed: int = 0,
) -> TrajectoryLaw:
  """Law of the true trajectories, fitted to measured ones.

  Args:
    memorization: `[S, N]`, no NaN. At most `MAX_FITTED` examples are used,
      drawn with `seed`.
    standard_error: `[S, N]`, above 0.
    correlation: `[S, S]` of the noise over sizes; None for independent noise.
    seed: of the draw of examples.
  """
  num_sizes, num_examples = memorization.shape
  rng = np.random.default_rng(seed)
  correlation = positive_definite(
    np.eye(num_sizes) if correlation is None else correlation
  )
  order = rng.permutation(num_examples)[:MAX_FITTED]
  values, errors = memorization[:, order], standard_error[:, order]
  centres = values
  for steps in EM_STEPS:
    atoms, weights = _atoms(centres, errors, MAX_PICKED)
    likelihood = _likelihood(values, errors, correlation, atoms)
    for _ in range(steps):
      ratio = 1 / np.maximum(likelihood @ weights, 1e-30)
      weights = weights * (likelihood.T @ ratio) / len(ratio)
      weights /= weights.sum()
    likelihood *= weights
    likelihood /= likelihood.sum(axis=1, keepdims=True)
    centres = (likelihood @ atoms.T.astype(np.float32)).T.astype(np.float64)
  return TrajectoryLaw(
    atoms=atoms, weights=weights.astype(np.float64), correlation=correlation
  )


def usable_standard_error(standard_error: np.ndarray) -> np.ndarray:
  """Standard errors for the law: above 0, and shrunk to an example's mean.

  A plug-in standard error is 0 where runs are unanimous, and it is correlated
  with the estimate's own error. So each variance is averaged with its mean over
  sizes.
  """
  variance = np.square(np.maximum(standard_error, MIN_STANDARD_ERROR))
  return np.sqrt((variance + variance.mean(axis=0, keepdims=True)) / 2)


def positive_definite(correlation: np.ndarray) -> np.ndarray:
  """Closest correlation matrix with eigenvalues of at least about 0.02."""
  values, vectors = np.linalg.eigh(np.asarray(correlation, np.float64))
  fixed = (vectors * np.maximum(values, 0.02)) @ vectors.T
  scale = np.sqrt(np.diag(fixed))
  return fixed / scale / scale[:, None]


def _atoms(values, errors, num_picked) -> tuple[np.ndarray, np.ndarray]:
  """Candidate trajectories `[S, J]` and the weights that EM starts with."""
  num_sizes = len(values)
  picked, scale = values[:, :num_picked], errors[:, :num_picked]
  levels = np.linspace(values.min(), values.max(), NUM_LEVELS)
  fits, criteria = [], []
  for name, fit_shape in templates.TEMPLATES.items():
    if name == "constant":
      continue
    fit = fit_shape(picked)
    size = templates.num_levels(fit) + (name in ("cap", "u"))
    misfit = np.square((picked - fit) / scale).sum(axis=0)
    fits.append(fit)
    criteria.append(misfit + size * np.log(num_sizes))
  # The two shapes that fit an example best; flat ones are atoms already.
  best = np.argsort(criteria, axis=0)
  columns = np.arange(picked.shape[1])
  parts = [np.tile(levels, (num_sizes, 1))]
  parts += [np.stack(fits)[best[k], :, columns].T for k in (0, 1)]
  mass = [1.0, 0.5, 0.5]
  if num_sizes >= 4:
    parts.append(templates.two_turns(picked))
    mass.append(0.3)
  weights = np.concatenate(
    [np.full(p.shape[1], w / p.shape[1]) for p, w in zip(parts, mass)]
  )
  atoms = np.clip(np.concatenate(parts, axis=1), -1.0, 1.0)
  return atoms, (weights / weights.sum()).astype(np.float32)


def _likelihood(values, errors, correlation, atoms) -> np.ndarray:
  """`[N, J]` float32, each row up to a factor."""
  num_sizes, num_examples = values.shape
  inverse = np.linalg.inv(correlation)
  precision = inverse[:, :, None] / errors[:, None] / errors[None]  # [S, S, N]
  flat = precision.reshape(num_sizes**2, num_examples).T
  square = (atoms[:, None] * atoms[None]).reshape(num_sizes**2, -1)
  linear = np.einsum("stn,tn->ns", precision, values)
  log = (linear @ atoms - 0.5 * (flat @ square)).astype(np.float32)
  log -= log.max(axis=1, keepdims=True)
  return np.exp(log)
