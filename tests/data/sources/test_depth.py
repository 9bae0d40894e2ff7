"""Sources of disparity: datasets, folders and the built-in image; splits, batches, errors."""

import logging
import pickle

import cv2
import numpy as np
import pytest

from depthjax import configuring, windows
from depthjax.data import pipeline, splits
from depthjax.data.records import predictions
from depthjax.data.sources import depth as depth_sources
from depthjax.files import depth
from depthjax.files.errors import InputError
from depthjax.prepare import writing
from tests.data import made
from tests.prepare import made as datasets

SIDE, WINDOW, LEVELS = 32, 16, 2


def fields(**changes):
  """A small config's `data`."""
  data = configuring.scenes()
  data.kind, data.predictions, data.depth_source = 'predictions', configuring.predictions(), ''
  data.photo_source, data.height, data.width, data.pad = '', SIDE, SIDE, 0
  data.predictions.levels, data.predictions.window_size = LEVELS, WINDOW
  data.predictions.augment = False
  data.update_from_flattened_dict(changes)
  return data.to_dict()


def batch(split='train', *, batch_size=2, seed=0, count=0, **changes):
  ds = splits.batches(fields(**changes), split, seed=seed, batch_size=batch_size, count=count)
  return pickle.loads(pickle.dumps(ds))[0]


def maps(number):
  """Synthetic target, low and high: float32 [24 40]."""
  rng = np.random.default_rng(number)
  target = cv2.resize(made.truth(), (40, 24), interpolation=cv2.INTER_AREA)
  low = cv2.resize(cv2.resize(target, (8, 8)), (40, 24)) * rng.uniform(0.5, 2) + number
  high = target + rng.normal(0, 0.01, (24, 40)).astype(np.float32)
  return {'target': target, 'low': low, 'high': high}


def store(folder, number, kind='npy'):
  folder.mkdir(parents=True)
  for name, values in maps(number).items():
    values = predictions.normalise(values) if kind == 'png' else values
    depth.write_depth(folder / f'{name}.{kind}', values.astype(np.float32))
  return folder


@pytest.fixture(name='root')
def fixture_root(tmp_path):
  for number in range(8):
    store(tmp_path / 'stored' / f'scene{number}', number)
  return tmp_path / 'stored'


def opened(root, split='train'):
  return depth_sources.Stored(str(root), split, SIDE, levels=LEVELS, window_size=WINDOW)


