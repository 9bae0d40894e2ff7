"""`depthjax evaluate`: a run alone, other configs, steps, parameters and weights."""

import json
import shutil

import jax.numpy as jnp
import pytest

from depthjax.train import evaluate, loop
from tests import toy
from tests.data import made


@pytest.fixture(name='root', scope='module')
def fixture_root(tmp_path_factory):
  """Two folders of maps, a run on one of them, and a copy of its weights."""
  root = tmp_path_factory.mktemp('root')
  config = toy.config(made.stored(root / 'maps', 3), steps=2, checkpoint__every=1, batch_size=8)
  made.stored(root / 'others', 2)
  loop.train(config, root / 'run')
  (root / 'bare').mkdir()
  shutil.copy(root / 'run' / 'weights.safetensors', root / 'bare')
  return root


@pytest.fixture(name='scores')
def fixture_scores(run, tmp_path, root):
  """Runs `depthjax evaluate`; returns exit code, output and the JSON file."""

  def scores(line):
    code, out, err = run(f'evaluate --json=scores.json {line}'.format(root=root))
    return code, out, err, json.loads((tmp_path / 'scores.json').read_text())

  return scores


def test_a_run_alone_is_evaluated_with_its_config(scores):
  code, out, _, found = scores('--workdir={root}/run --raw')
  assert code == 0 and 'step 2, test: 3 examples' in out and 'averaged' in out
  about = {'split': 'test', 'step': 2, 'examples': 3, 'unreadable': 0}
  assert found.items() >= about.items()
  means = found['averaged']['means']
  assert means['index'] == 1 and found['averaged']['nans'] == {}
  assert means['error'] != pytest.approx(found['parameters']['means']['error'], rel=1e-4)
  _, out, _, one = scores('--workdir={root}/run --step=1 --split=val')
  assert (one['step'], one['examples']) == (1, 1) and 'parameters' not in out
  *_, weights = scores('--weights={root}/bare')
  assert weights.items() >= about.items()
  assert weights['averaged']['means'] == pytest.approx(means, rel=1e-6)


def test_another_config_is_named_and_needs_change(scores, refuse, root):
  """Fields of training may differ, and its batches need not fit the devices."""
  line = (
    '--workdir={root}/run --config={root}/run/config.json --config.data.depth_source={root}/others'
  )
  line = line.format(root=root)
  refuse(f'evaluate {line}', 'run was trained with another config: data.depth_source was ; omit')
  code, out, _, found = scores(f'{line} --change --config.steps=9 --config.batch_size=3')
  assert code == 0 and found['examples'] == 2
  assert 'data.depth_source was' in out and 'steps was' not in out


@pytest.mark.parametrize('value', [jnp.nan, jnp.inf])
def test_output_that_is_not_finite_is_counted_and_fails(scores, monkeypatch, value):
  bad = lambda state: state.replace(ema={'params': {'scale': jnp.float32(value)}})  # noqa: E731
  monkeypatch.setattr(evaluate, 'with_parameters', bad)
  code, _, err, found = scores('--workdir={root}/run --raw')
  assert code == 1 and 'NaN or infinite output: error in 3, even in 2 of 3 examples' in err
  parameters = found['parameters']
  assert parameters['means'] == {'error': None, 'even': None, 'index': 1}
  assert parameters['nans'] == {'error': 3, 'even': 2}


_REFUSED = {
  '--workdir={root}/run --step=7': 'has no checkpoint of step 7; expected one of the steps 1, 2',
  '--weights={root}/run --workdir={root}/run': '--weights is given; omit --workdir',
  '--weights={root}/no.safetensors': 'no.safetensors: does not exist; expected',
  '--workdir={root}/run --json=scores.txt': 'scores.txt: .json',
}


@pytest.mark.parametrize('line', _REFUSED)
def test_invalid_flags_are_refused(line, refuse, root):
  refuse(f'evaluate {line}'.format(root=root), _REFUSED[line])
