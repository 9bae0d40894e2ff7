"""Experiments are trained once, each after its predictor, and never mixed up."""

import json

import numpy as np
import pytest

from configs import lensblur
from depthjax import configuring
from depthjax.files.errors import InputError
from depthjax.reproduce import lab as lab_lib
from depthjax.reproduce.lab import Experiment, Lab
from tests import tiny

_EXPERIMENTS = {
  'plain': Experiment('plain', 'lensblur'),
  'l1': Experiment('l1', 'lensblur', {'loss.kind': 'l1'}),
  'told': Experiment('told', 'lensblur', {'render.disparity': 'true'}, predictor='plain'),
  'aperture': Experiment('aperture', 'aperture'),
  'depth': Experiment('depth', 'deeplens_depth'),
  'first': Experiment('first', 'sddr', arg='stage=first'),
  'second': Experiment('second', 'sddr', first='first', arg='stage=second'),
  'wrong': Experiment('wrong', 'lensblur', {'loss.kinds': 'l1'}),
}


@pytest.fixture
def calls(monkeypatch):
  """Trainings and evaluations in order, none of them real."""
  calls = []

  def train(config, workdir, terms):
    del terms  # Those of depthjax.train.resume.
    calls.append(('train', workdir.name))
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / 'config.json').write_text(json.dumps(config.to_dict(), default=str))
    metadata = {'task': config.task, 'step': config.steps, 'config': config.to_dict()}
    lab_lib.weights.save_weights(
      workdir / 'weights.safetensors', {'params': {'x': np.ones(1)}}, metadata
    )

  def newest(config, workdir, split):
    calls.append(('evaluate', workdir.name, config.render.disparity, config.data.width))
    return {'psnr/learned': float(len(calls))}

  monkeypatch.setattr(lab_lib.loop, 'train', train)
  monkeypatch.setattr(lab_lib.evaluate, 'newest', newest)
  return calls


def _lab(root, **fields):
  return Lab(root, tiny.ROOT / 'configs', 'smoke', {'steps': 7, **fields}, _EXPERIMENTS)


def test_the_config_is_the_files_with_the_experiments_fields_and_the_labs(tmp_path):
  config = _lab(tmp_path, batch_size=2).config('l1')
  assert (config.loss.kind, config.steps, config.batch_size) == ('l1', 7, 2)
  assert config.model.width == lensblur.get_config('smoke').model.width
  assert config.is_locked


def test_a_second_stage_begins_with_the_weights_of_the_first(tmp_path, calls):
  lab = _lab(tmp_path)
  lab.train('second')
  assert calls == [('train', 'first'), ('train', 'second')]
  assert lab.config('second').initialise.weights == str(tmp_path / 'first')
  assert lab.config('first').loss.gradient == 0 < lab.config('second').loss.gradient
  lab.train('second')
  assert len(calls) == 2
  # Trained anew, the first is another beginning.
  (tmp_path / 'first' / 'weights.safetensors').write_bytes(b'other')
  with pytest.raises((configuring.ConfigError, InputError)):
    lab.train('second')


def test_what_is_trained_and_scored_is_not_again(tmp_path, calls):
  first = _lab(tmp_path).scores('plain')
  assert _lab(tmp_path).scores('plain') == first
  assert calls == [('train', 'plain'), ('evaluate', 'plain', 'corrupted', 96)]
  # Another evaluation of the same run is its own.
  other = _lab(tmp_path).scores('plain', render__disparity='true')
  assert other != first and calls[2:] == [('evaluate', 'plain', 'true', 96)]
  assert _lab(tmp_path).scores('plain') == first


def test_a_run_that_stopped_early_goes_on(tmp_path, calls):
  _lab(tmp_path).train('plain')
  (tmp_path / 'plain' / 'weights.safetensors').unlink()
  _lab(tmp_path).train('plain')
  assert calls == [('train', 'plain')] * 2


def test_a_folder_of_another_config_is_refused(tmp_path, calls):
  _lab(tmp_path).train('plain')
  with pytest.raises(configuring.ConfigError, match=r'was trained with another config \(in seed\)'):
    _lab(tmp_path, seed=3).train('plain')
  assert len(calls) == 1


