"""Fields of configs, arguments of config files, and refusals of configs that cannot run."""

import dataclasses
import inspect
import json
import re

import ml_collections
import numpy as np
import pytest

from depthjax import configuring, tasks
from depthjax.configuring import ConfigError, checks
from depthjax.data.records import scene
from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.models.deeplens.lensblur import LensBlur
from depthjax.tasks import deeplens_depth, dof, lensblur
from depthjax.tasks.task import Env
from depthjax.train import record
from tests import tiny

_CONFIGS = sorted((tiny.ROOT / 'configs').glob('*.py'))


def _load(name, arg=''):
  return configuring.load(tiny.ROOT / 'configs' / f'{name}.py', arg).unlock()


def _sizes(path):
  """The sizes of a config file, from its error."""
  with pytest.raises(ConfigError, match='size is ') as caught:
    configuring.load(path, 'no-such-size')
  return re.search('it can be (.*)', str(caught.value))[1].split(', ')


_SIZED = [(path, size) for path in _CONFIGS for size in _sizes(path)]


@pytest.mark.parametrize('path, size', _SIZED, ids=lambda x: getattr(x, 'stem', x))
def test_every_size_has_the_fields_and_types_of_the_defaults(path, size):
  config, defaults = configuring.load(path, size), configuring.defaults()
  configuring.check(config)
  assert config.keys() == defaults.keys()
  for name, value in config.items():
    assert type(value) is type(defaults[name]), name
    if name not in ('model', 'loss', 'render') and isinstance(value, ml_collections.ConfigDict):
      extra = {'predictions', 'depth_source'} if 'predictions' in value else set()
      extra |= {'masked', 'labelled', 'label_source'} & {*value.keys()}
      assert {*value.keys()} == {*defaults[name].keys()} | extra
  fields = config.data.to_dict()
  scene.config(fields)
  PredictionConfig(**fields.get('predictions', {}))
  with pytest.raises(AttributeError, match='Did you mean "steps"'):
    config.stepz = 3


@pytest.mark.parametrize('size', ['smoke', 'small', 'medium', 'base'])
@pytest.mark.parametrize('stage', ['both', 'first', 'second', 'broad'])
def test_stages_of_refinement_have_windows_only_with_losses_on_labels(size, stage):
  config = _load('sddr', f'{size},stage={stage}')
  configuring.check(config)
  fields = PredictionConfig(**config.data.to_dict()['predictions'])
  assert (fields.levels > 0) == (config.loss.gradient > 0) == (stage in ('both', 'second'))
  assert (fields.max_coarsening > 1) == (fields.white_low > 0) == (stage == 'broad')


def test_arguments_are_values_by_name_or_of_the_first_field():
  for arg in ('small,stage=first', 'stage=first,size=small'):
    parsed = configuring.parse_arg(arg, size='base', stage='both', preset='paper')
    assert parsed.to_dict() == {'size': 'small', 'stage': 'first', 'preset': 'paper'}
  for arg, name in (('sise=small', 'sise'), ('small,=3', '')):
    with pytest.raises(ConfigError, match=f"no field '{name}'; there are size, stage"):
      configuring.parse_arg(arg, size='base', stage='both')


def _file(folder, body):
  """A config file whose get_config has these lines, after the regression config `c`."""
  lines = ['c = configuring.load("regression:smoke").unlock()', *body, 'return c']
  text = '\n  '.join(['def get_config(arg):', *lines])
  (folder / 'config.py').write_text(f'from depthjax import configuring\n\n{text}\n')
  return folder / 'config.py'


@pytest.mark.parametrize(
  'text, message',
  [
    ('def broken(', "SyntaxError: '.' was never closed .config.py, line 1.; expected a config"),
    ('\nimport no_such', "ModuleNotFoundError in line 2: No module named 'no_such'; expected"),
    ('x = 1', "AttributeError: module 'config_config' has no attribute 'get_config'; exp"),
    ('def get_config(arg):\n  return 3', 'get_config returned 3; expected a ConfigDict'),
    ('def get_config(arg):\n\n  {}[arg]', "KeyError in line 3: ''; expected a config file"),
    ('def get_config(arg):\n  f()\ndef f():\n  1 / 0', 'ZeroDivisionError in line 4: division by'),
    ('def get_config():\n  return 3', 'TypeError: get_config.* takes 0'),
    ('import sys\nsys.exit("gone")', 'SystemExit in line 2: gone; expected a config'),
    (None, 'does not exist; expected a config such as'),
  ],
)
def test_files_that_are_not_configs_are_refused(tmp_path, text, message):
  path = tmp_path / 'config.py'
  if text:
    path.write_text(text)
  with pytest.raises(ConfigError, match=f'^{path}: {message}'):
    configuring.load(path)


