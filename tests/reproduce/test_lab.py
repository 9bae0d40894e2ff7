"""Each experiment is trained once, after its dependencies, and only reused if nothing changed."""

import dataclasses
import json

import numpy as np
import pytest

from configs import lensblur
from depthjax import configuring
from depthjax.files.errors import InputError
from depthjax.reproduce import lab as lab_lib
from depthjax.reproduce.lab import Experiment, Lab

_EXPERIMENTS = {
  'plain': Experiment('plain', 'lensblur'),
  'l1': Experiment('l1', 'lensblur', {'loss.kind': 'l1'}),
  'dependent': Experiment('dependent', 'lensblur', {'render.disparity': 'true'}, predictor='plain'),
  'masked': Experiment('masked', 'lensblur', predictor='plain', segmenter='masks'),
  'masks': Experiment('masks', 'segment'),
  'interrupted': Experiment('interrupted', 'lensblur', predictor='plain'),
  'aperture': Experiment('aperture', 'aperture'),
  'depth': Experiment('depth', 'deeplens_depth'),
  'first': Experiment('first', 'sddr', arg='stage=first'),
  'second': Experiment('second', 'sddr', initialise='first', arg='stage=second'),
  'misspelt': Experiment('misspelt', 'lensblur', {'loss.kinds': 'l1'}),
}


@pytest.fixture
def calls(monkeypatch):
  """The trainings and evaluations in order, replaced by stand-ins."""
  calls = []

  def train(config, workdir, terms):
    calls.append(('train', workdir.name))
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / 'config.json').write_text(json.dumps(config.to_dict(), default=str))
    if calls.count(('train', 'interrupted')) == 1 and workdir.name == 'interrupted':
      raise lab_lib.loop.Terminated
    _save(workdir / 'weights.safetensors', 1, config.task, config.steps)

  def newest(config, workdir, split):
    calls.append(('evaluate', workdir.name, config.render.disparity, config.data.width))
    return {'psnr/learned': float(len(calls))}

  monkeypatch.setattr(lab_lib.loop, 'train', train)
  monkeypatch.setattr(lab_lib.evaluate, 'newest', newest)
  return calls


def _save(path, value, task='lensblur', step=7):
  variables = {'params': {'x': np.full(1, float(value))}}
  origin = {'commit': 'c0ffee', 'versions': {'jax': '1'}, 'devices': '1 x cpu', 'data': {}}
  metadata = {'task': task, 'step': step, 'config': {}, 'provenance': origin}
  lab_lib.weights.save_weights(path, variables, metadata)


def _lab(root, given=None, **fields):
  fields = {'steps': 7, **fields}
  return Lab(root, 'smoke', fields, _EXPERIMENTS, given or {})


def _rewrite(workdir, field, value):
  """Changes a field of a run's config.json, or removes it if `value` is None."""
  path, (*tables, name) = workdir / 'config.json', field.split('.')
  config = table = json.loads(path.read_text())
  for part in tables:
    table = table[part]
  table[name] = value
  if value is None:
    del table[name]
  path.write_text(json.dumps(config))


def _refused(message, lab, name):
  with pytest.raises(configuring.ConfigError, match=message):
    lab.train(name)


def test_config_has_the_fields_of_file_experiment_and_lab(tmp_path):
  config = _lab(tmp_path, batch_size=2).config('l1')
  assert (config.loss.kind, config.steps, config.batch_size) == ('l1', 7, 2)
  assert config.is_locked and config.model.width == lensblur.get_config('smoke').model.width


def test_second_stage_is_initialised_with_the_first(tmp_path, calls):
  lab = _lab(tmp_path)
  lab.train('second')
  lab.train('second')
  assert calls == [('train', 'first'), ('train', 'second')]
  assert lab.config('second').initialise.weights == str(tmp_path / 'first')
  assert lab.config('first').loss.gradient == 0 < lab.config('second').loss.gradient
  _save(tmp_path / 'first', 0, 'sddr')
  _refused('second was trained with another predictor, segmenter or initial weights', lab, 'second')


def test_segmenters_are_trained_first_and_recorded(tmp_path, calls):
  lab = _lab(tmp_path)
  for _ in range(2):
    lab.train('masked')
  assert calls == [('train', name) for name in ('plain', 'masks', 'masked')]
  assert lab.config('masked').segmenter.weights == str(tmp_path / 'masks')
  _save(tmp_path / 'masks', 0, 'segment')
  _refused('masked was trained with another predictor, segmenter or initial weights', lab, 'masked')


def test_each_seed_has_its_runs_and_those_of_its_dependencies(tmp_path, calls):
  lab = _lab(tmp_path)
  lab.train('dependent')
  other = dataclasses.replace(lab, seed=2)
  first, second = lab.scores('dependent'), other.scores('dependent')
  names = ('plain', 'dependent')
  seeded = [f'{name}-seed2' for name in names]
  assert [name for what, name, *_ in calls if what == 'train'] == [*names, *seeded]
  assert other.config('dependent').seed == 2 != lab.config('dependent').seed
  assert other.config('dependent').predictor.weights == str(tmp_path / seeded[0])
  assert first != second == other.scores('dependent')


def test_training_and_evaluation_run_once(tmp_path, calls):
  first = _lab(tmp_path).scores('plain')
  assert _lab(tmp_path).scores('plain') == first
  assert calls == [('train', 'plain'), ('evaluate', 'plain', 'corrupted', 96)]
  # Another evaluation of the same run is stored separately.
  other = _lab(tmp_path).scores('plain', render__disparity='true')
  assert other != first and calls[2:] == [('evaluate', 'plain', 'true', 96)]
  assert _lab(tmp_path).scores('plain') == first


