"""Records of mask-guided refinement: targets agree with the mask, each error alone, sources."""

import contextlib
import pickle

import numpy as np
import pytest

from depthjax import configuring
from depthjax.data import pipeline, splits
from depthjax.data.scenes import truths, two_layers
from depthjax.ops import colour, layers
from depthjax.prepare import writing
from tests.data import made
from tests.prepare import made as datasets

SIDE, PAD = 64, 4
EXACT = {'predictions.noise': 0.0, 'predictions.low': 1.0, 'predictions.high': 1.0}
OFF = ('gain', 'offset', 'displaced', 'filled', 'thinned', 'jittered')
OFF = {'corruption': 0.0, **{f'masked.{name}': 0.0 for name in OFF}}


def fields(**changes):
  """A small config's `data`."""
  data = configuring.scenes()
  data.kind, data.masked, data.depth_source = 'masked', configuring.masked(), ''
  data.predictions = configuring.predictions()
  data.photo_source, data.height, data.width, data.pad = '', SIDE, SIDE, PAD
  data.update_from_flattened_dict(changes)
  return data.to_dict()


def batches(split='train', *, batch_size=4, seed=0, **changes):
  return splits.batches(fields(**changes), split, seed=seed, batch_size=batch_size)


def true_map(record):
  return record['matte'] * record['target'] + (1 - record['matte']) * record['rest']


def steps(record):
  """Target minus rest at the pixels of the mask beside others along a row: two arrays [n]."""
  step, inside = record['target'] - record['rest'], record['mask'] > 0.5
  left, right = np.s_[:, :, :-1], np.s_[:, :, 1:]
  return step[left][inside[left] & ~inside[right]], step[right][~inside[left] & inside[right]]


@pytest.fixture(name='scene', params=[1, 2, 3])
def fixture_scene(request):
  return made.scene(request.param, layers=3 if request.param > 1 else 2, tilted_foreground=0.5)


@pytest.mark.parametrize('all_foregrounds', [False, True])
def test_both_layers_composited_are_the_scene(scene, all_foregrounds):
  disparity = two_layers.complete(scene, 6)
  planes = layers.plane_disparity(scene['planes'], 48, 64)
  np.testing.assert_allclose(disparity, planes, atol=1e-6)
  light, alpha = (layers.crop(x, 6) for x in layers.unpack(scene['layers']))
  image = colour.linear_to_srgb(layers.composite(light, alpha))
  truth = truths.compose(disparity, np.asarray(alpha)[:-1] > 0.5)
  visible = np.asarray(layers.visibility(alpha))
  clear = visible.max(0) > 0.99  # Two soft edges may cross elsewhere.
  for seed in range(4):
    rng = np.random.default_rng(seed)
    got = two_layers.of_scene(rng, scene, 6, all_foregrounds=all_foregrounds)
    np.testing.assert_allclose(got.image / 255, image, atol=0.6 / 255)
    composite = np.where(got.matte > 0.5, got.front, got.behind)
    np.testing.assert_array_equal(composite[clear], truth[clear])
    if all_foregrounds:
      np.testing.assert_allclose(got.matte, 1 - visible[-1], atol=1e-6)
      np.testing.assert_array_equal(got.behind, disparity[-1])
    else:
      (i,) = (i for i in range(len(visible) - 1) if np.array_equal(got.front, disparity[i]))
      np.testing.assert_allclose(got.matte, visible[i], atol=1e-6)


def test_the_front_of_all_foregrounds_continues_the_nearest_one():
  record = made.scene(0, layers=3, covers=(0.02, 0.2))
  record['layers'][:-1, ..., 3] = 0
  record['layers'][0, :, :20, 3] = record['layers'][1, :, 60:, 3] = 255
  front = two_layers.of_scene(np.random.default_rng(0), record, 6, all_foregrounds=True).front
  want = np.where(np.arange(64) < 34, *two_layers.complete(record, 6)[:2])
  np.testing.assert_array_equal(front[:, :32], want[:, :32])
  np.testing.assert_array_equal(front[:, 35:], want[:, 35:])


@pytest.mark.parametrize('hard', [0.0, 1.0])
def test_without_errors_the_predictor_sees_the_true_map(hard):
  record = batches(**EXACT, **OFF, **{'masked.hard': hard, 'relief': 0.5})[0]
  np.testing.assert_allclose(record['seen'], true_map(record), atol=1e-5)
  np.testing.assert_array_equal(record['mask'], record['matte'])
  soft = batches(**EXACT, **OFF, **{'masked.hard': 0.0, 'relief': 0.5})[0]['matte']
  np.testing.assert_array_equal(record['matte'], soft > 0.5 if hard else soft)
  assert record['seen'].min() == 0 and record['seen'].max() == 1
  for name in ('target', 'rest', 'seen', 'mask'):
    assert 0 <= record[name].min() and record[name].max() <= 1, name


@pytest.mark.parametrize(
  'name', ['masked.jittered', 'masked.filled', 'masked.thinned', 'corruption', 'masked.displaced']
)
def test_each_error_changes_only_the_map_or_the_mask(name):
  options = {**EXACT, **OFF, 'masked.background': 0.0, 'masked.hard': 1.0, 'batch_size': 12}
  options |= {'masked.thin': (20.0, 30.0), 'masked.closing': (50.0, 50.0)}  # 4 to 6 px, 10 px.
  without, one = batches(**options)[0], batches(**{**options, name: 1.0})[0]
  kept = {'masked.jittered': ('seen', 'matte', 'target', 'rest')}.get(name, ('mask', 'matte'))
  for key in kept:
    np.testing.assert_array_equal(one[key], without[key])
  assert any((one[key] != without[key]).any() for key in ('seen', 'mask'))
  inside = without['matte'] > 0.5
  changed = np.abs(one['seen'] - true_map(one)) > 1e-3
  if name == 'masked.filled':  # The front is seen where it is not, and no less of it.
    assert not changed[inside].any()
    np.testing.assert_allclose(one['seen'][changed], one['target'][changed], atol=1e-5)
    assert (one['target'] > one['rest'])[changed].all()  # Nearer objects are kept.
  if name == 'masked.thinned':
    assert not changed[~inside].any()
    np.testing.assert_allclose(one['seen'][changed], one['rest'][changed], atol=1e-5)