def test_unknown_fields_of_a_file_are_named_with_the_nearest_ones(tmp_path):
  """In all tables, and all of them at once."""
  wrong = {
    'optimizer.peek': 'optimizer.peak',
    'optimiser': 'optimizer',
    'model.widht': 'model.width',
  }
  wrong |= {'eval.exemples': 'eval.examples', 'data.predictions': ''}
  path = _file(tmp_path, [f'c.{name} = 1' for name in wrong])
  with pytest.raises(ConfigError) as caught:
    configuring.load(path)
  hints = (f'no field {x}' + (f' (did you mean {y}?)' if y else '') for x, y in wrong.items())
  assert set(str(caught.value).removeprefix(f'{path}: ').split(', ')) == set(hints)


def test_values_of_other_types_are_refused(tmp_path):
  path = _file(tmp_path, ['c.eval = {"every": 0.5, "examples": True}'])
  with pytest.raises(ConfigError) as caught:
    configuring.load(path)
  words = 'eval.every is 0.5 (expected int), eval.examples is True (expected int)'
  assert str(caught.value) == f'{path}: {words}'


def test_tables_of_a_task_of_ones_own_are_free_and_others_are_not(tmp_path):
  own = [
    'c.task = "mine:make"',
    'c.model = {"anything": 1}',
    'c.data.kind = "mine"',
    'c.data.x = 1',
  ]
  assert configuring.load(_file(tmp_path, own)).model.anything == 1
  with pytest.raises(ConfigError, match=r'no field stepz \(did you mean steps\?\)$'):
    configuring.load(_file(tmp_path, [*own, 'c.stepz = 1']))


