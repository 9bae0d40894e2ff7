"""Depth of transparent and mirror surfaces (ToM) from one image, learned from virtual labels.

A predictor's disparity of images whose glass and mirrors are painted is the label of the same
images unpainted (Costanzino et al., ICCV 2023). Images are those of scenes or of labelled records.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from depthjax.losses import tom as losses
from depthjax.metrics import booster
from depthjax.metrics import image as image_metrics
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors import runs
from depthjax.ops import alignment, colour, painting
from depthjax.ops import disparity as disparity_lib
from depthjax.tasks import scene
from depthjax.tasks.task import Env, Task, trained

Images = dict[str, jax.Array]
# The labels of each kind of records, as in configs/tom.py.
_LABELS = {
  'scene': ('naive', 'true', 'plain', 'virtual'),
  'labelled': ('stored', 'plain', 'virtual'),
}
# The depth of a scene: 1 / (_FAR + (1 - _FAR) disparity), from 1 to 4, and its limits in metrics.
_FAR = 0.25
_LIMITS = {'least': 0.1, 'most': 10.0}


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/tom.py.

  Raises ValueError: unknown networks or labels, or fields and frozen networks that do not fit.
  """
  predictor = runs.describe(config.model.to_dict(), env.axis_name)
  _check(config, env, predictor)
  geometry = scene.geometry(config.data)
  read = {'scene': functools.partial(render_example, geometry=geometry), 'labelled': unpack}
  examples = env.map_examples(read[config.data.kind])

  def inputs(frozen, records):
    seen = examples(records)
    label = _label(config.loss, env, frozen, seen)
    if 'jitter' in seen:  # After labelling, which is of the image as it is.
      seen['image'] = colour.jittered(seen['image'], seen.pop('jitter'))
    return {**seen, 'label': label}

  def loss(variables, frozen, inputs, key, step):
    del frozen, key, step
    output, state = trained(predictor, variables, inputs['image'])
    terms = losses.TERMS[config.loss.terms]
    return terms(predictors.near_large(predictor, output), inputs['label']), state

  return Task(
    init=lambda key, inputs: predictor.network.init(key, inputs['image'], False),
    apply=lambda variables, inputs: predictors.raw(predictor, variables, inputs['image']),
    inputs=inputs,
    loss=loss,
    metrics=metrics,
    pictures=pictures,
  )


def render_example(record: Images, geometry: scene.Geometry) -> Images:
  """What `_label` chooses from, for one scene: sRGB [h w 3] and maps [h w 1]; its colours [n 3]."""
  seen = scene.appearance(scene.unpack(record, geometry))
  maps = {'true': disparity_lib.normalise(seen.disparity), 'disparity': seen.disparity}
  maps |= {'naive': disparity_lib.normalise(seen.naive)}
  maps |= {'tom': seen.tom, 'index': record['index']}
  return {'image': scene.encode(seen.image), **maps, **_given(record, 'colours')}


def unpack(record: Images) -> Images:
  """The same for one record of data.records.labelled, with its stored label and colour jitter."""
  maps = {'image': record['image'] / jnp.float32(255), 'stored': record['label']}
  return {**maps, **_given(record, 'tom', 'index', 'jitter', 'colours')}


def metrics(prediction: jax.Array, inputs: Images) -> dict[str, Any]:
  """Errors of each example on all pixels, on ToM and on others.

  Scenes: those of metrics.booster over the true disparity. Labelled records: the mean absolute
  difference to the label after one scale and shift, in the units of the label.
  """
  tom = inputs['tom']
  if 'disparity' in inputs:
    true = _FAR + (1 - _FAR) * inputs['disparity']
    return booster.scores(prediction, true, jnp.ones_like(tom), tom, **_LIMITS)
  aligned = alignment.align(prediction, inputs['label'])
  kinds = {'all': jnp.ones_like(tom), 'tom': tom, 'other': 1 - tom}
  mae = functools.partial(image_metrics.mae, aligned, inputs['label'])
  return {f'mae_{name}': mae(weight) for name, weight in kinds.items()}


def pictures(prediction: jax.Array, inputs: Images) -> Images:
  """Image, mask, prediction, label, and for scenes the true disparity, side by side."""
  maps = [prediction, inputs['label'], *_given(inputs, 'disparity').values()]
  row = [inputs['tom'], *map(disparity_lib.normalise, maps)]
  row = [jnp.broadcast_to(x, inputs['image'].shape) for x in row]
  return {'depth': jnp.concatenate([inputs['image'], *row], axis=2)}


def _given(record, *names):
  return {name: record[name] for name in names if name in record}


def _label(fields, env, frozen, seen):
  """The label of a batch [b h w 1]; leaves in `seen` what metrics and pictures need."""
  stored = {name: seen.pop(name) for name in ('naive', 'true', 'stored') if name in seen}
  colours = seen.pop('colours', None)
  if fields.labels in stored:
    return stored[fields.labels]
  predict = functools.partial(predictors.raw, env.frozen['predictor'], frozen['predictor'])
  if fields.labels == 'plain':
    return predict(seen['image'])
  mask = seen['tom']
  if fields.masks == 'segmenter':
    networks = env.frozen['segmenter'], frozen['segmenter']
    mask = predictors.output(*networks, seen['image']) > 0  # Logits.
  return painting.virtual(predict, seen['image'], mask, colours)


def _check(config, env, predictor):
  """Raises ValueError if labels, masks, colours, frozen networks or frame do not fit together."""
  data, fields = config.data, config.loss
  virtual, labelled = fields.labels == 'virtual', data.kind == 'labelled'
  for name, reason, known in (
    ('terms', f'task={config.task!r}', losses.TERMS),
    ('labels', f'data.kind={data.kind!r}', _LABELS[data.kind]),
    ('masks', f'loss.labels={fields.labels!r}', ('true', 'segmenter')[: 1 + virtual]),
  ):
    if fields[name] not in known:
      right = f'with {reason} it can be {", ".join(known)}'
      raise ValueError(f'loss.{name} is {fields[name]!r}; {right}')
  for name, need in (
    ('predictor', fields.labels in ('plain', 'virtual')),
    ('segmenter', fields.masks == 'segmenter'),
  ):
    if need != (name in env.frozen):
      wrong, right = ("is ''", 'must be given') if need else ('is given', 'must be empty')
      asks = f'loss.labels={fields.labels!r}, loss.masks={fields.masks!r}'
      raise ValueError(f'{name}.weights {wrong}; it {right} with {asks}')
  if virtual and not (data.labelled if labelled else data).colours:
    name = 'data.labelled.colours' if labelled else 'data.colours'
    raise ValueError(f"{name} is 0; it must be at least 1 with loss.labels='virtual'")
  if fields.labels == 'stored' and not data.labelled.labels:
    raise ValueError("data.labelled.labels is ''; it must be a folder with loss.labels='stored'")
  for network in (predictor, *env.frozen.values()):
    scene.check_frame(data, network.multiple)
