"""Fields and arguments of a run: what is right is typed, what is wrong is named."""

import dataclasses
import functools
import importlib.util
import inspect
import re

import ml_collections
import numpy as np
import pytest

from depthjax import configuring, tasks
from depthjax.configuring import ConfigError
from depthjax.data.records import scene
from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.data.scenes.draw import SceneConfig
from depthjax.models.deeplens import depthnet
from depthjax.models.deeplens import lensblur as lensblur_models
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.models.deeplens.lensblur import LensBlur
from depthjax.tasks import deeplens_depth, dof, lensblur
from depthjax.tasks.task import Env
from tests import tiny

_REFINEMENT = ('predictions', 'depth_source')  # What `data` has for one task alone.
_CONFIGS = sorted((tiny.ROOT / 'configs').glob('*.py'))


@functools.cache
@pytest.mark.parametrize('size', ['smoke', 'small', 'medium', 'base'])
@pytest.mark.parametrize('stage', ['both', 'first', 'second', 'broad'])
def test_every_stage_of_refinement_is_whole(size, stage):
  config = _module(tiny.ROOT / 'configs' / 'sddr.py').get_config(f'{size},stage={stage}')
  configuring.check(config)
  fields = config.data.to_dict()
  scene.config(fields)
  seen = PredictionConfig(**fields['predictions'])
  # Windows serve labels alone, and labels the losses that ask for them.
  assert (seen.levels > 0) == (config.loss.gradient > 0) == (stage in ('both', 'second'))
  assert (seen.max_coarsening > 1) == (seen.white_low > 0) == (stage == 'broad')


