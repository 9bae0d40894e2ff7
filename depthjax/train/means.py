"""What a run logs and records: means of the scalars of its steps.

A line of metrics.jsonl holds the means over the steps since the line before, one every `log_every`
steps and one at the end. A checkpoint records a running mean of the loss, by which `good` finds
those that precede a divergence, and the sums of the line in progress, so that a resumed run writes
the same lines as an uninterrupted one.
"""

import collections
from collections.abc import Mapping
from typing import Any

# As JSON: `since`, the step of the checkpoint before; `loss`, the running mean since a term of the
# loss last began, and `count`, its number of steps, at most _WINDOW; `terms`, the names of the
# scalars that have begun, which are not 0; `steps` and `sums` of the line in progress.
Record = Mapping[str, Any]

_WINDOW = 100  # Steps that the running mean remembers.


class Means:
  """Adds up the scalars of steps, beginning with the record of a checkpoint or with nothing."""

  def __init__(self, record: Record, step: int = 0):
    self._since = step
    self._steps = record.get('steps', 0)
    self._sums = collections.Counter(record.get('sums', {}))
    self._terms = set(record.get('terms', ()))
    self._loss, self._count = record.get('loss') or 0.0, record.get('count', 0)

  def add(self, scalars: Mapping[str, float]) -> None:
    """Adds the scalars of one step; `loss` is one of them."""
    begun = {name for name, value in scalars.items() if value} - self._terms
    if begun:
      self._terms |= begun
      self._loss, self._count = 0.0, 0
    self._steps, self._count = self._steps + 1, min(self._count + 1, _WINDOW)
    self._sums.update(scalars)
    self._loss += (scalars['loss'] - self._loss) / self._count

  def line(self) -> dict[str, float]:
    """The means since the last call."""
    means = {name: total / self._steps for name, total in self._sums.items()}
    self._steps, self._sums = 0, collections.Counter()
    return means

  def record(self, step: int) -> Record:
    """The record of the checkpoint of a step."""
    line = {'steps': self._steps, 'sums': dict(self._sums)}
    loss = {'loss': self._loss, 'count': self._count, 'terms': sorted(self._terms)}
    record, self._since = {'since': self._since, **loss, **line}, step
    return record


def losses(records: Mapping[int, Record]) -> dict[int, float]:
  """The losses of checkpoints, by step: the larger one of its own and that of the next.

  Its own does not tell whether the last update was good. A loss is comparable with the newest if it
  has the same terms: it is larger once a term begins, as at SDDR's `loss.start`.
  """
  known = _comparable(records)
  after = {records[step]['since']: loss for step, loss in known.items()}
  both = {step: [x[step] for x in (known, after) if step in x] for step in records}
  return {step: max(found) for step, found in both.items() if found}


def good(records: Mapping[int, Record], last: int, record: Record) -> int | None:
  """The newest checkpoint that precedes a divergence; None if the loss of all had run away.

  A loss that exceeds the lowest running mean by its magnitude has run away. Checkpoints whose
  losses are unknown, those of older versions, count as good, but not one of step `last`, after
  which the run diverged. `record` is what that one would have.
  """
  every = {**records, last: records.get(last) or record}
  lowest = min(_comparable(every).values(), default=0.0)
  limit, found = lowest + abs(lowest), losses(every)
  return max((x for x in records if x < last and found.get(x, limit) <= limit), default=None)


def _comparable(records: Mapping[int, Record]) -> dict[int, float]:
  known = {step: record for step, record in records.items() if record.get('count')}
  terms = known[max(known)]['terms'] if known else []
  return {step: record['loss'] for step, record in known.items() if record['terms'] == terms}
