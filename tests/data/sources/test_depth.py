"""Records of depth refinement from datasets and folders: what is read, by split, and refused."""

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
OPTIONS = {'levels': LEVELS, 'window_size': WINDOW}


def fields(**changes):
  """A config's `data`, tiny."""
  data = configuring.scenes()
  data.kind, data.predictions, data.depth_source = 'predictions', configuring.predictions(), ''
  data.photo_source, data.height, data.width, data.pad = '', SIDE, SIDE, 0
  data.predictions.levels, data.predictions.window_size = LEVELS, WINDOW
  data.predictions.augment = False
  data.update_from_flattened_dict(changes)
  return data.to_dict()


def maps(number, shape=(24, 40)):
  """Target, low and high of a made-up picture: float32 [h w]."""
  rng = np.random.default_rng(number)
  target = cv2.resize(made.truth(), shape[::-1], interpolation=cv2.INTER_AREA)
  low = cv2.resize(cv2.resize(target, (8, 8)), shape[::-1])
  return {
    'target': target,
    'low': low * rng.uniform(0.5, 2) + number,
    'high': target + rng.normal(0, 0.01, shape).astype(np.float32),
  }


def store(folder, number, kind='npy', **more):
  folder.mkdir(parents=True)
  for name, values in {**maps(number), **more}.items():
    values = predictions.normalise(values) if kind == 'png' else values
    depth.write_depth(folder / f'{name}.{kind}', values.astype(np.float32))
  return folder


@pytest.fixture(name='root')
def fixture_root(tmp_path):
  for number in range(8):
    store(tmp_path / 'stored' / f'scene{number}', number)
  return tmp_path / 'stored'


def opened(root, split='train'):
  return depth_sources.open_stored(str(root), split, SIDE, **OPTIONS)


