"""Segmentation of glass and mirrors: inputs, loss, metrics, pictures, refused fields."""

import jax
import numpy as np
import pytest

from depthjax import configuring, tasks
from depthjax.losses import segment as losses
from depthjax.tasks import segment
from depthjax.tasks.task import Env
from tests.tasks import small


def _make(**fields):
  fields = {'model.width': 2, 'data.height': 32, 'data.width': 32, **fields}
  return tasks.make(configuring.with_fields(configuring.load('segment', 'smoke'), fields), Env())


def test_inputs_are_images_and_masks_of_scenes(monkeypatch):
  seen = {name: i + np.zeros((2, 3, 4)) for i, name in enumerate(('image', 'tom', 'naive', 'true'))}

  def render(record, geometry):
    assert geometry.materials
    return record

  monkeypatch.setattr(segment.tom, 'render_example', render)
  inputs = _make().inputs({}, seen)
  assert {name: x.mean() for name, x in inputs.items()} == {'image': 0, 'tom': 1}


def test_labelled_records_are_images_and_masks_with_other_colours():
  rng = np.random.default_rng(0)
  records = {'image': rng.integers(0, 256, (2, 8, 8, 3), np.uint8), 'index': np.arange(2)}
  records |= {name: rng.random((2, 8, 8, 1), np.float32) for name in ('tom', 'label')}
  inputs = _make(**{'data.kind': 'labelled'}).inputs
  np.testing.assert_allclose(inputs({}, records)['image'], records['image'] / 255, rtol=1e-6)
  jitter = np.float32([[2, 1, 1, 0.5], [1, 1, 1, 1]])
  result = inputs({}, {**records, 'jitter': jitter})
  expected = (records['image'][0] / 255) ** 2 * [1, 1, 0.5]
  np.testing.assert_allclose(result['image'][0], expected, atol=1e-5)
  np.testing.assert_array_equal(result['tom'], records['tom'])


def test_steps_down_the_gradient_reduce_the_loss_and_statistics_change(monkeypatch):
  monkeypatch.setattr(segment.segmenters, 'describe', small.describe)
  image = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
  task, inputs = _make(), {'image': image, 'tom': np.float32(image[..., :1] > 0.5)}
  variables = jax.device_get(jax.jit(task.init)(jax.random.key(0), inputs))

  @jax.jit
  def step(variables):
    def total(params):
      terms, state = task.loss({**variables, 'params': params}, {}, inputs, jax.random.key(0), 0)
      return sum(terms.values()).mean(), (terms, state)

    (loss, (terms, state)), grads = jax.value_and_grad(total, has_aux=True)(variables['params'])
    params = jax.tree.map(lambda x, dx: x - 0.3 * dx, variables['params'], grads)
    return {'params': params, **state}, loss, terms

  new, first, terms = step(variables)
  assert terms.keys() == {'bce', 'dice'} and terms['bce'].shape == (2,)
  changed = jax.tree.map(lambda x, y: (x != y).all(), new['batch_stats'], variables['batch_stats'])
  assert all(jax.tree.leaves(changed))
  for _ in range(5):
    new, last, _ = step(new)
  assert last < first - 0.02


def test_metrics_count_pixels_and_pictures_show_the_probability():
  tom = np.zeros((3, 1, 4, 1), np.float32)
  tom[0, 0, :2], tom[1, 0, 0] = 1, 1
  found = np.float32([[1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]).reshape(tom.shape)
  logits, inputs = 8 * (2 * found - 1), {'tom': tom, 'image': np.zeros((3, 1, 4, 3), np.float32)}
  scores = _make().scores(logits, inputs)
  np.testing.assert_array_equal(scores['iou'].value[:2], [0.5, 0])
  np.testing.assert_array_equal(scores['iou'].weight, [1, 1, 0])
  np.testing.assert_array_equal(scores['bce'].value, losses.bce(logits, tom))
  cells = np.split(_make().pictures(logits, inputs)['masks'], 3, axis=2)
  np.testing.assert_allclose(cells[1][..., :1], found, atol=1e-3)
  np.testing.assert_array_equal(cells[2][..., :1], tom)


@pytest.mark.parametrize(
  'fields, words',
  [
    ({'data.height': 36}, 'data.height is 36; it must be a multiple of 16'),
    ({'model.network': 'dpt', 'data.width': 40}, 'data.width is 40; it must be a multiple of 32'),
    ({'model.network': 'sam'}, "model is not the description of one of depthnet, .*midas .'sam'"),
    ({'data.kind': 'masked'}, "data.kind is 'masked'; it must be 'scene' or 'labelled'"),
  ],
)
def test_other_fields_are_refused(fields, words):
  with pytest.raises(ValueError, match=words):
    _make(**fields)
