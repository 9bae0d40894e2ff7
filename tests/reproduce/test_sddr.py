"""Experiments and rows of SDDR's tables."""

import pytest

from depthjax.reproduce import refinement, sddr
from depthjax.reproduce.lab import Lab
from depthjax.train import record


@pytest.mark.parametrize('size', ['smoke', 'small', 'medium', 'base'])
def test_every_experiment_has_a_config(size, tmp_path):
  lab = Lab(tmp_path, size, {}, sddr.EXPERIMENTS)
  for name, experiment in sddr.EXPERIMENTS.items():
    config = lab.config(name)
    assert config.loss.start == 0
    first = str(tmp_path / experiment.initialise) if experiment.initialise else ''
    assert config.initialise.weights == first
    labels = config.loss.gradient > 0 or config.loss.fusion > 0
    # Windows take time and are used only for labels.
    assert labels or config.data.predictions.levels == 0


@pytest.mark.parametrize('table', sddr.TABLES.values(), ids=list(sddr.TABLES))
def test_rows_fit_the_columns_and_measure_different_things(table, monkeypatch):
  measured = []

  def scores(lab, method, names, **fields):
    measured.append((method, tuple(fields.items())))
    return dict.fromkeys(names, 0.5)

  monkeypatch.setattr(refinement, 'scores', scores)
  for row in table.rows:
    assert len(row.paper) == len(table.paper_columns), row.label
    if row.measure:
      assert len(row.measure(None)) == len(table.columns), row.label
  assert len(set(measured)) == len(measured) > 1
  assert {method.run for method, _ in measured} - {''} <= set(sddr.EXPERIMENTS)


def test_ablations_change_only_their_fields(tmp_path):
  lab = Lab(tmp_path, 'small', {}, sddr.EXPERIMENTS)
  full = record.deciding(lab.config('sddr').to_dict())
  levels, natural = 'data.predictions.levels', 'data.predictions.stereo_targets'
  expected = {
    'sddr-levels-2': {levels},
    'sddr-gradient': {'loss.fusion'},
    'sddr-fusion': {'loss.gradient'},
    'sddr-natural': {natural},
    'sddr-natural-truth': {natural, levels, 'loss.gradient', 'loss.fusion'},
    'sddr-disparity': {'loss.label'},
  }
  for name, changed in expected.items():
    fields = record.deciding(lab.config(name).to_dict())
    assert {field for field in full if fields[field] != full[field]} == changed
