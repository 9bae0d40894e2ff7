"""`depthjax predictors`, the catalogue that it lists, and the licence that loading prints once."""

import pathlib
import re
import sys

import pytest
from huggingface_hub import constants

from depthjax.commands.work import predictors
from depthjax.files import hub
from depthjax.models.predictors import catalogue
from depthjax.models.predictors.catalogue import CATALOGUE, DEFAULT
from depthjax.pipelines import predictors as pipeline
from tests import processes

_NON_COMMERCIAL = 'depth-anything-v2-base'


@pytest.fixture(name='save', autouse=True)
def fixture_save(tmp_path, monkeypatch):
  """An empty cache; returns a function that puts the weights of a predictor into it."""
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))

  def save(name):
    entry = CATALOGUE[name]
    folder = tmp_path / 'hub' / f'models--{entry.repository.replace("/", "--")}'
    path = folder / 'snapshots' / entry.revision / 'model.safetensors'
    path.parent.mkdir(parents=True)
    path.touch()

  return save


def _rows(text):
  rows = [[x.strip() for x in row.split('│')[1:-1]] for row in text.splitlines() if '│' in row]
  return {name: cells for name, *cells in rows}


def test_the_table_has_all_predictors_and_what_is_in_the_cache(run, save):
  save(_NON_COMMERCIAL)
  code, out, err = run('predictors')
  rows = _rows(out)
  assert (code, err) == (0, '') and list(rows) == list(CATALOGUE)
  repository = 'depth-anything/Depth-Anything-V2-'
  first = ['24.8 M', '99', 'relative', *['Apache-2.0'] * 2, 'yes', f'{repository}Small-hf', 'no']
  assert rows[DEFAULT] == first
  assert rows[_NON_COMMERCIAL][-4:] == ['CC-BY-NC-4.0', 'no', f'{repository}Base-hf', 'yes']
  outdoor = rows['depth-anything-v2-metric-outdoor-large']
  assert outdoor[2] == 'metric' and outdoor[-2] == f'{repository}Metric-Outdoor-Large-hf'
  assert rows['midas-v21'][-2:] == [CATALOGUE['midas-v21'].url, '–']


_WITHOUT = """
import sys
sys.modules['huggingface_hub'] = None
from depthjax.commands.work import predictors
predictors.run(predictors.Options())
assert 'jax' not in sys.modules
"""


def test_the_table_needs_neither_jax_nor_huggingface_hub():
  done = processes.python(_WITHOUT)
  assert done.returncode == 0, done.stderr
  assert [row[-1] for row in _rows(done.stdout).values()] == ['unknown'] * 13 + ['–']


def test_the_licence_is_printed_before_a_download_only(save, monkeypatch, capsys):
  monkeypatch.setattr(pipeline, 'load', lambda which: f'loaded {which}')
  line = f'{_NON_COMMERCIAL}: weights CC-BY-NC-4.0, no commercial use; code Apache-2.0\n'
  for printed in (line, ''):
    assert predictors.load(_NON_COMMERCIAL) == f'loaded {_NON_COMMERCIAL}'
    assert capsys.readouterr().out == printed
    if printed:
      save(_NON_COMMERCIAL)
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)  # Then nothing is downloaded.
  for other in (DEFAULT, 'midas-v21', pathlib.Path('runs/x')):
    predictors.load(other)
  assert not capsys.readouterr().out


@pytest.mark.parametrize('name', CATALOGUE)
def test_entries_are_pinned_and_agree_with_their_names(name):
  entry = CATALOGUE[name]
  assert re.fullmatch('[0-9a-f]{40}' if entry.repository else '', entry.revision)
  assert re.fullmatch('([0-9a-f]{64})?', entry.sha256)
  assert entry.commercial == ('NC' not in entry.weights)
  assert entry.metric == ('-metric-' in name) and bool(entry.url) != bool(entry.repository)
  if entry.model['network'] == 'depth_anything':
    assert entry.repository.lower().endswith(f'{name}-hf')
    assert name.endswith(entry.model['size']) and entry.model['version'] == 1 + ('-v2-' in name)
  hub.cached(entry.repository or 'a/b', entry.revision)  # Valid for huggingface_hub.


def test_pins_are_of_one_predictor_each():
  for field in ('repository', 'revision', 'sha256'):
    values = [x for x in (getattr(entry, field) for entry in CATALOGUE.values()) if x]
    assert len(values) == len(set(values)), field


def test_the_nearest_names_are_found():
  assert catalogue.nearest('Depth-Anything-V2-smal').startswith('depth-anything-v2-small or ')
  assert catalogue.nearest('midas') == 'midas-v21 (all: depthjax predictors)'
  assert catalogue.nearest('?') == f'{DEFAULT} (all: depthjax predictors)'
