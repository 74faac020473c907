"""Training examples whose given label held-out models contradict."""

import dataclasses

import numpy as np

from memo_tf.analysis import evidence
from memo_tf.report import votes as votes_lib
from memo_tf.scoring import groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suspects:
  """What held-out models say against the given labels.

  Attributes:
    result: the scores of the models that say it.
    ids: `[K]` int, suspected wrong labels, the clearest first.
    said: `[N]` int, the most frequent other class; -1 without any.
    votes: `[N]` int, how many held-out models say it.
    num_out: `[N]` int, how many there are.
  """

  result: groups.GroupScores
  ids: np.ndarray
  said: np.ndarray
  votes: np.ndarray
  num_out: np.ndarray


def find(result: groups.GroupScores, *, knows_answers: bool = True) -> Suspects:
  """Suspects of a group, by the rule of `evidence`.

  Args:
    result: scores of the group.
    knows_answers: whether the class of wrong answers is known; without it none
      can be suspected: models that are wrong may all say something else.
  """
  stack, labels = result.stack, result.stack.labels
  outside = ~stack.in_mask
  said, votes = votes_lib.count(stack.predicted, outside).most_other(labels)
  num_out = outside.sum(axis=0)
  low = evidence.suspected_share(votes, num_out)
  score = np.nan_to_num(result.scores.memorization, nan=-2.0)
  order = np.lexsort((-score, -low))
  return Suspects(
    result=result,
    ids=order[low[order] > evidence.MAJORITY] if knows_answers else order[:0],
    said=said,
    votes=votes,
    num_out=num_out,
  )
