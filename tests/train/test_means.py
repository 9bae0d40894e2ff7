"""Means of logged lines and of checkpoints, and which checkpoints precede a divergence."""

import json

import numpy as np
import pytest

from depthjax.train.means import Means, good, losses

_STEPS = [{'loss': 0.1 * k + 1 / 3, 'truth': 1 / (k + 1), 'late': float(k >= 6)} for k in range(12)]


def _lines(start, record, every=4):
  """The lines of the steps from `start` on, and the records before each step."""
  means, lines, records = Means(record, start), [], []
  for k in range(start, len(_STEPS)):
    if k % 3 == 0:  # A checkpoint.
      records.append(json.loads(json.dumps(means.record(k))))
    means.add(_STEPS[k])
    if (k + 1) % every == 0:
      lines.append(means.line())
  return lines, records


def test_lines_are_means_since_the_line_before_and_survive_an_interruption():
  lines, records = _lines(0, {})
  for number, line in enumerate(lines):
    part = _STEPS[4 * number : 4 * number + 4]
    assert line.keys() == part[0].keys()
    for name, value in line.items():
      np.testing.assert_allclose(value, np.mean([one[name] for one in part]), rtol=1e-12)
  for number, record in enumerate(records):
    start = 3 * number
    assert _lines(start, record)[0] == lines[start // 4 :]
  assert _lines(0, {}, every=1)[0] == _STEPS


def test_a_record_has_the_running_mean_of_the_loss_since_a_term_began():
  """Also after an interruption."""
  _, records = _lines(0, {})
  first, second, third, fourth = records
  assert first['count'] == 0 and first['terms'] == []
  assert [x['since'] for x in records] == [0, 0, 3, 6]
  for record, part in ((second, _STEPS[:3]), (third, _STEPS[:6]), (fourth, _STEPS[6:9])):
    np.testing.assert_allclose(record['loss'], np.mean([one['loss'] for one in part]))
    assert record['count'] == len(part)
  assert third['terms'] == ['loss', 'truth'] and fourth['terms'] == ['late', 'loss', 'truth']
  assert _lines(6, third)[1][1] == fourth
  means = Means({})
  for loss in [-4.0] * 300 + [-3.0] * 100:
    means.add({'loss': loss})
  np.testing.assert_allclose(means.record(400)['loss'], -3 - 0.99**100)


def _records(*losses, terms=('loss',)):
  return [{'loss': loss, 'count': 1, 'terms': list(terms)} for loss in losses]


@pytest.mark.parametrize(
  'records, expected',
  [  # The last is that of the divergence.
    (_records(3.0, 1.0, 1.9), 1),  # Noise.
    # The update before checkpoint 1 may have been the bad one.
    (_records(1.0, 1.0, 2.1), 0),
    (_records(1.0, 1.1, 0.9, 40.0, 1e9), 1),
    (_records(-3.0, -3.0, -1.0, 0.1), 1),
    (_records(1.0, 5.0), None),
    (_records(1.0), None),
    # A loss that is larger because a term has begun has not run away.
    ([*_records(0.1, 0.05), *_records(5.0, 4.0, terms=('late', 'loss'))], 2),
    ([*_records(0.1, 0.05), *_records(5.0, 40.0, terms=('late', 'loss'))], 1),
    ([{}, {}, *_records(1.0)], 1),  # Of older versions.
    ([{}, {}, *_records(1.0, 5.0)], 1),
  ],
)
def test_the_newest_good_checkpoint_precedes_a_loss_that_ran_away(records, expected):
  records = {step: record and {**record, 'since': step - 1} for step, record in enumerate(records)}
  last = len(records) - 1
  now = records.pop(last)
  assert good(records, last, now) == expected
  # Without a step after checkpoint `last`, that one is not good either.
  assert good({**records, last: now}, last, {**now, 'since': last}) == expected


def test_the_checkpoint_with_the_lowest_loss_before_and_after_it_is_the_best():
  records = {k: {**one, 'since': k - 1} for k, one in enumerate(_records(3.0, 1.0, 0.9, 40.0))}
  assert losses(records) == {0: 3.0, 1: 1.0, 2: 40.0, 3: 40.0}
