"""Ways to refine, scored on held-out scenes once each."""

import json

import numpy as np
import pytest

from depthjax.reproduce import refinement, sddr
from depthjax.reproduce.lab import Lab
from depthjax.reproduce.refinement import Way
from tests import refiners, tiny

_FEW = {'eval.examples': 2, 'batch_size': 2}


class _Trained(Lab):
  """A lab in which everything is trained already."""

  def train(self, name):
    workdir = self.root / name
    if not workdir.exists():
      workdir.mkdir()
      refiners.save(workdir / 'weights.safetensors')
    return workdir


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
  return _Trained(
    tmp_path_factory.mktemp('lab'), tiny.ROOT / 'configs', 'smoke', _FEW, sddr.EXPERIMENTS
  )


@pytest.fixture(scope='module')
def scores(lab):
  kinds = ('initial', 'high', 'bicubic', 'guided', 'poisson')
  return {kind: refinement.scores(lab, Way(kind)) for kind in kinds}


def test_classical_ways_are_what_they_are_named_for(scores):
  assert all(x['recall'].shape == (2,) for x in scores.values())
  recall = {kind: x['recall'].mean() for kind, x in scores.items()}
  assert recall['bicubic'] <= recall['initial'] < recall['guided'] < 1
  assert recall['poisson'] > 1.2 * recall['initial']
  # Of both inputs the better values and the better edges.
  assert _mean(scores['poisson']) < _mean(scores['high'])


@pytest.mark.parametrize('way', [Way('refined', 'sddr'), Way('two_stage', 'sddr', 2)])
def test_networks_are_those_of_their_runs(lab, scores, way):
  """With as many windows as the way needs, though it is trained with those of one level."""
  found = refinement.scores(lab, way)
  assert found.keys() == scores['initial'].keys()
  # Of random weights, worse than what it was given.
  assert _mean(found, 'ord') > _mean(scores['initial'], 'ord')


def test_nothing_is_measured_twice_and_other_noise_is_another_measurement(lab, scores, monkeypatch):
  monkeypatch.setattr(refinement, '_records', lambda *arguments: iter(()))
  _check_same(refinement.scores(lab, Way('initial')), scores['initial'])
  monkeypatch.undo()
  quiet = refinement.scores(lab, Way('high'), data__predictions__noise=0.0)
  assert _mean(quiet) < 0.7 * _mean(scores['high'])


def test_what_an_older_version_did_not_measure_is_measured_anew(lab, scores):
  path = lab.root / refinement._FILE
  known = json.loads(path.read_text())
  old = {key: {name: [0, 0] for name in x if name != 'f1'} for key, x in known.items()}
  path.write_text(json.dumps(old))
  found = refinement.scores(lab, Way('initial'), ['recall'])
  assert 'f1' not in found and not np.any(list(found.values()))
  _check_same(refinement.scores(lab, Way('initial'), ['recall', 'f1']), scores['initial'])


def _mean(scores, name='rmse_disparity'):
  return scores[name].mean()


def _check_same(found, expected):
  assert found.keys() == expected.keys()
  for name, x in expected.items():
    np.testing.assert_array_equal(found[name], x)


def test_networks_see_the_scenes_as_in_training_and_are_aligned_as_the_authors(
  lab, tmp_path, monkeypatch
):
  given = {'sddr-truth': refiners.save(tmp_path, enlarge=2)}
  larger = Lab(tmp_path, tiny.ROOT / 'configs', 'smoke', _FEW, sddr.EXPERIMENTS, given)
  seen = []
  monkeypatch.setattr(refinement.refine, 'refine', lambda *_, **fields: seen.append(fields))
  for runs in (lab, larger):
    runs.train('sddr-truth')
    refinement._method(Way('refined', 'sddr-truth'), runs, 256)({'low': None, 'high': None})
  assert seen == [{'input_size': size, 'local': False} for size in (256, 512)]
