"""Tables in Markdown: ours beside the paper's, each section replaced in its place."""

import numpy as np
import pytest

from depthjax.files.errors import InputError
from depthjax.reproduce import table as table_lib
from depthjax.reproduce.table import Row, Table

_TABLE = Table(
  'paper/table9',
  'what it shows',
  'Someone, 2020, Table 9',
  ('PSNR',),
  ('PSNR', 'SSIM'),
  (
    Row('First', (28.236,), lambda lab: (lab['first'], 0.91234)),
    Row('Second', (None,), None, 'it cannot be had'),
  ),
  data='Theirs and ours.',
  expected='First better.',
)


def _filled():
  return table_lib.fill(_TABLE, {'first': 31.006})


def test_rows_are_ours_then_theirs():
  head, body = table_lib.cells(_filled())
  assert head == ['', 'PSNR', 'SSIM', 'paper: PSNR']
  assert body == [['First', '31.01', '0.912', '28.24'], ['Second', '–', '–', '–']]


def test_a_section_says_what_made_it():
  text = table_lib.markdown(_filled(), 'depthjax reproduce paper/table9', 'size smoke, 7 steps')
  lines = text.splitlines()
  assert lines[0] == '## paper/table9: what it shows'
  assert '|  | PSNR | SSIM | paper: PSNR |' in lines
  assert lines.count('|---|---|---|---|') == 1
  assert '* Second: it cannot be had.' in lines
  assert '**Ours:** size smoke, 7 steps, by `depthjax reproduce paper/table9`.' in lines
  assert '\n\n\n' not in text


def test_rows_are_compared_to_the_reference_scene_by_scene():
  """What all scenes share is not in the error of the difference."""
  hard = np.array([0.1, 0.4, 0.9])
  rows = (
    Row('ours', (None,), lambda lab: (hard, 1 - hard)),
    Row('worse', (None,), lambda lab: (hard + [0.1, 0.2, 0.3], 1 - hard)),
    Row('absent', (None,), None, 'it cannot be had'),
  )
  filled = table_lib.fill(_TABLE._replace(rows=rows, reference='ours'), {})
  np.testing.assert_allclose(filled.values[1], [hard.mean() + 0.2, 1 - hard.mean()])
  assert filled.differences[0] == filled.differences[2] == ()
  first, second = filled.differences[1]
  np.testing.assert_allclose(first, [0.2, 0.1 / np.sqrt(3)])
  np.testing.assert_allclose(second, 0, atol=1e-12)
  lines = table_lib.markdown(filled, 'depthjax reproduce paper/table9', 'size smoke').splitlines()
  assert '| worse | +0.2000 ± 0.0577 | +0.0000 ± 0.0000 |' in lines
  assert any('Less the row "ours"' in line for line in lines)


def test_sections_are_replaced_in_their_place_and_the_rest_stays(tmp_path):
  path = tmp_path / 'reproduction.md'
  table_lib.write(path, 'b', 'second')
  table_lib.write(path, 'a', 'first\n\nwith two paragraphs')
  text = path.read_text()
  assert text.startswith('# Reproduction') and text.index('second') < text.index('first')
  before = text.replace('<!-- begin a', 'written by hand\n\n<!-- begin a') + '\nthe end\n'
  path.write_text(before)
  table_lib.write(path, 'b', 'changed')
  assert path.read_text() == before.replace('second', 'changed')
  table_lib.write(path, 'b', 'second')
  assert path.read_text() == before


@pytest.mark.parametrize('content', [b'# Another document\n', b'\xff\xfe'])
def test_a_document_of_something_else_is_left_alone(tmp_path, content):
  path = tmp_path / 'README.md'
  path.write_bytes(content)
  with pytest.raises(InputError, match='is no document of tables'):
    table_lib.write(path, 'a', 'first')
  assert path.read_bytes() == content
