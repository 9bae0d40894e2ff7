"""Segmentation of glass and mirrors: inputs, loss, metrics, pictures, refused fields."""

import functools

import jax
import numpy as np
import pytest

from depthjax import configuring, tasks
from depthjax.losses import segment as losses
from depthjax.tasks import scene
from depthjax.tasks.task import Env
from tests.tasks.layered import ENV, PAD, SIZE, batch, record, thirds

_FIELDS = {'model.width': 2, 'data.height': SIZE, 'data.width': SIZE, 'data.pad': PAD}


def _make(env=ENV, **fields):
  config = configuring.load('segment', 'smoke')
  return tasks.make(configuring.with_fields(config, {**_FIELDS, **fields}), env)


@functools.cache
def _inputs():
  """Glass on the left third and an opaque layer in the middle; a mirror in the middle."""
  rows = (record(material=[m, n, 0], seed=3) for m, n in ((1, 0), (0, 2)))
  records = batch(*rows)
  records['material'], records['seed'] = (
    records[x].astype(t) for x, t in (('material', np.uint8), ('seed', np.uint32))
  )
  return records, jax.device_get(jax.jit(functools.partial(_make().inputs, {}))(records))


def test_inputs_are_the_appearance_of_the_scenes():
  records, inputs = _inputs()
  np.testing.assert_array_equal(thirds(inputs['tom']), [[1, 0, 0], [0, 1, 0]])
  form = scene.Geometry(PAD, (), False, True)
  one = {name: x[0] for name, x in records.items()}
  seen = jax.jit(lambda record: scene.appearance(scene.unpack(record, form)).image)(one)
  np.testing.assert_allclose(inputs['image'][0], scene.encode(seen), atol=1e-5)


def test_labelled_records_are_images_and_masks_with_other_colours():
  rng = np.random.default_rng(0)
  records = {'image': rng.integers(0, 256, (2, 8, 8, 3), np.uint8), 'index': np.arange(2)}
  records |= {name: rng.random((2, 8, 8, 1), np.float32) for name in ('tom', 'label')}
  inputs = _make(Env(), **{'data.kind': 'labelled'}).inputs
  np.testing.assert_allclose(inputs({}, records)['image'], records['image'] / 255, rtol=1e-6)
  jitter = np.float32([[2, 1, 1, 0.5], [1, 1, 1, 1]])
  result = inputs({}, {**records, 'jitter': jitter})
  expected = (records['image'][0] / 255) ** 2 * [1, 1, 0.5]
  np.testing.assert_allclose(result['image'][0], expected, atol=1e-5)
  np.testing.assert_array_equal(result['tom'], records['tom'])


def test_steps_down_the_gradient_reduce_the_loss_and_statistics_change():
  task, (_, inputs) = _make(), _inputs()
  variables = jax.device_get(jax.jit(task.init)(jax.random.key(0), inputs))

  @jax.jit
  def step(variables):
    def total(params):
      terms, state = task.loss({**variables, 'params': params}, {}, inputs, jax.random.key(0), 0)
      return sum(terms.values()).mean(), (terms, state)

    (loss, (terms, state)), grads = jax.value_and_grad(total, has_aux=True)(variables['params'])
    params = jax.tree.map(lambda x, dx: x - 0.03 * dx, variables['params'], grads)
    return {'params': params, **state}, loss, terms

  new, first, terms = step(variables)
  assert terms.keys() == {'bce', 'dice'} and terms['bce'].shape == (2,)
  assert any(
    (x != y).any()
    for x, y in zip(*(jax.tree.leaves(z['batch_stats']) for z in (new, variables)), strict=True)
  )
  for _ in range(5):
    new, last, _ = step(new)
  assert last < first - 0.02


def test_metrics_count_pixels_and_pictures_show_the_probability():
  tom = np.zeros((3, 1, 4, 1), np.float32)
  tom[0, 0, :2], tom[1, 0, 0] = 1, 1
  found = np.float32([[1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]).reshape(tom.shape)
  logits, inputs = 8 * (2 * found - 1), {'tom': tom, 'image': np.zeros((3, 1, 4, 3), np.float32)}
  scores = _make().scores(logits, inputs)
  expected = {'iou': [0.5, 0, np.nan], 'precision': [0.5, np.nan, 0], 'recall': [1, 0, np.nan]}
  for name, values in expected.items():
    value = np.where(scores[name].weight > 0, scores[name].value, np.nan)
    np.testing.assert_array_equal(value, np.float32(values))
  np.testing.assert_array_equal(scores['bce'].value, losses.bce(logits, tom))
  cells = np.split(_make().pictures(logits, inputs)['masks'], 3, axis=2)
  np.testing.assert_allclose(cells[1][..., :1], found, atol=1e-3)
  np.testing.assert_array_equal(cells[2][..., :1], tom)


@pytest.mark.parametrize(
  'fields, words',
  [
    ({'data.height': 36}, 'data.height is 36; it must be a multiple of 8'),
    ({'model.network': 'dpt', 'data.width': 40}, 'data.width is 40; it must be a multiple of 32'),
    ({'model.network': 'sam'}, "model is not the description of one of depthnet, .*midas .'sam'"),
    ({'data.kind': 'masked'}, "data.kind is 'masked'; it must be 'scene' or 'labelled'"),
  ],
)
def test_other_fields_are_refused(fields, words):
  with pytest.raises(ValueError, match=words):
    _make(Env(), **fields)
