"""A system outside the package: predicts disparity as a linear function of colour.

One module has a task, a kind of records, the predictor that a run trains, and a config.
"""

import grain
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from depthjax import configuring
from depthjax.data import pipeline
from depthjax.models.predictors.predictor import Predictor
from depthjax.tasks.task import Task


class Shading(nn.Module):
  """Disparity of pixels: [b h w 3] -> [b h w 1]."""

  @nn.compact
  def predict(self, image):
    return nn.Dense(1)(image)


def make(config, env):
  model, start = Shading(), config.model.start

  def apply(variables, inputs):
    return model.apply(variables, inputs['image'], method='predict')

  def error(outputs, inputs):
    return {'squared': jnp.square(outputs - inputs['disparity']).mean((1, 2, 3))}

  return Task(
    init=lambda key, inputs: jax.tree.map(lambda x: start + x, _initial(inputs['image'])),
    apply=apply,
    inputs=lambda frozen, records: records,
    loss=lambda variables, frozen, inputs, key, step: (error(apply(variables, inputs), inputs), {}),
    metrics=error,
    pictures=lambda outputs, inputs: {},
  )


def from_config(config):
  size = config['data']['width']
  shapes = jax.eval_shape(_initial, jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32))
  return Predictor(f'shading {config["model"]["start"]}', Shading(), size), shapes


def _initial(image):
  return Shading().init(jax.random.key(0), image, method='predict')


class _Draw(grain.transforms.RandomMap):
  def random_map(self, element, rng):
    image = rng.random((element, element, 3), np.float32)
    return {'image': image, 'disparity': image.mean(-1, keepdims=True)}


def example(fields):
  return _Draw().random_map(fields['width'], np.random.default_rng(0))


def records(fields, split, seed):
  sizes = [fields['width']] * 16
  return pipeline.examples(sizes, [_Draw()], seed=seed, train=split == 'train')


def get_config(arg=''):
  config, names = configuring.defaults(), configuring.parse_arg(arg, task='', kind='', wrong='')
  config.task, config.data.kind = names.task, names.kind
  config.model.start = 0.1
  config.data.width, config.steps, config.log_every, config.optimizer.peak = 16, 2, 1, 1e-2
  config.eval.examples, config.eval.pictures = 8, 0
  if names.wrong:
    config.wrong = names.wrong
  return config
