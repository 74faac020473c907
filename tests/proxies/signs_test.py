"""Signs of proxies against published directions and a trained study."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf import proxies
from memo_tf.analysis import ranking
from tests.support import numpy_study

# Whether examples that are hard, atypical or labelled wrongly, which are those
# that are memorized, have the larger values: as each paper says in words,
# written down without a look at the table.
HARD_IS_LARGER = {
  # Jiang et al. (2021): regular examples have C-scores near 1; all cumulative
  # statistics of confidence rise with regularity.
  "cscore": False,
  "cscore_profile": False,
  "cumulative_accuracy": False,
  "cumulative_probability": False,
  "cumulative_max_confidence": False,
  "cumulative_negative_entropy": False,
  # Swayamdipta et al. (2020): easy to learn is high confidence; hard to learn
  # is low confidence, which goes with wrong labels.
  "cartography_confidence": False,
  "cartography_correctness": False,
  # Toneva et al. (2019): forgotten examples are atypical or labelled wrongly,
  # and are first learned later.
  "forgetting_events": True,
  "first_learned": True,
  # Baldock et al. (2021): difficult examples are learned later and have a
  # larger prediction depth.
  "learned_for_good": True,
  "prediction_depth": True,
  # Pleiss et al. (2020): mislabelled examples have small or negative margins.
  "area_under_margin": False,
  # Paul et al. (2021): important, difficult examples have large norms.
  "el2n": True,
  "grand": True,
  "grand_last_layer": True,
  # Ravikumar et al. (2025): the cumulative loss is larger for memorized and
  # mislabelled examples.
  "summed_loss": True,
  "final_loss": True,
  "final_margin": False,
  "final_entropy": True,
  # Agarwal et al. (2022): difficult examples have large variance of gradients.
  "variance_of_gradients": True,
  # Arpit et al. (2017): noise makes the loss sensitive to its images.
  "loss_sensitivity": True,
  # Garg et al. (2024): memorized and mislabelled examples have high curvature.
  "curvature": True,
  # Pruthi et al. (2020): mislabelled examples have large self-influence.
  "tracin_self": True,
  # Maini et al. (2022): mislabelled examples are forgotten quickly.
  "second_split_forgetting": False,
  # Carlini et al. (2019): agreement is high on prototypical examples, whose
  # predictions further training hardly moves.
  "holdout_retraining": True,
  "ensemble_disagreement": True,
  "knn_label_agreement": False,
  # Northcutt et al. (2021): label issues have low self-confidence.
  "self_confidence": False,
  # Carlini et al. (2022): membership is told best of outliers.
  "membership_separation": True,
  # Cho et al. (2025): the score is difficulty times uncertainty.
  "difficulty_uncertainty": True,
}
# Largest for ambiguous examples, between the easy and the hard ones:
# Swayamdipta et al. (2020) of variability, Seedat et al. (2022) of aleatoric
# and He et al. (2023) of dynamic uncertainty. Zhang et al. (2024) rank by how
# much an example adds to training, and claim no direction.
UNSIGNED = (
  "cartography_variability",
  "aleatoric_uncertainty",
  "dynamic_uncertainty",
  "temporal_dual_depth",
)


class SignsTest(parameterized.TestCase):
  def test_signs_are_the_published_directions(self):
    signs = {name: 1 if large else -1 for name, large in HARD_IS_LARGER.items()}

    self.assertEqual(
      {name: proxy.sign for name, proxy in proxies.PROXIES.items()},
      signs | dict.fromkeys(UNSIGNED),
    )

  @parameterized.parameters(*HARD_IS_LARGER)
  def test_oriented_proxy_follows_memorization_of_trained_networks(self, name):
    study = numpy_study.train()
    proxy = proxies.PROXIES[name]
    if "representations" in proxy.needs:
      proxy = proxy.with_settings(num_neighbours=10)

    values, never = proxies.evaluate(proxy, study.outputs)
    score = proxies.oriented(proxy, proxies.with_never(values, never))

    # Of independent scores of 160 examples one in 10,000 is beyond 0.3.
    follows = ranking.correlation(score, study.memorization, "spearman")
    self.assertGreater(follows, 0.3)
    self.assertGreater(ranking.auroc(score, study.wrong), 0.65)

  @parameterized.parameters(*UNSIGNED)
  def test_an_unsigned_proxy_is_largest_between_easy_and_hard(self, name):
    rng = np.random.default_rng(0)
    # 30 epochs: always right, undecided, always wrong.
    logits = np.array([4.0, 0.0, -4.0]) + rng.normal(size=(30, 3))
    p = 1 / (1 + np.exp(-logits))
    given = {"batch_label_prob": p, "label_prob": p, "batch_loss": 1 - p}

    easy, ambiguous, hard = proxies.evaluate(proxies.PROXIES[name], given)[0]

    self.assertGreater(ambiguous, 2 * max(easy, hard))

  def test_wrong_labels_are_memorized(self):
    study = numpy_study.train()

    self.assertGreater(study.memorization[study.wrong].mean(), 0.7)
    self.assertLess(study.memorization[~study.wrong].mean(), 0.3)


if __name__ == "__main__":
  absltest.main()
