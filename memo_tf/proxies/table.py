"""Table of proxies: what each needs, its sign, and who proposed it.

`RUN_OUTPUTS` defines what a proxy may need. Values are not oriented; only
`proxy.oriented` applies the sign. A new proxy is a function in a file of this
folder and a line here.
"""

from memo_tf.proxies import confidence
from memo_tf.proxies import depth
from memo_tf.proxies import dynamics
from memo_tf.proxies import ensembles
from memo_tf.proxies import gradients
from memo_tf.proxies import input_gradients
from memo_tf.proxies import neighbours
from memo_tf.proxies import second_split
from memo_tf.proxies import windows
from memo_tf.proxies.proxy import Proxy

# What runs write, and arrays from the predictions of many runs.
# E recorded epochs, K checkpoints, L probes, M subset runs, R runs, N examples.
# The dynamics are of clean images in evaluation mode; `batch_...` are of the
# training batch, augmented, in training mode, before the step, NaN where the
# example was not presented (`batch_correct` is then float).
RUN_OUTPUTS = {
  "epochs": "int [E]: epochs finished at each row, ascending",
  "label_prob": "[E, N]: probability of the label",
  "max_prob": "[E, N]: largest probability",
  "entropy": "[E, N]: of the prediction, in nats",
  "loss": "[E, N]: cross-entropy with the label",
  "margin": "[E, N]: the label's logit minus the largest other",
  "el2n": "[E, N]: norm of softmax minus one-hot",
  "correct": "bool [E, N]: the label is predicted",
  "batch_label_prob": "as label_prob, in the training batch",
  "batch_max_prob": "as max_prob, in the training batch",
  "batch_entropy": "as entropy, in the training batch",
  "batch_loss": "as loss, in the training batch",
  "batch_margin": "as margin, in the training batch",
  "batch_el2n": "as el2n, in the training batch",
  "batch_correct": "float [E, N]: as correct, in the training batch",
  "checkpoint_epochs": "int [K]: epochs finished at each checkpoint",
  "learning_rate": "[K]: in force at each checkpoint",
  "grand": "[K, N]: norm of the loss's gradient by all weights",
  "grand_last": "[K, N]: the same by the last layer's weights",
  "vog": "[N]: input_gradients.vog_from_gradients over the checkpoints",
  "loss_sensitivity": "[K, N]: norm of the loss's gradient by the image",
  "curvature": "[K, N]: input_gradients.curvature_from_gradients",
  "representations": "L arrays [N, D_l]: input, after each block, softmax",
  "predicted": "int [N]: the finished model's prediction",
  "labels": "int [N]: given labels",
  "subset_correct": "bool [M, N]: the label is predicted, by subset run",
  "subset_label_prob": "[M, N]: probability of the label, by subset run",
  "subset_confidence": "[M, N]: log(p / (1 - p)) of that, by subset run",
  "in_mask": "bool [M, N]: whether a subset run trained on the example",
  "family_correct": "subset_correct of several subset ratios, a list",
  "family_in_mask": "in_mask of several subset ratios, a list",
  "probabilities": "[R, N, C]: predictions of R runs",
  "second_correct": "float [E, N]: the label is predicted after each epoch of "
  "a second training on the held-out examples; NaN for those",
  "second_divergence": "[E, N]: second_split.symmetric_divergence between the "
  "predictions before the second training and after each of its epochs",
}

_JIANG = "Jiang, Zhang, Talwar & Mozer 2021, arXiv:2002.03206"
_SWAYAMDIPTA = "Swayamdipta et al. 2020, arXiv:2009.10795"
_PAUL = "Paul, Ganguli & Dziugaite 2021, arXiv:2107.07075"

