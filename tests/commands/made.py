"""Initial weights of tiny networks, written as a training run does."""

import functools

import jax

from depthjax.files import weights
from depthjax.models.deeplens import depthnet
from depthjax.models.deeplens.lensblur import LensBlur, initial
from tests import tiny


def save_lensblur(path):
  config = tiny.lensblur_config()
  names = ('width', 'upsampler_width', 'features', 'upsampler_features')
  model = LensBlur(**{name: config.model[name] for name in names})
  _save(path, 'lensblur', initial, model, config)


def save_depth(path):
  model = depthnet.DepthNet('paper', 2)
  _save(path, 'deeplens_depth', depthnet.initial, model, tiny.depth_config())


@functools.cache
def _variables(initial, model):
  return jax.device_get(jax.jit(functools.partial(initial, model))())


def _save(path, task, initial, model, config):
  metadata = {'task': task, 'step': 0, 'config': config.to_dict()}
  weights.save_weights(path, _variables(initial, model), metadata)
