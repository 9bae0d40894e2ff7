"""Training on stored labels: resumed, and labels of other weights."""

import jax
import numpy as np
import pytest

from depthjax import configuring
from depthjax.files import labels
from depthjax.files.errors import InputError
from depthjax.train import checkpoint, loop
from depthjax.train import experiment as experiment_lib
from tests import tiny
from tests.data.made import write
from tests.faults import machines

_FIELDS = {'steps': 2, 'batch_size': 8, 'checkpoint.every': 1, 'log_every': 1, 'model.width': 4}
_FIELDS |= {'data.height': 32, 'data.width': 32, 'data.labelled.multiple': 8, 'eval.pictures': 0}


@pytest.fixture(scope='module', name='source')
def fixture_source(tmp_path_factory):
  """Images and labels, without masks."""
  source, rng = tmp_path_factory.mktemp('source'), np.random.default_rng(0)
  (source / 'labels').mkdir()
  for i in range(8):
    write(source / 'images' / f'{i}.png', rng.integers(0, 256, (36, 48, 3)))
    np.save(source / 'labels' / f'{i}.npy', rng.random((9, 12), np.float32))
  return source


def _config(source, **fields):
  config = configuring.load('tom', 'small,labels=stored')
  fields = {**_FIELDS, 'data.label_source': str(source), **tiny.dotted(fields)}
  return configuring.with_fields(config, fields)


def _state(config, workdir):
  with checkpoint.Checkpoints(workdir / 'checkpoints') as saved:
    return saved.restore(experiment_lib.build(config).runner.abstract, 2)


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(source, tmp_path):
  config = _config(source, parallel__devices=1)
  loop.train(config, tmp_path)
  first, record = _state(config, tmp_path), machines.record(tmp_path)
  loop.train(config, tmp_path, resume_step=1)
  jax.tree.map(np.testing.assert_array_equal, first, _state(config, tmp_path))
  assert machines.record(tmp_path) == record and record[1]['loss'] > 0


def test_labels_of_a_network_are_not_for_random_weights(source, tmp_path):
  (source / 'labels' / 'easy').mkdir()
  labels.keep_record(source / 'labels' / 'easy', {'predictor': 'midas', 'sha256': 'f'})
  with pytest.raises(InputError, match='easy/labels.json: has labels of midas, not of random weig'):
    loop.train(_config(source), tmp_path)
