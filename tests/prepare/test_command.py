"""The command `depthjax prepare`: its output, and one line and exit code 2 for bad input."""

import pathlib

import pytest

from depthjax.data.records import evaluation
from depthjax.prepare import catalogue
from tests import messages
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
  'prepare ebb --source gone --target out': 'gone does not exist; expected the folder',
  'prepare ebb --source ebb --target out': '1 of 8 records are bad; expected larger --max-bad',
  'prepare duts --source ebb --target out': 'ebb: has no folder DUTS-TR-Image/ or DUTS-TE-Image/',
  'prepare nyuv2 --source no.mat --target out': 'no.mat: does not exist',
  'prepare ebb --source ebb/original/0.png --target out': '0.png: is not a folder',
  'prepare msra10k --source empty --target out': 'empty: holds no record; expected NAME.jpg',
}


@pytest.mark.parametrize('line', _BAD)
def test_bad_input_gives_one_line_and_code_2(line, run, tmp_path):
  made.ebb(tmp_path / 'ebb')
  made.truncate(tmp_path / 'ebb' / 'bokeh' / '3.png')
  (tmp_path / 'empty').mkdir()
  code, _, err = run(line)
  assert code == 2
  messages.assert_one_line(err, _BAD[line])
  assert {path.name for path in tmp_path.iterdir()} == {'ebb', 'empty'}
