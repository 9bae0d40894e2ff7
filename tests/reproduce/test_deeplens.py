"""Experiments and rows of DeepLens's tables."""

import pytest

from depthjax.reproduce import deeplens
from depthjax.reproduce import lab as lab_lib
from depthjax.reproduce.lab import Lab
from tests import tiny

_SCORES = [f'{m}/{r}' for m in deeplens._METRICS for r in ('learned', 'classical', 'input')]


class _Recorder:
  """A stand-in for a lab that records the requested scores."""

  def __init__(self):
    self.calls = []

  def config(self, name):
    return tiny.config()

  def scores(self, name, predictor='', frames='', **fields):
    self.calls.append((name, predictor))
    return dict.fromkeys([*_SCORES, 'mae_spline'], 0.5)


@pytest.mark.parametrize('name', deeplens.EXPERIMENTS)
@pytest.mark.parametrize('size', ['smoke', 'small'])
def test_every_experiment_has_a_config(name, size, tmp_path):
  lab = Lab(tmp_path, size, {'steps': 3}, deeplens.EXPERIMENTS)
  assert lab.config(name).steps == 3


def test_feature_widths_have_the_stated_number_of_channels():
  for count, widths in deeplens._CHANNELS.items():
    assert 1 + sum(widths) // 3 == count and all(width % 3 == 0 for width in widths)


@pytest.mark.parametrize('table', deeplens.TABLES.values(), ids=list(deeplens.TABLES))
def test_rows_fit_the_columns(table):
  lab = _Recorder()
  for row in table.rows:
    assert len(row.paper) == len(table.paper_columns), row.label
    if row.measure:
      assert len(row.measure(lab)) == len(table.columns), row.label
  names = {name for call in lab.calls for name in call if name}
  assert lab.calls and names <= set(deeplens.EXPERIMENTS)


class _Trained(Lab):
  """A lab with files instead of trained runs."""

  def train(self, name):
    workdir = self.root / name
    workdir.mkdir(exist_ok=True)
    (workdir / 'weights.safetensors').write_bytes(name.encode())
    return workdir


@pytest.mark.parametrize('size', ['smoke', 'small', 'base'])
def test_rows_of_table_2_are_measured_on_the_same_frames(size, tmp_path, monkeypatch):
  evaluated = []

  def newest(config, workdir, split):
    evaluated.append((workdir.name, split, config.to_dict()))
    return dict.fromkeys(_SCORES)

  monkeypatch.setattr(lab_lib.evaluate, 'newest', newest)
  lab = _Trained(tmp_path, size, {}, deeplens.EXPERIMENTS)
  for row in deeplens.TABLE2.rows:
    row.measure(lab)
  assert {name for name, _, _ in evaluated} == {'regression', 'aperture', 'lensblur'}
  expected = lab.config('lensblur').to_dict()
  expected['render'].pop('disparity')
  for name, split, config in evaluated:
    config['render'].pop('disparity')
    assert split == 'test'
    assert (config['data'], config['render']) == (expected['data'], expected['render']), name
    if name == 'aperture':
      assert config['model']['long_side'] == lab.config('aperture').data.width
  # At size base, aperture is trained on smaller frames.
  assert (lab.config('aperture').data.width < expected['data']['width']) == (size == 'base')