def test_an_error_without_effect_does_not_change_the_others():
  fields = {'masked.thin': (0.0, 0.0), 'corruption': 1.0}
  made.assert_same(*(batches(**fields, **{'masked.thinned': x})[0] for x in (0.0, 1.0)))


def test_all_maps_have_the_same_affine():
  options = {**EXACT, **OFF, 'batch_size': 12}
  for name, value in (('masked.gain', 0.5), ('masked.offset', 0.2)):
    record = batches(**{**options, 'masked.gain': 0.5, name: value})[0]
    np.testing.assert_allclose(record['seen'], true_map(record), atol=1e-5)
    span, low = np.ptp(record['seen'], axis=(1, 2, 3)), record['seen'].min(axis=(1, 2, 3))
    assert 0.5 <= span.min() < 0.8 and 0.99 < span.max() <= 1 + 1e-6
    assert (low.max() > 0.01) == (name == 'masked.offset')


@pytest.mark.parametrize('background', [0.0, 1.0])
def test_masks_of_the_background_are_farther_at_their_border(background):
  record = batches(**OFF, **{'masked.background': background, 'batch_size': 12, 'layers': 2})[0]
  for nearer in steps(record):
    assert len(nearer) and ((nearer < 0).all() if background else (nearer > 0).all())


def test_records_are_functions_of_seed_and_index():
  ds = batches(batch_size=2, seed=3)
  copy = pickle.loads(pickle.dumps(ds))
  want = [ds[k] for k in range(4)]
  for name, x in splits.example(fields()).items():
    assert x.shape == want[0][name].shape[1:] and x.dtype == want[0][name].dtype
  made.assert_same(copy[3], want[3])
  assert (batches(batch_size=2, seed=4)[0]['image'] != want[0]['image']).any()
  with contextlib.closing(pipeline.stream(ds, workers=2)) as stream:
    for x in want:
      made.assert_same(next(stream), x)


@pytest.fixture(name='root', scope='module')
def fixture_root(tmp_path_factory):
  """A folder with eight grey photos with disparity that has a hole."""
  root = tmp_path_factory.mktemp('rgbd')
  (root / 'disparity').mkdir()
  for i in range(8):
    made.write(root / 'photos' / f'{i}.png', made.flat(20 * i, 80, 80))
    disparity = made.truth(40) * (i + 1) + i
    disparity[:9, :9] = np.nan
    np.save(root / 'disparity' / f'{i}.npy', disparity)
  return root


def test_pairs_of_photos_have_the_layers_of_both(root):
  options = {'depth_source': str(root), 'batch_size': 12, **EXACT, **OFF}
  options |= {'masked.background': 0.0, 'masked.hard': 1.0}
  for nearer in (0.0, 1.0):
    record = batches(**options, **{'masked.nearer': nearer, 'masked.gap': (0.3, 0.3)})[0]
    shapes = {name: x.shape for name, x in splits.example(fields()).items()}
    assert {name: x.shape[1:] for name, x in record.items()} == shapes
    np.testing.assert_allclose(record['seen'], true_map(record), atol=1e-5)
    least = min(x.min() for x in steps(record))
    assert least > 0.1 if nearer else least < 0
    for name in ('target_valid', 'rest_valid'):
      assert 0 < (record[name] == 0).mean() < 0.2


def test_pairs_of_a_prepared_dataset_are_evaluated_in_order(tmp_path):
  writing.prepare('nyuv2', datasets.MAKERS['nyuv2'](tmp_path / 'raw'), tmp_path)
  changes = fields(depth_source=f'tfds:{tmp_path}/nyuv2=1,drawn=1')
  one = splits.batches(changes, 'test', seed=0, batch_size=2, count=4)
  two = splits.batches(changes, 'test', seed=1, batch_size=2, count=8)
  made.assert_same(one[1], two[1])


def test_photos_without_disparity_are_refused(tmp_path):
  for i in range(4):
    made.write(tmp_path / 'photos' / f'{i}.png', made.flat(i))
  with pytest.raises(ValueError, match=r'0.png: has no disparity; expected .*disparity/0 as .npy'):
    batches(depth_source=str(tmp_path))
  with pytest.raises(ValueError, match='no such folder'):
    batches(depth_source=str(tmp_path / 'photos'))


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'masked.hole': 1.5}, r'hole is 1.5; it must be a number in \[0.0, 1.0\]'),
    ({'masked.gain': 0.95}, 'gain is 0.95'),
    ({'masked.thin': (6.0, 2.0)}, r'thin is \(6.0, 2.0\); it must be \(low, high\) within'),
    ({'glass': 0.1}, 'glass is 0.1; it must be 0.0 for masked records'),
    ({'scene_source': 'scenes'}, "scene_source is 'scenes'; it must be '' for masked"),
    ({'depth_source': 'a,b'}, 'has no weight'),
  ],
)
def test_fields_out_of_range_are_refused_with_the_example(changes, message):
  with pytest.raises(ValueError, match=message):
    splits.example(fields(**changes))
  with pytest.raises(ValueError, match='table data.masked is missing'):
    splits.example({**fields(), 'masked': {}})
