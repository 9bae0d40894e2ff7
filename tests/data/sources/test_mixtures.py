"""Locations with weights: parsing, and sources that are chosen by weight."""

import collections
import pickle

import numpy as np
import pytest

from depthjax.data import splits
from depthjax.data.sources import mixtures
from depthjax.data.sources import photos as photo_sources
from tests import tiny
from tests.data.made import flat, write

RED, BLUE = (200, 100, 40), (40, 100, 200)


@pytest.mark.parametrize(
  'text, parts',
  [
    ('', []),
    ('builtin', [('builtin', 1.0)]),
    ('tfds:toy:train[:25%]', [('tfds:toy:train[:25%]', 1.0)]),
    ('/runs/seed=3/photos', [('/runs/seed=3/photos', 1.0)]),
    ('/photos/by=me', [('/photos/by=me', 1.0)]),
    ('/a=2', [('/a', 2.0)]),
    (
      'builtin=0.3, tfds:/data/ebb=.5,gs://b/by=me=2e-1',
      [('builtin', 0.3), ('tfds:/data/ebb', 0.5), ('gs://b/by=me', 0.2)],
    ),
  ],
)
def test_locations_and_weights_are_parsed(text, parts):
  assert mixtures.parse(text) == parts


def test_existing_folder_may_end_like_a_weight(tmp_path):
  (tmp_path / 'v=2').mkdir()
  assert mixtures.parse(f'{tmp_path}/v=2') == [(f'{tmp_path}/v=2', 1.0)]
  assert mixtures.parse(f'{tmp_path}/v=2=3') == [(f'{tmp_path}/v=2', 3.0)]
  assert mixtures.parse(f'{tmp_path}/v=2,a=1') == [(f'{tmp_path}/v', 2.0), ('a', 1.0)]


@pytest.mark.parametrize(
  'text, words',
  [
    ('a,b', "no weight for 'a'"),
    ('a=1,b=x', "no weight for 'b=x'"),
    ('a=1,', 'an empty location'),
    ('=1', 'an empty location'),
    ('a=1,b=0', "gives 'b' the weight 0; it must be above 0"),
    ('a=1,b=nan', "gives 'b' the weight nan"),
    ('a=1,b=inf', "gives 'b' the weight inf"),
    ('a=1,b=2,a=3', "names 'a' twice"),
  ],
)
def test_invalid_text_is_an_error_of_one_line(text, words):
  with pytest.raises(ValueError, match=words) as caught:
    mixtures.parse(text)
  assert repr(text) in str(caught.value) and '\n' not in str(caught.value)


def test_mixture_concatenates_items_and_picks_by_weight():
  mixture = pickle.loads(pickle.dumps(mixtures.Mixture(['ab', 'c', 'defghijk'], [1, 5, 4])))
  assert ''.join(mixture) == 'abcdefghijk' and mixture[-1] == 'k' and len(mixture) == 11
  with pytest.raises(IndexError):
    mixture[11]
  rng, count = np.random.default_rng(0), 20_000
  seen = collections.Counter(mixture[mixtures.pick(rng, mixture)] for _ in range(count))
  expected = dict.fromkeys('ab', 0.05) | {'c': 0.5} | dict.fromkeys('defghijk', 0.05)
  assert seen.keys() == expected.keys()
  for item, fraction in expected.items():
    assert abs(seen[item] / count - fraction) < 5 * (fraction / count) ** 0.5
  assert {mixtures.pick(np.random.default_rng(i), range(3)) for i in range(50)} == {0, 1, 2}


@pytest.fixture(name='folders')
def fixture_folders(tmp_path):
  """A folder of 4 red images with alpha, and one of 40 blue ones."""
  for name, colour, count in (('red', RED, 4), ('blue', BLUE, 40)):
    for i in range(count):
      image = np.dstack([flat(colour, 40, 40), flat(255, 40, 40, 0)])
      write(tmp_path / name / f'{i}.png', image)
  return str(tmp_path / 'red'), str(tmp_path / 'blue')


def batch(batch_size=64, **fields):
  fields = {**tiny.config().data.to_dict(), 'lights': 0.0, 'camouflage': 0.0, **fields}
  return splits.batches(fields, 'train', seed=0, batch_size=batch_size)[0]


def test_photos_are_chosen_by_weight_and_not_by_number(folders):
  def red(source):
    layers = batch(photos=1.0, photo_source=source)['layers'][:, -1]
    mean = layers.reshape(64, -1, 4).astype(float).mean(1)
    return mean[:, 0] > mean[:, 2]

  assert red(folders[0]).all() and not red(folders[1]).any()
  fraction = red(f'{folders[0]}=3,{folders[1]}=1').mean()
  assert abs(fraction - 0.75) < 5 * (0.75 * 0.25 / 64) ** 0.5


def test_foregrounds_come_from_all_sources(folders):
  source = f'{folders[0]}=1,{folders[1]}=1'
  layers = batch(16, mattes=1.0, foreground_source=source)['layers'][:, 0]
  colours = {tuple(x[x.shape[0] // 2, x.shape[1] // 2, :3]) for x in layers}
  assert {RED, BLUE} <= colours


def test_damaged_source_of_a_mixture_is_named(folders, tmp_path):
  for i in range(9):
    (tmp_path / 'red' / f'{i}.png').write_bytes(b'damaged')
  source = photo_sources.open_items(
    f'{folders[1]}=9,{folders[0]}=1', 'all', photo_sources.open_photos
  )
  assert isinstance(source, mixtures.Mixture) and source[0].shape == (40, 40, 3)
  with pytest.raises(ValueError, match=f'^{folders[0]}: .* items cannot be read'):
    source[-1]