# sign: +1 if larger should mean more memorized, -1 if less, None: unsigned.
_TABLE = (
  # name, needs, sign, paper, function
  ("cscore", ("subset_correct", "in_mask"), -1, _JIANG, ensembles.cscore),
  (
    "cscore_profile",
    ("family_correct", "family_in_mask"),
    -1,
    _JIANG,
    ensembles.cscore_profile,
  ),
  (
    "cumulative_accuracy",
    ("correct",),
    -1,
    _JIANG,
    dynamics.cumulative_accuracy,
  ),
  (
    "cumulative_probability",
    ("label_prob",),
    -1,
    f"{_JIANG}; cprox of Lukasik et al. 2024, in our reading",
    dynamics.cumulative_probability,
  ),
  (
    "cumulative_max_confidence",
    ("max_prob",),
    -1,
    _JIANG,
    dynamics.cumulative_max_confidence,
  ),
  (
    "cumulative_negative_entropy",
    ("entropy",),
    -1,
    _JIANG,
    dynamics.cumulative_negative_entropy,
  ),
  (
    "cartography_confidence",
    ("batch_label_prob",),
    -1,
    _SWAYAMDIPTA,
    dynamics.cartography_confidence,
  ),
  (
    "cartography_variability",
    ("batch_label_prob",),
    None,
    _SWAYAMDIPTA,
    dynamics.cartography_variability,
  ),
  (
    "cartography_correctness",
    ("batch_correct",),
    -1,
    _SWAYAMDIPTA,
    dynamics.cartography_correctness,
  ),
  (
    "aleatoric_uncertainty",
    ("label_prob",),
    None,
    "Data-IQ of Seedat, Crabbé, Bica & van der Schaar 2022, arXiv:2210.13043",
    dynamics.aleatoric_uncertainty,
  ),
  (
    "dynamic_uncertainty",
    ("batch_label_prob",),
    None,
    "Dyn-Unc of He, Yang, Huang & Zhao 2023, arXiv:2306.05175",
    windows.dynamic_uncertainty,
  ),
  (
    "difficulty_uncertainty",
    ("batch_label_prob",),
    +1,
    "DUAL of Cho, Shin, Kang & Yun 2025, arXiv:2502.06905",
    windows.difficulty_uncertainty,
  ),
  (
    "temporal_dual_depth",
    ("batch_loss",),
    None,
    "TDDS of Zhang, Du, Li, Xie & Zhou 2024, arXiv:2311.13613",
    windows.temporal_dual_depth,
  ),
  (
    "forgetting_events",
    ("batch_correct",),
    +1,
    "Toneva et al. 2019, arXiv:1812.05159",
    dynamics.forgetting_events,
  ),
  (
    "first_learned",
    ("correct", "epochs"),
    +1,
    "Toneva et al. 2019, arXiv:1812.05159",
    dynamics.first_learned,
  ),
  (
    "learned_for_good",
    ("correct", "epochs"),
    +1,
    "Baldock, Maennel & Neyshabur 2021, arXiv:2106.09647",
    dynamics.learned_for_good,
  ),
  (
    "area_under_margin",
    ("batch_margin",),
    -1,
    "Pleiss et al. 2020, arXiv:2001.10528",
    dynamics.area_under_margin,
  ),
  ("el2n", ("el2n", "epochs"), +1, _PAUL, dynamics.el2n),
  ("grand", ("grand", "checkpoint_epochs"), +1, _PAUL, gradients.grand),
  (
    "grand_last_layer",
    ("grand_last", "checkpoint_epochs"),
    +1,
    _PAUL,
    gradients.grand_last_layer,
  ),
  (
    "summed_loss",
    ("loss",),
    +1,
    "CSL of Ravikumar et al. 2025",
    dynamics.summed_loss,
  ),
  ("final_loss", ("loss",), +1, "", confidence.final_loss),
  ("final_margin", ("margin",), -1, "", confidence.final_margin),
  ("final_entropy", ("entropy",), +1, "", confidence.final_entropy),
  (
    "prediction_depth",
    ("representations", "labels", "predicted"),
    +1,
    "Baldock, Maennel & Neyshabur 2021, arXiv:2106.09647",
    depth.prediction_depth,
  ),
  (
    "variance_of_gradients",
    ("vog", "labels"),
    +1,
    "Agarwal, D'souza & Hooker 2022, arXiv:2008.11600",
    input_gradients.vog,
  ),
  (
    "loss_sensitivity",
    ("loss_sensitivity",),
    +1,
    "Arpit et al. 2017, arXiv:1706.05394",
    input_gradients.loss_sensitivity,
  ),
  (
    "curvature",
    ("curvature",),
    +1,
    "Garg, Ravikumar & Roy 2024, arXiv:2307.05831",
    input_gradients.curvature,
  ),
  (
    "tracin_self",
    ("grand", "learning_rate"),
    +1,
    "Pruthi et al. 2020, arXiv:2002.08484",
    gradients.tracin_self,
  ),
  (
    "second_split_forgetting",
    ("second_correct",),
    -1,
    "Maini, Garg, Lipton & Kolter 2022, arXiv:2210.15031",
    second_split.second_split_forgetting,
  ),
  (
    "holdout_retraining",
    ("second_divergence",),
    +1,
    "ret of Carlini, Erlingsson & Papernot 2019, arXiv:1910.13427",
    second_split.holdout_retraining,
  ),
  (
    "ensemble_disagreement",
    ("probabilities",),
    +1,
    "agr of Carlini, Erlingsson & Papernot 2019, arXiv:1910.13427",
    ensembles.ensemble_disagreement,
  ),
  (
    "knn_label_agreement",
    ("representations", "labels"),
    -1,
    "",
    neighbours.knn_label_agreement,
  ),
  (
    "self_confidence",
    ("subset_label_prob", "in_mask"),
    -1,
    "Northcutt, Jiang & Chuang 2021, arXiv:1911.00068",
    confidence.self_confidence,
  ),
  (
    "membership_separation",
    ("subset_confidence", "in_mask"),
    +1,
    "d' of LiRA, Carlini et al. 2022, arXiv:2112.03570",
    ensembles.membership_separation,
  ),
)

PROXIES: dict[str, Proxy] = {
  name: Proxy(name=name, needs=needs, sign=sign, paper=paper, function=function)
  for name, needs, sign, paper, function in _TABLE
}