@pytest.mark.parametrize('kind', ['npy', 'pfm', 'png'])
def test_stored_maps_are_read_as_squares(tmp_path, kind):
  store(tmp_path / 'a' / 'one', 5, kind)
  record = opened(tmp_path / 'a', 'all')[0]
  assert record['valid'].all() and record['valid'].shape == (SIDE, SIDE)
  for name, stored in zip(('disparity', 'low', 'high'), maps(5).values(), strict=True):
    want = cv2.resize(stored, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    got = predictions.normalise(record[name])
    assert record[name].dtype == np.float32
    np.testing.assert_allclose(got, predictions.normalise(want), atol=1e-3)


def test_windows_that_are_missing_are_crops_of_the_high_one(root):
  own = np.random.default_rng(0).random((9, 11)).astype(np.float32)
  (root / 'scene0' / 'windows').mkdir()
  depth.write_depth(root / 'scene0' / 'windows' / '2_1_0.npy', own)
  record = opened(root, 'all')[0]
  assert record['windows'].shape == (windows.count(LEVELS), WINDOW, WINDOW)
  high, size = maps(0)['high'], (WINDOW, WINDOW)
  parts = [part for level in (1, 2) for part in windows.grid(high.shape, level)]
  for number, (part, got) in enumerate(zip(parts, record['windows'], strict=True)):
    crop = high[part.slices] if number != 4 + 3 else own
    method = cv2.INTER_AREA if max(crop.shape) > WINDOW else cv2.INTER_LINEAR
    want = cv2.resize(np.ascontiguousarray(crop), size, interpolation=method)
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_holes_are_those_of_the_target_and_of_valid(tmp_path):
  target = maps(0)['target'].copy()
  target[:12, :20] = np.nan
  known = np.ones(target.shape, np.float32)
  known[12:, 20:] = 0
  np.save(store(tmp_path / 'a' / 'one', 0) / 'target.npy', target)
  depth.write_depth(tmp_path / 'a' / 'one' / 'valid.png', known)
  record = opened(tmp_path / 'a', 'all')[0]
  assert not record['valid'][:15, :15].any() and not record['valid'][17:, 17:].any()
  assert record['valid'][:15, 17:].all() and record['valid'][17:, :15].all()
  assert np.isfinite(record['disparity']).all()


def test_splits_of_a_folder_are_disjoint_and_complete(root):
  parts = {split: opened(root, split) for split in ('train', 'val', 'test')}
  names = [folder.name for part in parts.values() for folder in part.folders]
  assert sorted(names) == [f'scene{number}' for number in range(8)]
  assert all(len(part) for part in parts.values())


def test_batches_of_a_folder_have_the_agreed_form(root):
  data = fields(depth_source=str(root))
  example = splits.example(data)
  for split, count in (('train', None), ('val', 4)):
    ds = splits.batches(data, split, seed=0, batch_size=2, count=count)
    batch = pickle.loads(pickle.dumps(ds))[0]
    assert batch.keys() == example.keys()
    for name, x in example.items():
      assert batch[name].shape == (2, *x.shape) and batch[name].dtype == x.dtype
    assert (batch['stereo_target'] == 0).all() and (batch['valid'] == 1).all()
  assert len(ds) == 2


def test_a_stored_record_is_flipped_as_one(root):
  data = fields(depth_source=str(root), **{'predictions.augment': True})
  plain = opened(root, 'train')
  unit = [predictions.normalise(plain[i]['disparity']) for i in range(len(plain))]
  batch = splits.batches(data, 'train', seed=0, batch_size=24)[0]
  kinds = set()
  for target, high, low, parts in zip(
    *(batch[name][..., 0] for name in ('target', 'high', 'low', 'windows')), strict=True
  ):
    found = [
      (up, left, inverted)
      for up, left, inverted in np.ndindex(2, 2, 2)
      for x in unit
      if np.allclose(target, abs(inverted - predictions.flipped(x, (up, left))), atol=1e-6)
    ]
    kinds |= set(found)
    assert len(set(found)) == 1
    assert np.corrcoef(target.ravel(), high.ravel())[0, 1] > 0.9
    assert np.corrcoef(target.ravel(), low.ravel())[0, 1] > 0.5
    part = windows.grid((SIDE, SIDE), 1)[1]
    crop = cv2.resize(np.ascontiguousarray(target[part.slices]), (WINDOW, WINDOW))
    assert np.corrcoef(crop.ravel(), parts[1].ravel())[0, 1] > 0.85
  assert len(kinds) > 5


def test_a_dataset_has_the_predictor_on_top(tmp_path):
  source = datasets.MAKERS['nyuv2'](tmp_path / 'raw')
  writing.prepare('nyuv2', source, tmp_path)
  where = f'tfds:{tmp_path}/nyuv2'
  truth = depth_sources.open_truths(where, 'train', SIDE)
  assert len(truth) and len(depth_sources.open_truths(where, 'val', SIDE))
  record = truth[0]
  assert record['disparity'].shape == record['valid'].shape == (SIDE, SIDE)
  stored = truth.part.read(0)
  want = cv2.resize(stored['valid'][..., 0], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) > 127
  np.testing.assert_array_equal(record['valid'], want)
  known = stored['disparity'][stored['valid'] > 0]
  assert known.min() <= record['disparity'].min() < record['disparity'].max() <= known.max()
  batch = splits.batches(fields(depth_source=where), 'train', seed=0, batch_size=2)[0]
  assert batch['windows'].shape == (2, windows.count(LEVELS), WINDOW, WINDOW, 1)
  assert np.ptp(batch['low'], axis=(1, 2, 3)).min() > 0.99


def test_a_mixture_takes_of_each_its_share(root):
  data = fields(depth_source=f'{root}=1,drawn=3')
  batch = splits.batches(data, 'train', seed=0, batch_size=24)[0]
  stored = [predictions.normalise(record['disparity']) for record in opened(root)]
  from_folder = sum(
    any(np.allclose(target[..., 0], x, atol=1e-6) for x in stored) for target in batch['target']
  )
  assert 2 <= from_folder <= 10
  again = splits.batches(data, 'train', seed=0, batch_size=24)[0]
  np.testing.assert_array_equal(batch['low'], again['low'])


def test_evaluation_of_drawn_scenes_does_not_depend_on_the_seed():
  one, other = (
    splits.batches(fields(), 'val', seed=seed, batch_size=2, count=2)[0] for seed in (1, 2)
  )
  test = splits.batches(fields(), 'test', seed=1, batch_size=2, count=2)[0]
  np.testing.assert_array_equal(one['low'], other['low'])
  assert (one['low'] != test['low']).any()
  assert (one['stereo_target'] == 0).all() and (one['valid'] == 1).all()


@pytest.mark.slow
def test_workers_draw_the_same_batches():
  ds = splits.batches(fields(), 'train', seed=1, batch_size=2)
  stream = pipeline.stream(ds, workers=1)
  first = next(stream)
  stream.close()
  for name, x in ds[0].items():
    np.testing.assert_array_equal(first[name], x)


def test_a_broken_record_is_skipped(root, caplog):
  broken = opened(root).folders[0]
  (broken / 'high.npy').write_bytes(b'nothing')
  batch = splits.batches(fields(depth_source=str(root)), 'train', seed=0, batch_size=12)[0]
  assert batch['low'].shape[0] == 12
  assert [r.levelno for r in caplog.records] == [logging.WARNING]
  assert 'high.npy' in caplog.text


@pytest.mark.parametrize(
  'change, message',
  [
    (lambda f: (f / 'low.npy').unlink(), 'has no low; expected folders NAME with target'),
    (lambda f: np.save(f / 'high.npy', np.full((4, 4), np.nan)), 'NaN or infinite'),
    (lambda f: np.save(f / 'target.npy', np.full((4, 4), np.nan)), 'no two different depths'),
    (lambda f: np.save(f / 'target.npy', np.ones((4, 4))), 'no two different depths'),
    (lambda f: np.save(f / 'valid.npy', np.ones((4, 4))), 'has the size 4 x 4; expected that of'),
    (lambda f: np.save(f / 'valid.npy', np.eye(24, 40) * 0), 'no two different depths'),
  ],
)
def test_what_cannot_be_used_is_named(tmp_path, change, message):
  folder = store(tmp_path / 'a' / 'one', 0)
  change(folder)
  with pytest.raises(InputError, match=message) as refused:
    opened(tmp_path / 'a', 'all')[0]
  assert str(folder) in str(refused.value)


def test_folders_without_predictions_are_refused(tmp_path):
  with pytest.raises(InputError, match='is no folder'):
    opened(tmp_path / 'missing')
  (tmp_path / 'empty').mkdir()
  with pytest.raises(InputError, match='holds no prediction'):
    opened(tmp_path / 'empty')
  store(tmp_path / 'one' / 'a', 0)
  with pytest.raises(ValueError, match='cannot be split'):
    opened(tmp_path / 'one')


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'width': 64}, 'squares'),
    ({'scene_source': 'somewhere'}, 'come from depth_source'),
    ({'depth_source': 'tfds:nothing'}, 'not prepared'),
    ({'depth_source': 'a,b'}, 'no weight'),
    ({'predictions.levels': 9}, 'levels is 9'),
    ({'predictions': None}, 'the table data.predictions is missing'),
    ({'kind': 'scenery'}, "data.kind is 'scenery'; it can be predictions or scene"),
  ],
)
def test_configs_that_cannot_work_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    splits.batches(fields(**changes), 'train', seed=0, batch_size=2)


def test_scenes_of_such_a_config_are_not_prepared():
  with pytest.raises(ValueError, match='only scenes are prepared'):
    splits.drawn(fields(), 0)


@pytest.mark.parametrize(
  'changes', [{'width': 64}, {'depth_source': 'a,b'}, {'predictions.levels': 9}]
)
def test_an_example_refuses_them_before_anything_is_compiled(changes):
  with pytest.raises(ValueError):
    splits.example(fields(**changes))


def test_the_measured_scene_inside_scikit_image_is_for_the_test_alone():
  source = depth_sources.open_builtin('test', 64)
  (record,) = list(source)
  assert record['disparity'].shape == record['valid'].shape == (64, 64)
  assert 0.8 < record['valid'].mean() < 1 and np.isfinite(record['disparity']).all()
  for split in ('train', 'val'):
    with pytest.raises(ValueError, match='for the split'):
      depth_sources.open_builtin(split, 64)
