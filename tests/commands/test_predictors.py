"""`depthjax predictors`, the catalogue that it lists, and the licence that loading prints once."""

import re

import pytest
from huggingface_hub import constants

from depthjax.files import hub
from depthjax.files.errors import InputError
from depthjax.models.predictors import catalogue
from depthjax.models.predictors.catalogue import CATALOGUE, DEFAULT
from depthjax.pipelines import predictors as pipeline
from tests import processes

_BASE = 'depth-anything-v2-base'


@pytest.fixture(name='save', autouse=True)
def fixture_save(tmp_path, monkeypatch):
  """Puts the weights of a predictor into a cache."""
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))

  def save(name):
    folder = tmp_path / 'hub' / f'models--{CATALOGUE[name].repository.replace("/", "--")}'
    snapshot = folder / 'snapshots' / CATALOGUE[name].revision
    snapshot.mkdir(parents=True)
    (snapshot / 'model.safetensors').touch()

  return save


def _rows(text):
  rows = [row.split('│')[1:-1] for row in text.splitlines() if '│' in row]
  return {name.strip(): [x.strip() for x in cells] for name, *cells in rows}


def test_the_table_has_all_predictors_and_what_is_in_the_cache(run, save):
  save(_BASE)
  code, out, err = run('predictors')
  rows = _rows(out)
  assert (code, err) == (0, '') and list(rows) == list(CATALOGUE)
  repository = 'depth-anything/Depth-Anything-V2-'
  first = ['24.8 M', '99', 'relative', *['Apache-2.0'] * 2, 'yes', f'{repository}Small-hf', 'no']
  assert rows[DEFAULT] == first
  assert rows[_BASE][-4:] == ['CC-BY-NC-4.0', 'no', f'{repository}Base-hf', 'yes']
  assert rows['depth-anything-v2-metric-outdoor-large'][2] == 'metric'
  assert rows['midas-v21'][-2:] == [CATALOGUE['midas-v21'].url, '–']


def test_the_table_needs_neither_jax_nor_huggingface_hub():
  code = "import sys; sys.modules |= {'huggingface_hub': None, 'jax': None}; "
  done = processes.python(f'{code}from depthjax.commands.work import predictors as x; x.run(None)')
  assert done.returncode == 0, done.stderr
  assert [row[-1] for row in _rows(done.stdout).values()] == ['unknown'] * 13 + ['–']


def test_the_licence_is_logged_before_a_download_only(save, monkeypatch, caplog):
  monkeypatch.setattr(hub, 'fetch', lambda *_: 'no.safetensors')
  line = f'{_BASE}: weights CC-BY-NC-4.0, no commercial use; code Apache-2.0'
  for messages in ([line], []):
    with pytest.raises(InputError, match='no.safetensors: does not exist'):
      pipeline.load(_BASE)
    assert caplog.messages == messages
    caplog.clear()
    if messages:
      save(_BASE)


@pytest.mark.parametrize('name', CATALOGUE)
def test_entries_are_pinned_and_agree_with_their_names(name):
  entry = CATALOGUE[name]
  hashes = '[0-9a-f]{40}:([0-9a-f]{64})?' if entry.repository else ':'
  assert re.fullmatch(hashes, f'{entry.revision}:{entry.sha256}')
  assert entry.commercial == ('NC' not in entry.weights) and entry.metric == ('-metric-' in name)
  if entry.model['network'] == 'depth_anything':
    assert entry.repository.lower().endswith(f'/{name}-hf')
    assert name.endswith(entry.model['size']) and entry.model['version'] == 1 + ('-v2-' in name)
  for pin in filter(None, (entry.repository, entry.revision, entry.sha256)):
    assert [pin in other for other in CATALOGUE.values()].count(True) == 1


def test_the_nearest_names_are_found():
  assert catalogue.nearest('Depth-Anything-V2-smal').startswith('depth-anything-v2-small or ')
  assert catalogue.nearest('midas') == 'midas-v21 (all: depthjax predictors)'
  assert catalogue.nearest('?') == f'{DEFAULT} (all: depthjax predictors)'
