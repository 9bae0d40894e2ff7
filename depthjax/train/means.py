"""What a run logs and records: means of the scalars of its steps.

A line of metrics.jsonl holds the means over the steps since the line before, one every `log_every`
steps and one at the end. A checkpoint records the mean loss since the one before, by which `good`
finds those that precede a divergence, and the sums of the line in progress, so that a resumed run
writes the same lines as an uninterrupted one.
"""

import collections
from collections.abc import Mapping
from typing import Any

# As JSON: `since`, the step of the checkpoint before; `loss`, the mean since then or, if it is
# later, since a term of the loss began (None without a step); `terms`, the names of the scalars
# that have begun, which are not 0; `steps` and `sums` of the line in progress.
Record = Mapping[str, Any]

_FACTOR = 2.0  # A loss of more than this many times the lowest has run away.


class Means:
  """Adds up the scalars of steps, beginning with the record of a checkpoint or with nothing."""

  def __init__(self, record: Record, step: int = 0):
    self._since = step
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

  def record(self, step: int) -> Record:
    """The record of the checkpoint of a step; begins the mean loss of the next."""
    loss = self._loss / self._loss_steps if self._loss_steps else None
    line = {'steps': self._steps, 'sums': dict(self._sums)}
    record = {'since': self._since, 'loss': loss, 'terms': sorted(self._terms), **line}
    self._since, self._loss, self._loss_steps = step, 0.0, 0
    return record


def losses(records: Mapping[int, Record]) -> dict[int, float]:
  """The losses of checkpoints, by step: the larger one of the means before and after it.

  The mean before does not tell whether the last update was good. A loss is comparable with the
  newest if it has the same terms: it is larger once a term begins, as at SDDR's `loss.start`.
  """
  known = _comparable(records)
  after = {records[step]['since']: loss for step, loss in known.items()}
  both = {step: [x[step] for x in (known, after) if step in x] for step in records}
  return {step: max(found) for step, found in both.items() if found}


def good(records: Mapping[int, Record]) -> int | None:
  """The newest step whose loss is at most twice the lowest mean; None if all have run away.

  Checkpoints whose losses are unknown, those of older versions, count as good.
  """
  limit = _FACTOR * min(_comparable(records).values(), default=0.0)
  found = losses(records)
  return max((step for step in records if found.get(step, limit) <= limit), default=None)


def _comparable(records: Mapping[int, Record]) -> dict[int, float]:
  known = {step: record for step, record in records.items() if record.get('loss') is not None}
  terms = known[max(known)]['terms'] if known else []
  return {step: record['loss'] for step, record in known.items() if record['terms'] == terms}