@pytest.mark.parametrize('kind', ['npy', 'pfm', 'png'])
def test_stored_maps_are_resized_to_squares(tmp_path, kind):
  store(tmp_path / 'a' / 'one', 5, kind)
  record = opened(tmp_path / 'a', 'all')[0]
  assert record['valid'].all() and record['valid'].shape == (SIDE, SIDE)
  for name, stored in zip(('disparity', 'low', 'high'), maps(5).values(), strict=True):
    want = cv2.resize(stored, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    got = predictions.normalise(record[name])
    assert record[name].dtype == np.float32
    np.testing.assert_allclose(got, predictions.normalise(want), atol=1e-3)


def test_missing_windows_are_cut_from_the_high_prediction(root):
  stored = np.random.default_rng(0).random((9, 11)).astype(np.float32)
  (root / 'scene0' / 'windows').mkdir()
  depth.write_depth(root / 'scene0' / 'windows' / '2_1_0.npy', stored)
  record = opened(root, 'all')[0]
  assert record['windows'].shape == (windows.count(LEVELS), WINDOW, WINDOW)
  high, size = maps(0)['high'], (WINDOW, WINDOW)
  parts = [part for level in (1, 2) for part in windows.grid(high.shape, level)]
  for number, (part, got) in enumerate(zip(parts, record['windows'], strict=True)):
    crop = high[part.slices] if number != 4 + 3 else stored
    method = cv2.INTER_AREA if max(crop.shape) > WINDOW else cv2.INTER_LINEAR
    want = cv2.resize(np.ascontiguousarray(crop), size, interpolation=method)
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_holes_are_nan_in_the_target_and_zero_in_valid(tmp_path):
  folder, target = store(tmp_path / 'a' / 'one', 0), maps(0)['target']
  known = np.ones_like(target)
  target[:12, :20], known[12:, 20:] = np.nan, 0
  np.save(folder / 'target.npy', target)
  depth.write_depth(folder / 'valid.png', known)
  record = opened(tmp_path / 'a', 'all')[0]
  assert not record['valid'][:15, :15].any() and not record['valid'][17:, 17:].any()
  assert record['valid'][:15, 17:].all() and record['valid'][17:, :15].all()
  assert np.isfinite(record['disparity']).all()


def test_splits_of_a_folder_are_disjoint_and_complete(root):
  parts = [opened(root, split).folders for split in ('train', 'val', 'test')]
  names = [folder.name for part in parts for folder in part]
  assert sorted(names) == [f'scene{number}' for number in range(8)] and all(map(len, parts))


def test_batches_of_a_folder_have_the_shapes_of_the_example(root):
  example = splits.example(fields(depth_source=str(root)))
  for split, count in (('train', 2), ('val', 1)):  # The split 'val' has one record.
    found = batch(split, depth_source=str(root))
    assert found.keys() == example.keys()
    for name, x in example.items():
      assert found[name].shape == (count, *x.shape) and found[name].dtype == x.dtype
    assert (found['stereo_target'] == 0).all() and (found['valid'] == 1).all()


def test_predictions_are_simulated_for_a_dataset(tmp_path):
  writing.prepare('nyuv2', datasets.MAKERS['nyuv2'](tmp_path / 'raw'), tmp_path)
  where = f'tfds:{tmp_path}/nyuv2'
  truth = depth_sources.Truths(where, 'train', SIDE)
  assert len(truth) and len(depth_sources.Truths(where, 'val', SIDE))
  record, stored = truth[0], truth.part.read(0)
  assert record['disparity'].shape == record['valid'].shape == (SIDE, SIDE)
  want = cv2.resize(stored['valid'][..., 0], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) > 127
  np.testing.assert_array_equal(record['valid'], want)
  known = stored['disparity'][stored['valid'] > 0]
  assert known.min() <= record['disparity'].min() < record['disparity'].max() <= known.max()
  found = batch(depth_source=where)
  assert found['windows'].shape == (2, windows.count(LEVELS), WINDOW, WINDOW, 1)
  assert np.ptp(found['low'], axis=(1, 2, 3)).min() > 0.99


def test_mixture_uses_each_source_by_weight(root):
  found = batch(batch_size=24, depth_source=f'{root}=1,drawn=3')
  stored = [predictions.normalise(record['disparity']) for record in opened(root)]
  same = [[np.allclose(y[..., 0], x, atol=1e-6) for x in stored] for y in found['target']]
  assert 2 <= np.any(same, axis=1).sum() <= 10


def test_damaged_record_is_skipped(root, caplog):
  (opened(root).folders[0] / 'high.npy').write_bytes(b'nothing')
  assert batch(batch_size=12, depth_source=str(root))['low'].shape[0] == 12
  assert [r.levelno for r in caplog.records] == [logging.WARNING]
  assert 'high.npy' in caplog.text


def _evaluated(processes=1, count=0, **changes):
  """The batches of the split 'test', of two examples each, and all indices."""
  options = {'seed': 0, 'batch_size': 2, 'count': count}
  parts = [
    splits.batches(fields(**changes), 'test', shard=(i, processes), multiple=2, **options)
    for i in range(processes)
  ]
  found = [part[k] for k in range(len(parts[0])) for part in parts]
  return found, np.concatenate([batch['index'] for batch in found])


@pytest.mark.parametrize('count', [1, 3, 4])
def test_evaluation_reads_each_record_once_and_pads_the_last_batch(tmp_path, count):
  source = made.stored(tmp_path, count)
  found, index = _evaluated(depth_source=source)
  padding = [pipeline.PADDING] * (count % 2)
  assert index.tolist() == [*range(count), *padding]
  targets = np.concatenate([batch['target'] for batch in found])[:count]
  assert len({target.tobytes() for target in targets}) == count
  assert _evaluated(processes=2, depth_source=source)[1].tolist() == index.tolist()
  fewer, index = _evaluated(count=2, depth_source=source)
  made.assert_same(fewer[0], found[0])
  assert np.sum(index < count) == min(2, count)


def test_unreadable_records_are_skipped_in_evaluation(tmp_path):
  source = made.stored(tmp_path, 3)
  (opened(tmp_path, 'test').folders[1] / 'high.npy').write_bytes(b'nothing')
  found, index = _evaluated(depth_source=f'{source}=1,drawn=1')
  skipped = int(pipeline.UNREADABLE)
  assert index.tolist() == [0, skipped, *range(2, 67), pipeline.PADDING]
  assert all(np.isfinite(batch['low']).all() for batch in found)


@pytest.mark.parametrize(
  'name, value, message',
  [
    ('high', np.nan, 'NaN or infinite'),
    ('target', np.nan, 'is constant or has no valid pixel'),
    ('target', 1, 'is constant or has no valid pixel'),
    ('valid', 1, 'has the size 4 x 4; expected that of'),
    ('low', None, 'has no low; expected folders NAME with target'),
  ],
)
def test_unusable_maps_are_named(tmp_path, name, value, message):
  file = store(tmp_path / 'a' / 'one', 0) / f'{name}.npy'
  np.save(file, np.full((4, 4), value, np.float32))
  if value is None:
    file.unlink()
  with pytest.raises(InputError, match=f'{file.parent}.*{message}'):
    opened(tmp_path / 'a', 'all')[0]


def test_folders_without_predictions_are_refused(tmp_path):
  for folder, message in ((tmp_path / 'x', 'is not a folder'), (tmp_path, 'has no predictions')):
    with pytest.raises(InputError, match=message):
      opened(folder)


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'width': 64}, 'must be square'),
    ({'scene_source': 'somewhere'}, 'set depth_source'),
    ({'depth_source': 'a,b'}, 'no weight'),
    ({'predictions.levels': 9}, 'levels is 9'),
    ({'predictions': None}, 'the table data.predictions is missing'),
    (
      {'kind': 'scenery'},
      "data.kind is 'scenery'; it can be labelled, masked, predictions, scene, or",
    ),
  ],
)
def test_invalid_configs_are_refused_with_the_example(changes, message):
  with pytest.raises(ValueError, match=message):
    splits.example(fields(**changes))
  with pytest.raises(ValueError, match='only scenes can be prepared'):
    splits.drawn(fields(), 0)


def test_builtin_disparity_is_for_the_test_split_only():
  (record,) = depth_sources.BuiltIn('test', 64)
  assert record['disparity'].shape == record['valid'].shape == (64, 64)
  assert 0.8 < record['valid'].mean() < 1 and np.isfinite(record['disparity']).all()
  with pytest.raises(ValueError, match="has only the split 'test', not 'train'"):
    depth_sources.BuiltIn('train', 64)
