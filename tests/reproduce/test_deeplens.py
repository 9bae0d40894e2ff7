"""The experiments behind the tables: their configs exist, and no field is misspelt."""

import pytest

from depthjax.reproduce import deeplens
from depthjax.reproduce.lab import Lab
from tests import tiny


class _Seen(dict):
  """A lab that is only asked: notes what the rows want of it."""

  def __init__(self):
    self.calls = []

  def scores(self, name, predictor='', **fields):
    self.calls.append((name, predictor))
    keys = [f'{m}/{w}' for m in deeplens._METRICS for w in ('learned', 'classical', 'input')]
    return dict.fromkeys([*keys, 'mae_spline'], 0.5)


@pytest.mark.parametrize('name', deeplens.EXPERIMENTS)
@pytest.mark.parametrize('size', ['smoke', 'small'])
def test_every_experiment_has_a_config(name, size, tmp_path):
  lab = Lab(tmp_path, tiny.ROOT / 'configs', size, {'steps': 3}, deeplens.EXPERIMENTS)
  assert lab.config(name).steps == 3


def test_feature_widths_have_the_channels_they_are_named_for():
  for count, widths in deeplens._CHANNELS.items():
    assert 1 + sum(widths) // 3 == count and all(width % 3 == 0 for width in widths)


@pytest.mark.parametrize('table', deeplens.TABLES.values(), ids=list(deeplens.TABLES))
def test_rows_have_the_columns_of_their_table(table):
  lab = _Seen()
  for row in table.rows:
    assert len(row.paper) == len(table.paper_columns), row.label
    if row.measure:
      assert len(row.measure(lab)) == len(table.columns), row.label
  names = {name for call in lab.calls for name in call if name}
  assert lab.calls and names <= set(deeplens.EXPERIMENTS)


def test_table_3_tests_and_trains_with_the_predictors_of_the_paper():
  lab = _Seen()
  for row in deeplens.TABLE3.rows:
    row.measure(lab)
  assert lab.calls == [
    ('lensblur-true', 'depth'),
    ('lensblur-predicted', 'depth'),
    ('lensblur-predicted', 'depth-procedural'),
    ('lensblur', 'depth'),
  ]
