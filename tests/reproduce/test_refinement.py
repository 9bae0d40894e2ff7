"""Methods of refinement, scored on test scenes, each once."""

import json
import math

import numpy as np
import pytest

from depthjax.reproduce import refinement, sddr
from depthjax.reproduce.lab import Lab
from depthjax.reproduce.refinement import Method
from tests import refiners

_FIELDS = {'eval.examples': 2, 'batch_size': 2}


class _Trained(Lab):
  """A lab whose runs have random weights instead of training."""

  def train(self, name):
    workdir = self.root / name
    if not workdir.exists():
      workdir.mkdir()
      refiners.save(workdir / 'weights.safetensors')
    return workdir


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
  root = tmp_path_factory.mktemp('lab')
  return _Trained(root, 'smoke', _FIELDS, sddr.EXPERIMENTS)


@pytest.fixture(scope='module')
def scores(lab):
  kinds = ('initial', 'high', 'bicubic', 'guided', 'poisson')
  return {kind: refinement.scores(lab, Method(kind)) for kind in kinds}


def _mean(scores, name='rmse_disparity'):
  return scores[name].mean()


def test_methods_without_network_differ_as_expected(scores):
  assert all(x['recall'].shape == (2,) for x in scores.values())
  recall = {kind: _mean(x, 'recall') for kind, x in scores.items()}
  assert recall['bicubic'] <= recall['initial'] < recall['guided'] < 1
  assert recall['poisson'] > 1.2 * recall['initial']
  # The values of the low resolution, with edges of the high one.
  assert _mean(scores['poisson']) < _mean(scores['high'])


@pytest.mark.parametrize('method', [Method('refined', 'sddr'), Method('two_stage', 'sddr', 2)])
def test_networks_have_all_scores(lab, scores, method):
  """With two levels of windows, though the training scenes have one."""
  found = refinement.scores(lab, method)
  assert found.keys() == scores['initial'].keys()
  # Random weights are worse than no refinement.
  assert _mean(found, 'ord') > _mean(scores['initial'], 'ord')


def test_scores_are_stored_by_method_and_data(lab, scores, monkeypatch):
  monkeypatch.setattr(refinement, '_records', lambda *arguments: pytest.fail('measured again'))
  np.testing.assert_equal(refinement.scores(lab, Method('initial')), scores['initial'])
  monkeypatch.undo()
  quiet = refinement.scores(lab, Method('high'), data__predictions__noise=0.0)
  assert _mean(quiet) < 0.7 * _mean(scores['high'])


def test_stored_scores_without_a_required_one_are_computed_again(lab, scores):
  path = lab.root / refinement._FILE
  known = json.loads(path.read_text())
  old = {key: {name: [0, 0] for name in x if name != 'f1'} for key, x in known.items()}
  path.write_text(json.dumps(old))
  found = refinement.scores(lab, Method('initial'), ['recall'])
  assert 'f1' not in found and not np.any(list(found.values()))
  found = refinement.scores(lab, Method('initial'), ['recall', 'f1'])
  np.testing.assert_equal(found, scores['initial'])


def test_input_size_is_that_of_training_and_alignment_is_global(lab, tmp_path, monkeypatch):
  given = {'sddr-truth': refiners.save(tmp_path, enlarge=2)}
  larger = Lab(tmp_path, 'smoke', _FIELDS, sddr.EXPERIMENTS, given)
  fields = []
  monkeypatch.setattr(refinement.refine, 'refine', lambda *_, **options: fields.append(options))
  for runs in (lab, larger):
    runs.train('sddr-truth')
    refinement._function(Method('refined', 'sddr-truth'), runs, 256)({'low': None, 'high': None})
  rest = {'local': False, 'margin': math.inf}
  assert fields == [{'input_size': size, **rest} for size in (256, 512)]
