"""Initial weights of tiny networks, written as a training run does."""

import functools

import jax

from depthjax.files import weights
from depthjax.models.deeplens import depthnet, lensblur
from tests import tiny


def save_lensblur(path):
  config = tiny.lensblur_config().to_dict()
  _save(path, 'lensblur', lensblur.initial, lensblur.from_config(config)[0], config)


def save_depth(path):
  config = tiny.depth_config().to_dict()
  _save(path, 'deeplens_depth', depthnet.initial, depthnet.network(config['model']), config)


@functools.cache
def _variables(initial, model):
  return jax.device_get(jax.jit(functools.partial(initial, model))())


def _save(path, task, initial, model, config):
  metadata = {'task': task, 'step': 0, 'config': config}
  weights.save_weights(path, _variables(initial, model), metadata)