@pytest.mark.parametrize('path', _CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_found_by_path_name_and_run(path, tmp_path, monkeypatch):
  config = configuring.load(path, 'smoke')
  (tmp_path / 'run').mkdir()
  record.write(tmp_path / 'run', config, 0, {})
  monkeypatch.setenv('HOME', str(tmp_path))
  for where in (f'{path}:smoke', f'{path.stem}:smoke', '~/run', tmp_path / 'run' / 'config.json'):
    found = configuring.load(where)
    assert found.to_dict() == config.to_dict() and found.is_locked, where


def test_records_of_older_versions_have_current_names_and_all_fields(tmp_path):
  config = configuring.load('sddr:smoke')
  table = config.to_dict()
  table['loss']['share'], table['loss']['sequential'] = table['loss'].pop('fraction'), True
  del table['model']['drop'], table['optimizer']['clip'], table['data']['predictions']['noise']
  path = tmp_path / 'config.json'
  path.write_text(json.dumps(table))
  assert configuring.load(path).to_dict() == config.to_dict()
  path.write_text(json.dumps({**table, 'steps': 'many', 'stepz': 1}))
  with pytest.raises(ConfigError, match="steps is 'many' .expected int., no field stepz"):
    configuring.load(path)


def _changed(**fields):
  config = configuring.defaults()
  flat = {name.replace('__', '.'): value for name, value in fields.items()}
  config.update_from_flattened_dict({'task': 'lensblur', **flat})
  return config


@pytest.mark.parametrize(
  'field, bound', [(field, bound) for bound, x in checks.MINIMUM.items() for field in x.split()]
)
def test_numbers_below_their_minimum_are_refused(field, bound):
  message = rf'^{re.escape(field)} is {bound - 1}(\.0)?; it must be at least {bound}'
  with pytest.raises(ConfigError, match=message):
    configuring.check(_changed(**{field: bound - 1}))
  configuring.check(_changed(**{'batch_size': 1, 'optimizer.end': 0.0, field: bound}))


@pytest.mark.parametrize(
  'fields, machine, message',
  [
    ({'ema': float('nan')}, {}, 'ema is nan (expected finite float)'),
    ({'optimizer__peak': float('inf')}, {}, 'optimizer.peak is inf (expected finite float)'),
    ({'data__covers': (0.1, float('nan'))}, {}, 'data.covers is (0.1, nan) (expected tuple)'),
    ({'ema': 1.0}, {}, 'ema is 1.0; it must be below 1'),
    ({'optimizer__beta1': 1.0}, {}, 'optimizer.beta1 is 1.0; it must be below 1'),
    ({'optimizer__end': 2e-4}, {}, 'optimizer.end is 0.0002; it must be at most 0.0001 (optim'),
    ({'seed': 2**32}, {}, 'seed is 4294967296; it must be below 4294967296'),
    ({'parallel__layouts': ()}, {}, 'parallel.layouts is empty; it must be pairs (regular expr'),
    ({'parallel__layouts': ('.*', 'fsdp')}, {}, "parallel.layouts has '.*'; it must be pairs"),
    ({'parallel__layouts': (('(a', 'fsdp'),)}, {}, "parallel.layouts has ('(a', 'fsdp'); it"),
    ({'initialise__rules': (('.*', 'lod'),)}, {}, "(regular expression, 'load' or 'fresh')"),
    ({'optimizer__weight_decay_factors': ((1, 1.0),)}, {}, 'weight_decay_factors has (1, 1.0);'),
    ({'optimizer__learning_rate_factors': (('.*', -1.0),)}, {}, 'number of at least 0)'),
    ({'optimizer__weight_decay_factors': (('.*', np.inf),)}, {}, 'number of at least 0)'),
    ({'parallel__mode': 'spmd'}, {}, "parallel.mode is 'spmd'; it can be jit, pmap"),
    ({'optimizer__name': 'lion'}, {}, "optimizer.name is 'lion'; it can be adam, adamw"),
    ({'optimizer__schedule': 'step'}, {}, "optimizer.schedule is 'step'; it can be cosine"),
    ({'optimizer__name': 'adam', 'optimizer__weight_decay': 0.1}, {}, 'it must be 0 with adam'),
    ({'optimizer__schedule': 'onecycle'}, {}, 'optimizer.warmup is 0; it must be at least 1'),
    ({'optimizer__schedule': 'exponential', 'optimizer__end': 0.0}, {}, 'optimizer.end is 0.0'),
    ({'optimizer__schedule': 'staircase', 'optimizer__power': 0.5}, {}, 'optimizer.power is 0.5'),
    ({'parallel__devices': 3}, {'devices': 2}, 'parallel.devices is 3; there are 2'),
    ({'parallel__devices': 2}, {'devices': 4, 'processes': 2}, 'parallel.devices is 2; there are'),
    ({'parallel__mode': 'pmap', 'parallel__fsdp': 2}, {'devices': 2}, 'it must be 1 with'),
    ({'parallel__mode': 'pmap'}, {'devices': 2, 'processes': 2}, 'must be jit with 2 processes'),
    ({'parallel__fsdp': 4, 'parallel__devices': 2}, {'devices': 8}, 'fsdp is 4; it must divide 2'),
    ({'batch_size': 12, 'microbatches': 2}, {'devices': 4}, 'multiple of 8 (4 devices x 2 microb'),
    ({'eval__examples': -1}, {}, 'eval.examples is -1; it must be at least 0'),
  ],
)
def test_configs_that_cannot_run_are_refused(fields, machine, message):
  with pytest.raises(ConfigError, match=re.escape(message)):
    configuring.check(_changed(**fields), **machine)


def test_the_defaults_run_on_one_device_and_on_eight():
  for devices in (1, 8):
    configuring.check(_changed(parallel__fsdp=devices), devices=devices)
  configuring.check(_changed(parallel__mode='pmap', parallel__devices=4), devices=8)


def _fields(cls):
  return {field.name for field in dataclasses.fields(cls)} - {'parent', 'name', 'axis_name'}


def _parameters(function):
  return set(inspect.signature(function).parameters)


def test_tables_of_configs_have_the_fields_of_networks_losses_and_renderers():
  blur, depth = _load('lensblur'), _load('deeplens_depth')
  assert set(blur.model) == _fields(LensBlur) - {'radius'}
  expected = _parameters(dof.render_example) - {'record', 'geometry', 'corrupted'}
  assert set(blur.render) == expected | {'disparity', 'band'}
  assert set(depth.model) == _fields(DepthNet)
  assert set(depth.loss) == _parameters(deeplens_depth.terms) - {'outputs', 'inputs'}


def test_every_field_of_the_loss_of_lensblur_is_used():
  image = np.ones((1, 2, 2, 3), np.float32)
  outputs, inputs = {'low': image, 'high': image}, {'target_low': 0 * image, 'target': 0 * image}
  lensblur.terms(outputs, inputs, tiny.lensblur_config().loss)
  for field in tiny.lensblur_config().loss:
    config = tiny.lensblur_config().unlock()
    del config.loss[field]
    with pytest.raises(AttributeError, match=field):
      tasks.make(config, Env())
      lensblur.terms(outputs, inputs, config.loss)
