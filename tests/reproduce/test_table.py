"""Tables as Markdown, and the document that holds them."""

import numpy as np
import pytest
from scipy import stats

from depthjax.files.errors import InputError
from depthjax.reproduce import table as table_lib
from depthjax.reproduce.table import Row, Table

_MISSING = Row('Second', (None,), None, 'it is not available')
_ROWS = (Row('First', (28.236,), lambda lab: (lab['first'], 0.91234)), _MISSING)
_TABLE = Table(
  'paper/table9', 'a title', 'A paper', ('PSNR',), ('PSNR', 'SSIM'), _ROWS, 'Ours.', 'First better.'
)


def test_section_has_our_values_the_papers_and_their_origin():
  filled = table_lib.fill(_TABLE, [{'first': 31.006}])
  head, body = table_lib.cells(filled)
  assert head == ['', 'PSNR', 'SSIM', 'paper: PSNR']
  assert body == [['First', '31.01', '0.912', '28.24'], ['Second', '–', '–', '–']]
  text = table_lib.markdown(filled, 'depthjax reproduce paper/table9', 'size smoke', ['c0ffee'])
  lines = text.splitlines()
  assert lines[-1] == 'Trained by c0ffee.'
  assert lines[0] == '## paper/table9: a title'
  assert lines[lines.index('|---|---|---|---|') - 1] == '|  | PSNR | SSIM | paper: PSNR |'
  assert '* Second: it is not available.' in lines
  assert '**Ours:** size smoke, by `depthjax reproduce paper/table9`.' in lines
  assert '\n\n\n' not in text


def test_rows_are_compared_to_the_reference_scene_by_scene():
  """The error of the difference excludes what all rows have in common."""
  values = np.array([0.1, 0.4, 0.9])
  rows = (
    Row('ours', (None,), lambda lab: (values, 1 - values)),
    Row('worse', (None,), lambda lab: (values + [0.1, 0.2, 0.3], 1 - values)),
    _MISSING,
  )
  filled = table_lib.fill(_TABLE._replace(rows=rows, reference='ours'), [{}])
  means = [x.mean for x in filled.values[1]]
  np.testing.assert_allclose(means, [values.mean() + 0.2, 1 - values.mean()])
  assert filled.differences[0] == filled.differences[2] == ()
  first, second = filled.differences[1]
  np.testing.assert_allclose(first, [0.2, 0.1 / np.sqrt(3)])
  np.testing.assert_allclose(second, 0, atol=1e-12)
  text = table_lib.markdown(filled, 'depthjax reproduce paper/table9', 'size smoke')
  assert '\n| worse | +0.2000 ± 0.0577 | +0.0000 ± 0.0000 |\n' in text
  assert 'Difference to the row "ours"' in text and '\n\n\n' not in text


def test_several_trainings_have_a_standard_error_and_a_noise():
  """Against the textbook; rows that no training changes have neither."""
  rng = np.random.default_rng(0)
  ours, other = rng.random((2, 3, 4)) + 3  # [training scene].
  rows = (
    Row('ours', (2.5,), lambda seed: (ours[seed], 1.0)),
    Row('other', (None,), lambda seed: (other[seed].mean(), 2.0 * seed)),
    Row('untrained', (None,), lambda seed: (ours[0], 5.0)),
    _MISSING,
  )
  filled = table_lib.fill(_TABLE._replace(rows=rows, reference='ours'), range(3))
  first, second = ours.mean(1), other.mean(1)
  np.testing.assert_allclose(filled.values[0][0], [first.mean(), stats.sem(first)])
  np.testing.assert_allclose(filled.values[1][1], [2.0, 2 / np.sqrt(3)])
  # Differences are paired by training.
  np.testing.assert_allclose(
    filled.differences[1][0], [(second - first).mean(), stats.sem(second - first)]
  )
  assert filled.differences[0] == filled.differences[3] == ()
  noise = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
  np.testing.assert_allclose(filled.noise, [noise, np.sqrt(4 / 2)])
  body = table_lib.cells(filled)[1]
  assert body[1][2] == '2.00 ± 1.2' and body[2][2] == '5.00' and body[3][1] == '–'
  assert body[4] == ['Standard deviation of one training', f'{noise:.2g}', '1.4', '–']
  text = table_lib.markdown(filled, 'depthjax reproduce paper/table9 --seeds=3', 'size smoke')
  assert 'Ours: mean ± standard error over 3 trainings with different seeds.\n' in text
  assert 'mean over trainings with the same seed ± standard error.\n' in text
  same = table_lib.fill(_TABLE, [{'first': 31.0}] * 2)
  assert same.noise == () and table_lib.cells(same)[1][0][1] == '31.00'


def test_only_the_tables_section_is_replaced(tmp_path):
  path = tmp_path / 'reproduction.md'
  table_lib.write(path, 'b', 'second')
  table_lib.write(path, 'a', 'first\n\nwith two paragraphs')
  text = path.read_text()
  assert text.startswith('# Reproduction') and text.index('second') < text.index('first')
  before = text.replace('<!-- begin a', 'written by hand\n\n<!-- begin a') + '\nthe end\n'
  path.write_text(before)
  table_lib.write(path, 'b', 'changed')
  assert path.read_text() == before.replace('second', 'changed')


@pytest.mark.parametrize('content', [b'# Another document\n', b'\xff\xfe'])
def test_other_document_is_not_changed(tmp_path, content):
  path = tmp_path / 'README.md'
  path.write_bytes(content)
  with pytest.raises(InputError, match='is not a document of `depthjax reproduce`'):
    table_lib.write(path, 'a', 'first')
  assert path.read_bytes() == content
