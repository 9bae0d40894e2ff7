"""Scores of a refined map equal those of the task, and are perfect for the truth."""

import numpy as np
import pytest

from depthjax.scoring import masks
from depthjax.tasks import layered


def _record():
  """A near object in the left half of a ramp; the map is its blurred composite."""
  rng, size = np.random.default_rng(0), (1, 32, 64, 1)
  mask = np.zeros(size, np.float32)
  mask[:, :, :30] = 1
  rest = np.broadcast_to(np.linspace(0, 0.4, 64, dtype=np.float32)[:, None], size)
  known = np.ones(size, np.float32)
  maps = {'mask': mask, 'matte': mask, 'target': np.full(size, 0.8, np.float32), 'rest': rest}
  truth = np.where(mask, maps['target'], rest)
  seen = (truth + 0.3 * rng.random(size)).astype(np.float32)
  return {**maps, 'seen': seen, 'target_valid': known, 'rest_valid': known}, truth


def test_scores_are_those_of_the_task_and_perfect_for_the_truth():
  record, truth = _record()
  found = masks.scores(record['seen'], record)
  predicted = layered.outputs((record['seen'], record['seen']), record)
  scores = layered.metrics(predicted, record)
  for name, other in {'mbe_5': 'mbe', 'improved': 'improved', 'harmed': 'harmed'}.items():
    np.testing.assert_allclose(found[name], scores[other].value, rtol=1e-5)
  perfect = masks.scores(3 * truth - 0.1, record)
  for name in ('mbe_3', 'mbe_5', 'mbe_11', 'rmse', 'whdr'):
    np.testing.assert_allclose(perfect[name], 0, atol=1e-5)
    assert found[name] > 0.01, name
  np.testing.assert_allclose(masks.scores(truth, record)['recall'], 1, rtol=1e-6)


@pytest.mark.parametrize('name', ['recall', 'rmse', 'mbe_5'])
def test_the_farther_side_of_a_mask_has_the_scores_of_the_nearer(name):
  record, _ = _record()
  swap = {'target': 'rest', 'rest': 'target'}
  other = {swap.get(key, key): x for key, x in record.items()}
  other['mask'] = other['matte'] = 1 - record['mask']
  a, b = (masks.scores(record['seen'], x)[name] for x in (record, other))
  np.testing.assert_allclose(a, b, rtol=1e-5)
  assert a > 0


def test_undefined_scores_are_nan():
  record, _ = _record()
  empty = {**record, 'mask': 0 * record['mask']}
  found = masks.scores(record['seen'], empty)
  assert np.isnan(found['mbe_5']) and np.isfinite(found['rmse'])
