"""Scores of a refined map: those of the task, perfect for the truth, the same from either side."""

import numpy as np

from depthjax.scoring import masks
from depthjax.tasks import layered


def test_scores_are_those_of_the_task_and_perfect_for_the_truth():
  """A near object in the left of a ramp, and a map with noise."""
  rng, size = np.random.default_rng(0), (1, 32, 64, 1)
  mask, known = np.zeros(size, np.float32), np.ones(size, np.float32)
  mask[:, :, :30] = 1
  rest = np.broadcast_to(np.linspace(0, 0.4, 64, dtype=np.float32)[:, None], size)
  record = {'mask': mask, 'matte': mask, 'target': 0.8 * known, 'rest': rest}
  truth = np.where(mask, record['target'], rest)
  record |= {'seen': (truth + 0.2 * rng.random(size) - 0.1).astype(np.float32)}
  record |= {'target_valid': known, 'rest_valid': known}
  found = masks.scores(record['seen'], record)
  expected = layered.metrics(layered.outputs((record['seen'],) * 2, record), record)
  np.testing.assert_allclose(found['mbe_5'], expected['mbe'].value, rtol=1e-5)
  perfect = masks.scores(3 * truth - 0.1, record)
  for name in ('mbe_3', 'mbe_5', 'mbe_11', 'rmse', 'whdr'):
    np.testing.assert_allclose(perfect[name], 0, atol=1e-5)
    assert found[name] > 0.01, name
  assert found['mbe_3'] != found['mbe_5'] != found['mbe_11']
  same = masks.scores(truth, record)
  np.testing.assert_allclose(same['recall'], 1, rtol=1e-6)
  assert same['improved'] > same['harmed'] and found['improved'] == found['harmed'] == 0

  names = {'target': 'rest', 'rest': 'target'}
  other = {names.get(name, name): x for name, x in record.items()}
  other |= {'mask': 1 - mask, 'matte': 1 - mask}
  for name, value in masks.scores(record['seen'], other).items():
    np.testing.assert_allclose(value, found[name], rtol=1e-5, err_msg=name)
  empty = masks.scores(record['seen'], {**record, 'mask': 0 * mask})
  assert np.isnan(empty['mbe_5']) and np.isfinite(empty['rmse'])
