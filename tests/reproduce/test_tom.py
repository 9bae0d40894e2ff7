"""Tables of glass and mirrors: experiments, scores of networks and of their labels."""

import json

import jax
import numpy as np
import pytest

from depthjax import configuring
from depthjax.files import weights
from depthjax.models.predictors import runs, segmenter
from depthjax.reproduce import table as table_lib
from depthjax.reproduce import tom
from depthjax.reproduce.lab import Lab

_FIELDS = {'eval.examples': 6, 'eval.batch_size': 3}
_FIELDS |= {'data.height': 32, 'data.width': 32}


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
  """A lab whose networks are given, with random weights."""
  root, given, rng = tmp_path_factory.mktemp('tom'), {}, np.random.default_rng(0)
  for name in tom.EXPERIMENTS:
    task = 'segment' if name == tom._SEGMENTER else 'tom'
    arg = tom.EXPERIMENTS[name].arg
    config = configuring.load(task, ','.join(filter(None, ('smoke', arg))))
    config = json.loads(json.dumps(configuring.with_fields(config, _FIELDS).to_dict()))
    _, shapes = (segmenter if task == 'segment' else runs).FROM_CONFIG[task](config)
    variables = jax.tree.map(lambda x: 0.2 * rng.normal(size=x.shape).astype('f4'), shapes)
    given[name] = root / f'{name}.safetensors'
    weights.save_weights(given[name], variables, {'task': task, 'step': 1, 'config': config})
  return Lab(root, 'smoke', _FIELDS, tom.EXPERIMENTS, given)


def test_experiments_differ_in_labels_masks_and_colours_and_begin_with_the_base(tmp_path):
  lab = Lab(tmp_path, 'small', {}, tom.EXPERIMENTS)
  base, full = (lab.config(x) for x in (tom._BASE, 'tom-virtual'))
  assert base.loss.labels == 'naive' and not base.predictor.weights
  for name, field, value in (
    ('plain', 'labels', 'plain'),
    ('proxy', 'masks', 'segmenter'),
    ('true', 'labels', 'true'),
  ):
    config = lab.config(f'tom-{name}')
    assert config.loss[field] == value
    assert config.initialise.weights == str(tmp_path / tom._BASE)
    assert config.steps == full.steps < base.steps
  colours = [lab.config(f'tom-virtual{x}').data.colours for x in ('-1', '-3', '', '-10')]
  assert colours == [1, 3, 5, 10]
  assert lab.config('tom-proxy').segmenter.weights == str(tmp_path / tom._SEGMENTER)


@pytest.mark.slow
def test_tables_have_one_value_for_each_scene_with_the_class(lab):
  filled = table_lib.fill(tom.TABLE3, [lab])  # It has rows of networks and of labels.
  assert np.isfinite([[x.mean for x in row] for row in filled.values]).all()
  for table in tom.TABLES.values():
    assert all(len(row.paper) == len(table.paper_columns) for row in table.rows)
  base = tom.scores(lab, tom._BASE)
  assert len(base['mae_all']) == _FIELDS['eval.examples'] > len(base['mae_tom']) > 0


@pytest.mark.slow
def test_scores_of_labels_differ_from_those_of_networks_and_by_masks(lab):
  virtual, proxy = (
    tom.scores(lab, name, labels=True)['mae_tom'] for name in ('tom-virtual', 'tom-proxy')
  )
  network = tom.scores(lab, 'tom-virtual')['mae_tom']
  assert not np.allclose(virtual, proxy) and not np.allclose(virtual, network)