def _module(path):
  spec = importlib.util.spec_from_file_location(f'config_{path.stem}', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _sizes(path):
  """The sizes that a config file says it has."""
  with pytest.raises(ConfigError, match='size is ') as caught:
    _module(path).get_config('no-such-size')
  return re.search('it can be (.*)', str(caught.value))[1].split(', ')


_SIZED = [(path, size) for path in _CONFIGS for size in _sizes(path)]


def _fields(size='base', width=4, rate=0.5, fast=False):
  return {'size': size, 'width': width, 'rate': rate, 'fast': fast}


@pytest.mark.parametrize(
  'arg, expected',
  [
    ('', _fields()),
    ('small', _fields(size='small')),
    ('small,width=7', _fields(size='small', width=7)),
    ('size=small,rate=2,fast', _fields(size='small', rate=2.0, fast=True)),
    ('fast=true', _fields(fast=True)),
    ('fast=1', _fields(fast=True)),
    ('fast=TRUE', _fields(fast=True)),
    ('fast=False', _fields()),
    ('width=-3,rate=1e-3', _fields(width=-3, rate=1e-3)),
  ],
)
def test_arguments_take_the_types_of_their_defaults(arg, expected):
  parsed = configuring.parse_arg(arg, **_fields())
  assert parsed.to_dict() == expected
  assert {n: type(v) for n, v in parsed.items()} == {n: type(v) for n, v in expected.items()}


@pytest.mark.parametrize(
  'arg, message',
  [
    ('wide=3', "'wide=3': no field 'wide'; there are size, width, rate, fast"),
    ('width=3.5', "width='3.5': not of type int"),
    ('width=', "width='': not of type int"),
    ('rate=quick', "rate='quick': not of type float"),
    ('fast=maybe', "fast='maybe': true or false"),
    ('small,=3', "'=3': no field ''"),
  ],
)
def test_wrong_arguments_are_named(arg, message):
  with pytest.raises(ConfigError, match=re.escape(message)):
    configuring.parse_arg(arg, **_fields())


def _changed(**fields):
  config = configuring.defaults()
  config.task = 'lensblur'
  flat = {name.replace('__', '.'): value for name, value in fields.items()}
  config.update_from_flattened_dict(flat)
  return config


_AT_LEAST = {
  1: (
    'batch_size microbatches parallel.fsdp eval.examples input.threads checkpoint.keep log_every'
  ),
  0: (
    'steps optimizer.warmup optimizer.clip optimizer.weight_decay eval.every eval.pictures '
    'checkpoint.every checkpoint.keep_every parallel.devices input.workers'
  ),
}


@pytest.mark.parametrize(
  'field, bound',
  [(field, bound) for bound, fields in _AT_LEAST.items() for field in fields.split()],
)
def test_numbers_below_their_least_are_refused(field, bound):
  config = _changed(**{field: bound - 1})
  message = rf'^{re.escape(field)} is {bound - 1}(\.0)?; it must be at least {bound}'
  with pytest.raises(ConfigError, match=message):
    configuring.check(config)
  configuring.check(_changed(**{'batch_size': 1, field: bound}))


@pytest.mark.parametrize(
  'fields, where, message',
  [
    ({'task': ''}, {}, "task is ''; name a module"),
    ({'ema': 1.0}, {}, 'ema is 1.0; a decay in [0, 1)'),
    ({'ema': -0.1}, {}, 'ema is -0.1; a decay in [0, 1)'),
    ({'ema': float('nan')}, {}, 'ema is nan; a decay'),
    ({'parallel__mode': 'spmd'}, {}, "parallel.mode is 'spmd'; jit or pmap"),
    ({'optimizer__name': 'lion'}, {}, "optimizer.name is 'lion'; it can be adam, adamw"),
    ({'optimizer__schedule': 'step'}, {}, "optimizer.schedule is 'step'; it can be cosine"),
    ({'optimizer__name': 'adam', 'optimizer__weight_decay': 0.1}, {}, 'adam has none, adamw does'),
    ({'optimizer__schedule': 'onecycle'}, {}, 'optimizer.warmup is 0; onecycle'),
    ({'optimizer__power': -1.0}, {}, 'optimizer.power is -1.0'),
    ({'optimizer__schedule': 'exponential', 'optimizer__end': 0.0}, {}, 'optimizer.end is 0.0'),
    ({'parallel__devices': 3}, {'devices': 2}, 'parallel.devices is 3; there are 2'),
    (
      {'parallel__devices': 2},
      {'devices': 4, 'processes': 2},
      'parallel.devices is 2; there are 4 (0 takes all)',
    ),
    (
      {'parallel__mode': 'pmap', 'parallel__fsdp': 2},
      {'devices': 2},
      'parallel.fsdp splits parameters under jit only',
    ),
    ({'parallel__mode': 'pmap'}, {'devices': 2, 'processes': 2}, 'pmap is for one process'),
    ({'parallel__fsdp': 3}, {'devices': 8}, 'parallel.fsdp is 3; it must divide 8 devices'),
    (
      {'parallel__fsdp': 4, 'parallel__devices': 2},
      {'devices': 8},
      'parallel.fsdp is 4; it must divide 2 devices',
    ),
    (
      {'batch_size': 12},
      {'devices': 8},
      'batch_size is 12; it must be a multiple of 8 (8 devices x 1 microbatches)',
    ),
    (
      {'microbatches': 3},
      {'devices': 2},
      'batch_size is 8; it must be a multiple of 6 (2 devices x 3 microbatches)',
    ),
    ({'eval__examples': 12}, {}, 'eval.examples is 12; it must be a multiple of 8 (batch_size)'),
  ],
)
def test_what_cannot_run_is_named(fields, where, message):
  with pytest.raises(ConfigError, match=re.escape(message)):
    configuring.check(_changed(**fields), **where)


def test_the_defaults_run_on_one_device_and_on_eight():
  for devices in (1, 8):
    configuring.check(_changed(), devices=devices)
    configuring.check(_changed(parallel__fsdp=devices), devices=devices)
  configuring.check(_changed(parallel__mode='pmap', parallel__devices=4), devices=8)
  three = _changed(parallel__devices=3, batch_size=3, eval__examples=3)
  configuring.check(three, devices=8)


def test_an_error_of_a_config_is_no_value_error():
  """absl would wrap that into pages of its own where a config file raises it."""
  assert not issubclass(ConfigError, (ValueError, TypeError))


def test_the_scenes_of_a_config_are_those_that_the_data_draws():
  scenes = configuring.scenes().to_dict()
  assert scenes.pop('photo_source') == 'builtin' and scenes.pop('foreground_source') == ''
  assert scenes.pop('scene_source') == '' and scenes.pop('kind') == 'scene'
  assert scenes == dataclasses.asdict(SceneConfig())


def test_the_predictions_of_a_config_are_those_that_the_data_has():
  assert configuring.predictions().to_dict() == dataclasses.asdict(PredictionConfig())


@pytest.mark.parametrize('path, size', _SIZED, ids=lambda x: getattr(x, 'stem', x))
def test_every_size_of_every_config_is_whole(path, size):
  config = _module(path).get_config(size)
  configuring.check(config)
  defaults = configuring.defaults()
  for name, value in config.items():
    assert type(value) is type(defaults[name]), name
    if name not in ('model', 'loss', 'render') and isinstance(value, ml_collections.ConfigDict):
      known = {*defaults[name].keys(), *(_REFINEMENT if 'predictions' in value else ())}
      assert {*value.keys()} == known
  assert config.keys() == defaults.keys()
  fields = config.data.to_dict()
  scene.config(fields)
  PredictionConfig(**fields.get('predictions', {}))
  with pytest.raises(AttributeError, match='Did you mean "steps"'):
    config.lock().stepz = 3


def test_the_fields_of_lensblur_are_those_of_its_model_and_its_rendering():
  config = _module(tiny.ROOT / 'configs/lensblur.py').get_config()
  model = {field.name for field in dataclasses.fields(LensBlur)} - {'parent', 'name'}
  assert set(config.model) == model - {'axis_name', 'radius'}
  render = set(inspect.signature(dof.render_example).parameters) - {'record', 'pad', 'tilted'}
  assert set(config.render) == render - {'corrupted'} | {'disparity', 'band'}
  assert lensblur_models.network(config.model, radius=4).dtype == np.float32


@pytest.mark.parametrize('field', ['kind', 'alpha', 'upsampler', 'differentiate_weights'])
def test_the_loss_of_lensblur_needs_its_fields_and_has_no_other(field):
  config = tiny.lensblur_config().unlock()
  assert field in config.loss and len(config.loss) == 4
  image = np.ones((1, 2, 2, 3), np.float32)
  outputs, inputs = {'low': image, 'high': image}, {'target_low': 0 * image, 'target': 0 * image}

  def loss():
    tasks.make(config, Env())
    return lensblur.terms(outputs, inputs, config.loss)

  loss()
  del config.loss[field]
  with pytest.raises(AttributeError, match=field):
    loss()


def test_the_fields_of_depth_are_those_of_its_model_and_its_loss():
  config = _module(tiny.ROOT / 'configs/deeplens_depth.py').get_config()
  model = {field.name for field in dataclasses.fields(DepthNet)} - {'parent', 'name'}
  assert set(config.model) == model - {'axis_name'}
  terms = inspect.signature(deeplens_depth.terms).parameters
  assert set(config.loss) == set(terms) - {'outputs', 'inputs'}
  assert depthnet.network(config.model).width == 64


@pytest.mark.parametrize('preset', ['release', 'paper'])
def test_arguments_of_lensblur_reach_its_config(preset):
  get_config = _module(tiny.ROOT / 'configs/lensblur.py').get_config
  config = get_config(f'small,preset={preset}')
  assert config.model.preset == preset and config.steps == get_config('small').steps
  assert get_config().steps == get_config('base').steps != config.steps