@pytest.mark.parametrize(
  'field, value',
  [
    ('eval.every', 1),
    ('eval.examples', 16),
    ('eval.pictures', 1),
    ('checkpoint.keep', 9),
    ('log_every', 3),
    ('input.workers', 2),
    ('parallel.mode', 'pmap'),
  ],
)
def test_what_cannot_change_the_result_asks_for_no_training(tmp_path, calls, field, value):
  _lab(tmp_path).train('plain')
  _lab(tmp_path, **{field: value}).train('plain')
  assert len(calls) == 1


def _rewrite(record, change):
  config = json.loads(record.read_text())
  change(config)
  record.write_text(json.dumps(config))


@pytest.mark.parametrize(
  'table, field, changes',
  [
    (None, 'ema', {'ema': 0.5}),
    ('loss', 'kind', {'loss.kind': 'l1'}),
    ('data', 'softness', {'data.softness': (1.0, 2.0)}),
  ],
)
def test_a_field_added_since_has_the_value_of_the_config_file(
  tmp_path, calls, table, field, changes
):
  """Whatever the file says; what an experiment or the command makes of it asks for another run."""
  _lab(tmp_path).train('plain')
  record = tmp_path / 'plain' / 'config.json'
  _rewrite(record, lambda config: (config[table] if table else config).pop(field))
  _lab(tmp_path).train('plain')
  with pytest.raises(configuring.ConfigError, match=f'another config .*{field}'):
    _lab(tmp_path, **changes).train('plain')
  assert len(calls) == 1


def test_a_run_of_an_older_name_of_its_task_is_taken(tmp_path, calls):
  _lab(tmp_path).train('depth')
  _rewrite(tmp_path / 'depth' / 'config.json', lambda config: config.update(task='depth'))
  _lab(tmp_path).train('depth')
  assert calls == [('train', 'depth')]


def test_an_experiment_of_an_added_field_is_trained_anew(tmp_path, calls):
  _lab(tmp_path).train('l1')
  _rewrite(tmp_path / 'l1' / 'config.json', lambda config: config['loss'].pop('kind'))
  with pytest.raises(configuring.ConfigError, match=r'another config \(in loss.kind\)'):
    _lab(tmp_path).train('l1')


def test_a_field_that_is_no_more_asks_for_another_run(tmp_path, calls):
  _lab(tmp_path).train('plain')
  _rewrite(tmp_path / 'plain' / 'config.json', lambda config: config['model'].update(depth=3))
  with pytest.raises(configuring.ConfigError, match=r'another config \(in model.depth\)'):
    _lab(tmp_path).train('plain')


def test_predictors_come_first(tmp_path, calls):
  _lab(tmp_path).scores('told', predictor='l1')
  assert [call[:2] for call in calls] == [
    ('train', 'l1'),
    ('train', 'plain'),
    ('train', 'told'),
    ('evaluate', 'told'),
  ]
  assert calls[-1][2] == 'predicted'
  config = _lab(tmp_path).config('told')
  assert config.predictor.weights == str(tmp_path / 'plain')
  assert config.render.disparity == 'true'


def test_scores_on_the_frames_of_another_are_scores_of_their_own(tmp_path, calls):
  lab = Lab(tmp_path, tiny.ROOT / 'configs', 'base', {}, _EXPERIMENTS)
  own = lab.scores('aperture')
  assert lab.scores('aperture', frames='plain') != own
  lab.scores('aperture', frames='plain')
  # What it looks through is its own affair.
  assert calls[1:] == [('evaluate', 'aperture', 'true', width) for width in (320, 640)]
  assert lab.scores('aperture', frames='aperture') == own


def test_a_predictor_trained_anew_is_another_one(tmp_path, calls):
  first = _lab(tmp_path).scores('plain', predictor='l1')
  assert _lab(tmp_path).scores('plain', predictor='l1') == first
  _train_anew(tmp_path / 'l1', 0)
  assert _lab(tmp_path).scores('plain', predictor='l1') != first


def _train_anew(workdir, value):
  metadata = {'task': 'lensblur', 'step': 7}
  lab_lib.weights.save_weights(workdir, {'params': {'x': np.full(1, float(value))}}, metadata)


