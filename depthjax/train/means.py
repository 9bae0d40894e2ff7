"""What a run logs and records: means of the scalars of its steps.

A line of metrics.jsonl holds the means over the steps since the line before, one every `log_every`
steps and one at the end. A checkpoint records the mean loss since the one before, by which `good`
finds those that precede a divergence, and the sums of the line in progress, so that a resumed run
writes the same lines as an uninterrupted one.
"""

import collections
from collections.abc import Mapping
from typing import Any

# As JSON: `terms`, names of the scalars that were not 0 in every step so far; `loss`, the mean
# since the checkpoint before or, if it is later, since a term began; None without a step; `steps`
# and `sums` of the line in progress.
Record = Mapping[str, Any]

# A loss of more than this many times the lowest has run away.
_FACTOR = 2.0


class Means:
  """Adds up the scalars of steps, beginning with the record of a checkpoint or with nothing."""

  def __init__(self, record: Record):
    self._steps = record.get('steps', 0)
    self._sums = collections.Counter(record.get('sums', {}))
    self._terms = set(record.get('terms', ()))
    self._loss, self._loss_steps = 0.0, 0

  def add(self, scalars: Mapping[str, float]) -> None:
    """Adds the scalars of one step; `loss` is one of them."""
    begun = {name for name, value in scalars.items() if value} - self._terms
    if begun:
      self._terms |= begun
      self._loss, self._loss_steps = 0.0, 0
    self._steps, self._loss_steps = self._steps + 1, self._loss_steps + 1
    self._sums.update(scalars)
    self._loss += scalars['loss']

  def line(self) -> dict[str, float]:
    """The means since the last call."""
    means = {name: total / self._steps for name, total in self._sums.items()}
    self._steps, self._sums = 0, collections.Counter()
    return means

  def record(self) -> Record:
    """The record of a checkpoint; begins the mean loss of the next."""
    loss = self._loss / self._loss_steps if self._loss_steps else None
    self._loss, self._loss_steps = 0.0, 0
    line = {'steps': self._steps, 'sums': dict(self._sums)}
    return {'terms': sorted(self._terms), 'loss': loss, **line}


def losses(records: Mapping[int, Record]) -> dict[int, float]:
  """The recorded losses that can be compared with the newest, by step.

  They have the same terms: a loss is larger once a term of it begins, as after SDDR's `loss.start`.
  """
  known = {step: record for step, record in records.items() if record.get('loss') is not None}
  terms = known[max(known)]['terms'] if known else []
  return {step: record['loss'] for step, record in known.items() if record['terms'] == terms}


def good(records: Mapping[int, Record]) -> int:
  """The newest step whose loss had not run away: at most twice the lowest that is comparable.

  Checkpoints without a record, of older versions, count as good.
  """
  known = losses(records)
  limit = _FACTOR * min(known.values(), default=0.0)
  return max(step for step in records if known.get(step, limit) <= limit)
