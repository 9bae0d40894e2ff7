"""Labelled records: both rules of resizing, augmentation, and labels of other networks."""

import json

import cv2
import numpy as np
import pytest

from depthjax import configuring
from depthjax.data import splits
from depthjax.data.records import labelled
from depthjax.data.records.labelled_config import LabelledConfig
from depthjax.files import labels, weights
from depthjax.files.errors import InputError
from tests.data.made import assert_same, write

_RNG = np.random.default_rng(0)


def _fields(source='', **fields):
  data = configuring.load('tom', 'dpt-large').data.to_dict()
  data['labelled'].update({'multiple': 8, **fields})
  return data | {'label_source': str(source), 'height': 32, 'width': 32}


def _item(h=40, w=60):
  y, x = np.mgrid[:h, :w]
  image = np.stack([3 * x, 5 * y, x + y], -1).astype(np.uint8)
  return {'image': image, 'tom': x < w // 2, 'label': _RNG.random((9, 12), np.float32)}


def _taken(item, seed=0, augment=False, **fields):
  take = labelled.TakeLabelled((32, 32), LabelledConfig(**{'multiple': 8, **fields}), augment)
  return take.random_map(item, np.random.default_rng(seed))


def test_the_crop_rule_resizes_to_the_frame_and_takes_the_middle():
  item = _item()
  record = _taken(item)
  size = (48, 32)  # 60 x 0.8 and 40 x 0.8.
  image = cv2.resize(item['image'].astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
  label = cv2.resize(item['label'], (60, 40), interpolation=cv2.INTER_LINEAR)
  label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
  np.testing.assert_array_equal(record['image'], np.rint(image[:, 8:40].clip(0, 255)))
  np.testing.assert_array_equal(record['label'][..., 0], label[:, 8:40])
  np.testing.assert_array_equal(record['tom'][0, :, 0], np.arange(32) < 16)
  np.testing.assert_array_equal(record['jitter'], np.ones(4))
  example = labelled.example(_fields())
  assert {x: v.dtype for x, v in example.items()} == {x: v.dtype for x, v in record.items()}
  # The nearest multiple of 24 to 32 is 24: the next one is taken, then cropped.
  assert _taken(item, multiple=24)['image'].shape == (32, 32, 3)


def test_the_square_rule_extends_by_reflection():
  item = _item(30, 60)
  record = _taken(item, rule='square')
  image = np.pad(item['image'], ((15, 15), (0, 0), (0, 0)), 'reflect').astype(np.float32)
  expected = cv2.resize(image, (32, 32), interpolation=cv2.INTER_CUBIC)
  np.testing.assert_array_equal(record['image'], np.rint(expected.clip(0, 255)))


def test_augmentation_flips_crops_and_draws_colours():
  item = _item(64, 64)
  item['label'] = np.float32(item['image'][..., 0])  # Follows the flips of the image.
  records = [_taken(item, seed, augment=True, colours=3) for seed in range(200)]
  flips = [record['image'][0, 0, 0] > record['image'][0, -1, 0] for record in records]
  jitters = np.stack([record['jitter'] for record in records])
  changed = (jitters != 1).any(1)
  assert 70 < np.sum(flips) < 130 and 70 < changed.sum() < 130
  assert 0.8 <= jitters[:, 0].min() < jitters[:, 0].max() <= 1.2
  assert 0.4 <= jitters[:, 1:].min() < jitters[:, 1:].max() <= 1.2**2
  gains = jitters[changed][:, 1:]
  assert np.ptp(gains, axis=1).min() > 0 and gains.mean(1).min() < 0.65  # One brightness for all.
  for record, flip in zip(records[:20], flips, strict=False):
    np.testing.assert_allclose(record['label'][..., 0], record['image'][..., 0], atol=4)
    assert (record['tom'][0, 0, 0] == 0) == flip
  assert records[0]['colours'].shape == (3, 3) and (records[0]['colours'] < 1).all()
  wide = [_taken(_item(32, 96), seed, augment=True)['image'][0, :, 0].min() for seed in range(40)]
  assert len(set(wide)) > 10  # Random crops.
  assert_same(records[0], _taken(item, 0, augment=True, colours=3))


def test_batches_of_a_folder_and_labels_of_other_weights(tmp_path):
  (tmp_path / 'labels').mkdir()
  for i in range(6):
    write(tmp_path / 'images' / f'{i}.png', _item()['image'])
    write(tmp_path / 'masks' / f'{i}.png', 0 * _item()['image'])
    np.save(tmp_path / 'labels' / f'{i}.npy', np.full((4, 4), i, np.float32))
  fields = _fields(f'{tmp_path}=1,{tmp_path}/=1')
  batch = splits.batches(fields, 'train', seed=0, batch_size=2)[3]
  assert {x: v.shape[1:] for x, v in batch.items()} == {
    x: np.shape(v) for x, v in splits.example(fields).items()
  }
  path, variables = tmp_path / 'start.safetensors', {'params': {'a': np.ones(3)}}
  weights.save_weights(path, variables, {'task': 'tom'})
  splits.check_start(fields, path)  # Nothing is known of the labels.
  digest = weights.digest(weights.load_weights(path)[0])
  record = tmp_path / 'labels' / labels.RECORD
  record.write_text(json.dumps({'predictor': 'x', 'sha256': digest}))
  splits.check_start(fields, path)
  record.write_text(json.dumps({'predictor': 'midas', 'sha256': 'f'}))
  with pytest.raises(
    InputError, match='labels.json: has labels of midas, not of .*safetensors; ex'
  ):
    splits.check_start(fields, path)
  record.rename(record.with_name('easy.json'))
  (record.parent / 'easy').mkdir()
  record.with_name('easy.json').rename(record.parent / 'easy' / record.name)
  with pytest.raises(InputError, match='easy/labels.json: has labels of midas, not of random wei'):
    splits.check_start(fields, '')
  with pytest.raises(ValueError, match="data.label_source is ''; it must be a folder"):
    splits.batches(_fields(), 'train', seed=0, batch_size=2)
  with pytest.raises(ValueError, match="rule is 'pad'; it can be crop or square"):
    splits.example(_fields(rule='pad'))