@pytest.mark.parametrize('finished', [True, False])
def test_a_run_of_a_predictor_that_has_changed_is_refused(tmp_path, calls, finished):
  _lab(tmp_path).train('told')
  if not finished:
    (tmp_path / 'told' / 'weights.safetensors').unlink()
    _lab(tmp_path).train('told')
  count = len(calls)
  before = (tmp_path / 'plain' / 'weights.safetensors').read_bytes()
  _train_anew(tmp_path / 'plain', 0)
  with pytest.raises(configuring.ConfigError, match='told was trained with another predictor'):
    _lab(tmp_path).train('told')
  (tmp_path / 'plain' / 'weights.safetensors').write_bytes(before)
  _lab(tmp_path).train('told')
  assert len(calls) == count


def test_the_predictor_is_on_record_before_a_run_starts(tmp_path, calls, monkeypatch):
  """One that is stopped at once has it too."""
  whole = lab_lib.loop.train

  def cut(config, workdir, terms):
    whole(config, workdir, terms)
    if workdir.name == 'told':
      (workdir / 'weights.safetensors').unlink()
      raise lab_lib.loop.Terminated

  monkeypatch.setattr(lab_lib.loop, 'train', cut)
  with pytest.raises(lab_lib.loop.Terminated):
    _lab(tmp_path).train('told')
  _train_anew(tmp_path / 'plain', 0)
  with pytest.raises(configuring.ConfigError, match='another predictor'):
    _lab(tmp_path).train('told')


def test_a_root_may_move_with_the_predictors_in_it(tmp_path, calls):
  _lab(tmp_path / 'a').train('told')
  (tmp_path / 'a').rename(tmp_path / 'b')
  _lab(tmp_path / 'b').train('told')
  assert [name for _, name in calls] == ['plain', 'told']


def test_a_run_older_than_the_record_of_predictors_is_taken_as_it_is(tmp_path, calls):
  _lab(tmp_path).train('told')
  (tmp_path / 'told' / 'predictor.json').unlink()
  _train_anew(tmp_path / 'plain', 0)
  _lab(tmp_path).train('told')
  assert [name for _, name in calls] == ['plain', 'told']
  # Gone on with, its predictor is no better known.
  (tmp_path / 'told' / 'weights.safetensors').unlink()
  _lab(tmp_path).train('told')
  assert not (tmp_path / 'told' / 'predictor.json').exists()


@pytest.mark.parametrize('name', ['scores.json', 'config.json'])
@pytest.mark.parametrize('text', ['', '[]', '{"cut'])
def test_a_damaged_record_is_named(tmp_path, calls, name, text):
  _lab(tmp_path).scores('plain')
  (tmp_path / 'plain' / name).write_text(text)
  with pytest.raises(InputError, match=f'{name}: (is damaged|does not hold the config of the run)'):
    _lab(tmp_path).scores('plain')


def test_a_damaged_record_of_the_predictor_is_named(tmp_path, calls):
  _lab(tmp_path).train('told')
  (tmp_path / 'told' / 'predictor.json').write_text('{"cut')
  with pytest.raises(InputError, match='predictor.json: is damaged'):
    _lab(tmp_path).train('told')


def test_a_misspelt_field_is_named(tmp_path):
  with pytest.raises(configuring.ConfigError, match='loss.kinds'):
    _lab(tmp_path).config('wrong')


def test_a_missing_config_file_is_named(tmp_path):
  lab = Lab(tmp_path, tmp_path, 'smoke', {}, _EXPERIMENTS)
  with pytest.raises(configuring.ConfigError, match='lensblur.py does not exist'):
    lab.config('plain')


def test_given_weights_stand_for_an_experiment_that_is_not_trained(tmp_path, calls):
  given = tmp_path / 'elsewhere' / 'weights.safetensors'
  given.parent.mkdir()
  metadata = {'task': 'sddr', 'step': 3, 'config': {}}
  lab_lib.weights.save_weights(given, {'params': {'x': np.zeros(1)}}, metadata)
  for place in (given, given.parent):  # A file, or the folder of a run.
    lab = Lab(
      tmp_path, tiny.ROOT / 'configs', 'smoke', {'steps': 7}, _EXPERIMENTS, {'first': place}
    )
    assert lab.config('second').initialise.weights == str(place)
    lab.train('second')
  assert calls == [('train', 'second')]
  with pytest.raises(configuring.ConfigError, match='first is scored from a run of its own'):
    lab.scores('first')
  # Other weights are another beginning.
  lab_lib.weights.save_weights(given, {'params': {'x': np.ones(1)}}, metadata)
  with pytest.raises(configuring.ConfigError, match='another predictor or first stage'):
    lab.train('second')
