"""The experiments behind the tables of SDDR, and what their rows ask for."""

import pytest

from depthjax.reproduce import refinement, sddr
from depthjax.reproduce.lab import Lab
from tests import tiny


@pytest.mark.parametrize('size', ['smoke', 'small', 'medium', 'base'])
def test_every_experiment_has_a_config(size, tmp_path):
  lab = Lab(tmp_path, tiny.ROOT / 'configs', size, {}, sddr.EXPERIMENTS)
  for name, experiment in sddr.EXPERIMENTS.items():
    config = lab.config(name)
    assert config.loss.start == 0
    first = str(tmp_path / experiment.first) if experiment.first else ''
    assert config.initialise.weights == first
    labels = config.loss.gradient > 0 or config.loss.fusion > 0
    # Windows cost time, and serve nothing but labels.
    assert labels or config.data.predictions.levels == 0


@pytest.mark.parametrize('table', sddr.TABLES.values(), ids=list(sddr.TABLES))
def test_rows_have_the_columns_of_their_table(table, monkeypatch):
  asked = []

  def scores(lab, way, names, **fields):
    asked.append((way, tuple(fields.items())))
    return dict.fromkeys(names, 0.5)

  monkeypatch.setattr(refinement, 'scores', scores)
  for row in table.rows:
    assert len(row.paper) == len(table.paper_columns), row.label
    if row.measure:
      assert len(row.measure(None)) == len(table.columns), row.label
  assert len(set(asked)) == len(asked) > 1
  assert {way.run for way, _ in asked} - {''} <= set(sddr.EXPERIMENTS)


def test_what_an_ablation_leaves_out_is_all_that_it_changes(tmp_path):
  lab = Lab(tmp_path, tiny.ROOT / 'configs', 'small', {}, sddr.EXPERIMENTS)

  def flat(config, prefix=''):
    for name, value in config.items():
      if hasattr(value, 'items'):
        yield from flat(value, f'{prefix}{name}.')
      else:
        yield f'{prefix}{name}', value

  whole = dict(flat(lab.config('sddr').to_dict()))
  expected = {
    'sddr-levels-2': {'data.predictions.levels'},
    'sddr-gradient': {'loss.fusion'},
    'sddr-fusion': {'loss.gradient'},
    'sddr-natural': {'data.predictions.stereo_targets'},
    'sddr-natural-truth': {
      *(
        'data.predictions.stereo_targets',
        'data.predictions.levels',
        'loss.gradient',
        'loss.fusion',
      )
    },
    'sddr-disparity': {'loss.label'},
  }
  for name, changed in expected.items():
    fields = dict(flat(lab.config(name).to_dict()))
    assert {field for field in whole if fields[field] != whole[field]} == changed
