"""Places with weights: what a user may write, and sources that are drawn by weight."""

import collections
import pickle

import numpy as np
import pytest

from depthjax.data import splits
from depthjax.data.sources import mixtures
from depthjax.data.sources import photos as photo_sources
from tests import tiny
from tests.data.made import flat, write


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
def test_places_and_weights(text, parts):
  assert mixtures.parse(text) == parts


def test_a_folder_whose_name_ends_as_a_weight_does(tmp_path):
  for name in ('v=2', 'w'):
    (tmp_path / name).mkdir()
  assert mixtures.parse(f'{tmp_path}/v=2') == [(f'{tmp_path}/v=2', 1.0)]
  assert mixtures.parse(f'{tmp_path}/v=2=3') == [(f'{tmp_path}/v=2', 3.0)]
  assert mixtures.parse(f'{tmp_path}/w=2') == [(f'{tmp_path}/w', 2.0)]
  assert mixtures.parse(f'{tmp_path}/v=2,a=1') == [(f'{tmp_path}/v', 2.0), ('a', 1.0)]


@pytest.mark.parametrize(
  'text, words',
  [
    ('a,b', "no weight for 'a'"),
    ('a=1,b', "no weight for 'b'"),
    ('a=1,b=x', "no weight for 'b=x'"),
    ('a=1,', 'an empty place'),
    ('=1', 'an empty place'),
    ('a=1,b=0', "gives 'b' the weight 0; it must be above 0"),
    ('a=1,b=-2', "gives 'b' the weight -2"),
    ('a=1,b=nan', "gives 'b' the weight nan"),
    ('a=1,b=inf', "gives 'b' the weight inf"),
    ('a=1,b=2,a=3', "names 'a' twice"),
  ],
)
def test_nonsense_is_one_line(text, words):
  with pytest.raises(ValueError, match=words) as caught:
    mixtures.parse(text)
  assert repr(text) in str(caught.value) and '\n' not in str(caught.value)


def test_a_mixture_has_all_items_and_picks_by_weight():
  mixture = mixtures.Mixture(['ab', 'c', 'defghijk'], [1, 5, 4])
  assert ''.join(mixture) == 'abcdefghijk' and mixture[-1] == 'k' and len(mixture) == 11
  with pytest.raises(IndexError):
    mixture[11]
  rng, count = np.random.default_rng(0), 20_000
  seen = collections.Counter(mixture[mixtures.pick(rng, mixture)] for _ in range(count))
  expected = dict.fromkeys('ab', 0.05) | {'c': 0.5} | dict.fromkeys('defghijk', 0.05)
  assert seen.keys() == expected.keys()
  for item, share in expected.items():
    assert abs(seen[item] / count - share) < 5 * (share / count) ** 0.5


def test_a_single_source_is_picked_from_evenly():
  assert {mixtures.pick(np.random.default_rng(i), range(3)) for i in range(50)} == {0, 1, 2}


def _painted(**fields):
  """Whether each texture of a few drawn scenes is red, by the photographs of a config."""
  fields = {
    **tiny.config().data.to_dict(),
    'photos': 1.0,
    'lights': 0.0,
    'camouflage': 0.0,
    **fields,
  }
  ds = splits.batches(fields, 'train', seed=0, batch_size=64)
  background = ds[0]['layers'][:, -1].reshape(64, -1, 4).astype(float).mean(1)
  return background[:, 0] > background[:, 2]


def test_scenes_are_drawn_from_photographs_by_weight(tmp_path):
  for name, colour in (('red', (200, 100, 40)), ('blue', (40, 100, 200))):
    for i in range(4 if name == 'red' else 40):
      write(tmp_path / name / f'{i}.png', flat(colour))
  red, blue = str(tmp_path / 'red'), str(tmp_path / 'blue')
  assert _painted(photo_source=red).all() and not _painted(photo_source=blue).any()
  # By weight and not by the number of photographs.
  share = _painted(photo_source=f'{red}=3,{blue}=1').mean()
  assert abs(share - 0.75) < 5 * (0.75 * 0.25 / 64) ** 0.5
  np.testing.assert_array_equal(_painted(photo_source=f'{red}=2'), _painted(photo_source=red))


def test_foregrounds_of_several_sources(tmp_path):
  for name, colour in (('red', (200, 100, 40)), ('blue', (40, 100, 200))):
    cut = np.dstack([flat(colour, 40, 40), flat(255, 40, 40, 0)])
    for i in range(4):
      write(tmp_path / name / f'{i}.png', cut)
  red, blue = str(tmp_path / 'red'), str(tmp_path / 'blue')
  fields = {**tiny.config().data.to_dict(), 'mattes': 1.0}
  fields['foreground_source'] = f'{red}=1,{blue}=1'
  layers = splits.batches(fields, 'train', seed=0, batch_size=16)[0]['layers'][:, 0]
  colours = {tuple(x[x.shape[0] // 2, x.shape[1] // 2, :3]) for x in layers}
  assert {(200, 100, 40), (40, 100, 200)} <= colours


def test_each_part_of_a_mixture_skips_what_is_broken_and_stops_by_itself(tmp_path):
  for i in range(9):
    write(tmp_path / 'good' / f'{i}.png', flat(i))
    write(tmp_path / 'bad' / f'{i}.png', flat(i))
    (tmp_path / 'bad' / f'{i}.png').write_bytes(b'broken')
  fields = {**tiny.config().data.to_dict(), 'photos': 1.0}
  fields['photo_source'] = f'{tmp_path}/good=9,{tmp_path}/bad=1'
  ds = splits.batches(fields, 'train', seed=0, batch_size=16)
  with pytest.raises(ValueError, match=f'^{tmp_path}/bad: .* items cannot be read'):
    for k in range(4):
      ds[k]


def test_mixtures_pickle():
  mixture = mixtures.Mixture(
    [photo_sources.open_photos('builtin'), photo_sources.open_photos('builtin')], [1, 2]
  )
  copy = pickle.loads(pickle.dumps(mixture))
  draws = [[m.pick(np.random.default_rng(i)) for i in range(20)] for m in (mixture, copy)]
  assert draws[0] == draws[1] and len(copy) == len(mixture)
