"""`depthjax compare`: the table, the page, and folders that cannot be read."""

import pytest

from tests import messages
from tests.study import made

_METRICS = {f'metric{i}': float(i) for i in range(8)}


@pytest.fixture(name='study')
def fixture_study(tmp_path):
  """Two rates with two seeds and one with one, of which some are unfinished."""
  folder = tmp_path / 'study'
  for peak, seed, steps in ((1e-3, 0, 6), (1e-3, 1, 6), (3e-3, 0, 6), (3e-3, 1, 3), (1e-2, 0, 3)):
    metrics = {'psnr': 1000 * peak + seed, **_METRICS}
    made.save(folder / f'{peak},{seed}', (steps, metrics), optimizer__peak=peak, seed=seed)
  return folder


def _rows(text):
  """The cells of the table's rows."""
  return [
    [x.strip() for x in row.strip('│┃').replace('┃', '│').split('│')]
    for row in text.splitlines()
    if row.startswith(('│', '┃'))
  ]


def test_table_has_what_differs_and_the_means_over_seeds(run, study, tmp_path):
  code, out, err = run('compare study -o page.html')
  assert (code, err) == (0, '')
  head, *rows = _rows(out)
  assert head == ['optimizer.peak', 'seeds', 'steps', 'psnr', *(f'metric{i}' for i in range(5))]
  assert [row[:4] for row in rows] == [
    ['0.001', '2', '6', '1.500 ± 0.71'],
    ['0.003', '1 of 2', '6', '3.000'],
    ['0.01', '1', '3 of 6', '10.00'],
  ]
  assert '3 more metrics are in the page' in out
  page = (tmp_path / 'page.html').read_text()
  assert all(f'{name}</figcaption>' in page for name in ('psnr', *_METRICS))
  assert page.count('<img') == 10


def test_unreadable_folders_are_named_and_skipped(run, study, tmp_path):
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'notes.txt').write_text('a file is no run, but runs/* gives it')
  (study / '0.01,0' / 'config.json').write_text('{"cut')
  code, out, err = run('compare notes.txt study/0.001,0 study/0.001,1 study/0.01,0 empty nothing')
  assert code == 2 and len(_rows(out)) == 2
  for name, wrong in (
    ('study/0.01,0/config.json', 'does not hold the config'),
    ('empty', 'has no config.json; expected the folder of a run, or a folder of runs'),
    ('nothing', 'has no config.json'),
  ):
    assert f'depthjax: {name}: {wrong}' in err
  assert err.endswith('depthjax: 3 of 5 folders have no readable run\n')
  assert (tmp_path / 'compare.html').exists()


def test_a_page_that_cannot_be_written_is_refused_first(run, study, refuse):
  refuse('compare study -o page.htm', "page.htm: ends in '.htm'")
  assert run('compare study -o page.htm')[1] == ''
  refuse('compare', 'Missing argument')
  messages.assert_one_line(run('compare empty')[2].splitlines()[0] + '\n', 'empty: has no')