def test_run_is_reused_unless_a_field_changes_its_result(tmp_path, calls):
  first, again = _lab(tmp_path), _lab(tmp_path)
  for lab in (first, again):
    lab.train('plain')
    assert lab.origins == {'c0ffee, jax 1, 1 x cpu'}
  fields = {'eval.every': 1, 'checkpoint.keep': 9, 'log_every': 3, 'input.workers': 2}
  _lab(tmp_path, **fields, **{'parallel.mode': 'pmap'}).train('plain')
  _refused(r'was trained with another config \(in seed\)', _lab(tmp_path, seed=3), 'plain')
  assert len(calls) == 1


_CHANGED = {'ema': 0.5, 'loss.kind': 'l1', 'data.softness': (1.0, 2.0)}


@pytest.mark.parametrize('field', _CHANGED)
def test_missing_field_of_an_older_run_has_the_config_files_value(tmp_path, calls, field):
  _lab(tmp_path).train('plain')
  _rewrite(tmp_path / 'plain', field, None)
  _lab(tmp_path).train('plain')
  _refused(f'another config .*{field}', _lab(tmp_path, **{field: _CHANGED[field]}), 'plain')
  assert len(calls) == 1


def test_run_of_an_older_version(tmp_path, calls):
  lab = _lab(tmp_path)
  lab.train('depth')
  _rewrite(tmp_path / 'depth', 'task', 'depth')  # An older name of the task.
  lab.train('depth')
  assert calls == [('train', 'depth')]
  # A missing field that the experiment overrides, and one that no longer exists.
  for name, field, value in (('l1', 'loss.kind', None), ('plain', 'model.depth', 3)):
    lab.train(name)
    _rewrite(tmp_path / name, field, value)
    _refused(rf'another config \(in {field}\)', lab, name)


def test_predictors_are_trained_first(tmp_path, calls):
  _lab(tmp_path).scores('dependent', predictor='l1')
  assert [call[:2] for call in calls[:3]] == [('train', x) for x in ('l1', 'plain', 'dependent')]
  assert len(calls) == 4 and calls[3][:3] == ('evaluate', 'dependent', 'predicted')
  config = _lab(tmp_path).config('dependent')
  assert config.predictor.weights == str(tmp_path / 'plain')
  assert config.render.disparity == 'true'


def test_scores_on_other_frames_use_the_other_scenes_and_lens(tmp_path, calls):
  lab = Lab(tmp_path, 'base', {}, _EXPERIMENTS)
  own = lab.scores('aperture')
  assert lab.scores('aperture', frames='plain') != own
  lab.scores('aperture', frames='plain')
  # The disparity stays the experiment's.
  assert calls[1:] == [('evaluate', 'aperture', 'true', width) for width in (320, 640)]
  assert lab.scores('aperture', frames='aperture') == own


def test_retrained_predictor_gives_new_scores(tmp_path, calls):
  first = _lab(tmp_path).scores('plain', predictor='l1')
  assert _lab(tmp_path).scores('plain', predictor='l1') == first
  _save(tmp_path / 'l1', 0)
  assert _lab(tmp_path).scores('plain', predictor='l1') != first


def test_interrupted_run_is_continued_unless_its_predictor_was_retrained(tmp_path, calls):
  """The predictor is recorded before training starts."""
  lab, predictor = _lab(tmp_path), tmp_path / 'plain' / 'weights.safetensors'
  with pytest.raises(lab_lib.loop.Terminated):
    lab.train('interrupted')
  original = predictor.read_bytes()
  _save(predictor, 0)
  _refused('interrupted was trained with another predictor', lab, 'interrupted')
  predictor.write_bytes(original)
  lab.train('interrupted')
  assert [name for _, name in calls] == ['plain', 'interrupted', 'interrupted']


def test_root_may_move_with_its_predictors(tmp_path, calls):
  _lab(tmp_path / 'a').train('dependent')
  (tmp_path / 'a').rename(tmp_path / 'b')
  _lab(tmp_path / 'b').train('dependent')
  assert [name for _, name in calls] == ['plain', 'dependent']


@pytest.mark.parametrize('text', ['', '[]', '{"cut'])
@pytest.mark.parametrize('name', ['scores.json', 'config.json', 'predictor.json'])
def test_damaged_record_is_refused(tmp_path, calls, name, text):
  _lab(tmp_path).scores('dependent')
  (tmp_path / 'dependent' / name).write_text(text)
  with pytest.raises(InputError, match=f'{name}: (is damaged|does not hold the config of the run)'):
    _lab(tmp_path).scores('dependent')


def test_misspelt_field_and_missing_config_file_are_refused(tmp_path):
  with pytest.raises(configuring.ConfigError, match='loss.kinds'):
    _lab(tmp_path).config('misspelt')
  with pytest.raises(configuring.ConfigError, match='nothing: does not exist'):
    Lab(tmp_path, 'smoke', {}, {'x': Experiment('x', 'nothing')}).config('x')


@pytest.mark.parametrize('folder', [False, True])
def test_given_weights_replace_training(tmp_path, calls, folder):
  file = tmp_path / 'elsewhere' / 'weights.safetensors'
  file.parent.mkdir()
  _save(file, 0, 'sddr')
  given = file.parent if folder else file
  lab = _lab(tmp_path, {'first': given})
  assert lab.config('second').initialise.weights == str(given)
  lab.train('second')
  assert calls == [('train', 'second')] and lab.used == {'first'}
  _save(file, 1, 'sddr')
  _refused('another predictor, segmenter or initial weights', lab, 'second')
  with pytest.raises(configuring.ConfigError, match='first cannot be given'):
    lab.scores('first')
