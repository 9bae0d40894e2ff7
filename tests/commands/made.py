"""Initial weights of tiny networks, written as a training run does."""

import functools

import jax
import numpy as np

from depthjax.files import weights
from depthjax.models import layered
from depthjax.models.deeplens import depthnet, lensblur
from tests import tiny


def save_lensblur(path):
  config = tiny.lensblur_config().to_dict()
  _save(path, 'lensblur', lensblur.initial, lensblur.from_config(config)[0], config)


def save_depth(path):
  config = tiny.depth_config().to_dict()
  _save(path, 'deeplens_depth', _depth, depthnet.network(config['model']), config)


def save_layered(path):
  fields = {'preset': 'small', 'widths': [8, 16, 40, 16], 'depths': [1, 1, 1, 1]}
  fields |= {'projection': 24, 'fusion': 8}
  config = {'model': fields, 'data': {'height': 64, 'width': 64}}
  rng = np.random.default_rng(0)  # Compiling the initialisation takes longer.
  draw = lambda x: 0.1 * rng.normal(size=x.shape).astype(np.float32)  # noqa: E731
  variables = jax.tree.map(draw, layered.from_config(config)[1])
  variables['batch_stats'] = jax.tree.map(np.abs, variables['batch_stats'])  # Variances.
  weights.save_weights(path, variables, {'task': 'layered', 'step': 0, 'config': config})


def _depth(model):
  return model.init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32), train=False)


@functools.cache
def _variables(initial, model):
  return jax.device_get(jax.jit(functools.partial(initial, model))())


def _save(path, task, initial, model, config):
  metadata = {'task': task, 'step': 0, 'config': config}
  weights.save_weights(path, _variables(initial, model), metadata)
