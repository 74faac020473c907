"""Which digits does a small PyTorch network memorize? About half a minute."""

import numpy as np
from sklearn import datasets
import torch
from torch import nn

import memo_tf

torch.set_num_threads(1)  # more only wait for each other at this size
images, labels = datasets.load_digits(return_X_y=True)
x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
in_mask, logits = memo_tf.experiment.subsets.in_masks(1500, 20, 0.7), []
for m, members in enumerate(torch.tensor(in_mask)):
  torch.manual_seed(m)
  model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
  optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
  for _ in range(20):
    for ids in members.nonzero().ravel()[torch.randperm(1050)].split(64):
      loss = nn.functional.cross_entropy(model(x[ids]), y[ids])
      optimizer.zero_grad(), loss.backward(), optimizer.step()
  logits.append(model(x).detach().numpy())
images, logits = images.reshape(-1, 8, 8) / 16, np.stack(logits)
# fmt: off
study = memo_tf.study_from_predictions(
  in_mask=in_mask, labels=labels[:1500], logits=logits[:, :1500],
  test_labels=labels[1500:], test_logits=logits[:, 1500:], model="mlp",
  images=images[:1500], test_images=images[1500:], directory="studies/pytorch",
)
print(study.scores().nlargest(3, "memorization").T, study.report())
