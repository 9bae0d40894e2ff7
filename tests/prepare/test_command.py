"""The command `depthjax prepare`: its output, and one line and exit code 2 for bad input."""

import pathlib

import pytest

from depthjax.data.records import evaluation
from depthjax.prepare import catalogue
from tests.prepare import made


def test_output_names_skipped_records_and_counts(run, tmp_path):
  made.ebb(tmp_path / 'ebb', 20)
  (tmp_path / 'ebb' / 'bokeh' / '3.png').unlink()
  for folder in ('original', 'bokeh'):
    made.write(tmp_path / 'ebb' / folder / '4.png', made.picture(4, 24, 32))
  code, out, err = run('prepare ebb --source ebb --target out --long-side 16')
  assert (code, err) == (0, '')
  lines = [line for line in out.splitlines() if line.strip()]
  assert lines[-2].startswith('skipped: ebb/original/3.png: has no partner')
  assert lines[-1].startswith('out/ebb/1.0.0: train ') and lines[-1].endswith('skipped 1')
  pairs = evaluation.open_records('tfds:out/ebb', 'all')
  assert len(pairs) == 19 and {record['image'].shape for record in pairs} == {(12, 16, 3)}


def test_docs_name_every_dataset():
  text = pathlib.Path(__file__).parents[2].joinpath('docs', 'data.md').read_text()
  assert [name for name in catalogue.DATASETS if f'`{name}`' not in text] == []


_BAD = {
  'ebb --source gone --target out': 'gone does not exist; expected the folder',
  'ebb --source ebb --target out': '1 of 8 records are bad, 3.png ; expected larger --max-bad',
  'ebb --source two --target out': 'two: holds 2 scenes ; expected at least 3',
  'ebb --source ebb --target ebb/bokeh/0.png': '0.png: is not a folder',
  'ebb --source ebb/original/0.png --target out': '0.png: is not a folder',
  'duts --source ebb --target out': 'ebb: has no folder DUTS-TR-Image/ or DUTS-TE-Image/',
  'nyuv2 --source no.mat --target out': 'no.mat: does not exist',
  'msra10k --source empty --target out': 'empty: holds no record; expected NAME.jpg',
}


@pytest.mark.parametrize('line', _BAD)
def test_bad_input_is_refused_and_changes_nothing(line, refuse, tmp_path):
  made.truncate(made.ebb(tmp_path / 'ebb') / 'bokeh' / '3.png')
  made.ebb(tmp_path / 'two', 2)
  (tmp_path / 'empty').mkdir()
  refuse(f'prepare {line}', _BAD[line])
