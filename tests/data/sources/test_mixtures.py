"""Locations with weights: parsing, and sources that are chosen by weight."""

import collections
import pickle

import numpy as np
import pytest

from depthjax.data import splits
from depthjax.data.sources import mixtures
from tests import tiny
from tests.data.made import flat, write


def test_locations_and_weights_are_parsed():
  for where in ('builtin', 'tfds:toy:train[:25%]', '/runs/seed=3/photos', '/photos/by=me'):
    assert mixtures.parse(where) == [(where, 1.0)]
  parts = [('builtin', 0.3), ('tfds:/data/ebb', 0.5), ('gs://b/by=me', 0.2)]
  assert mixtures.parse('builtin=0.3, tfds:/data/ebb=.5,gs://b/by=me=2e-1') == parts
  assert mixtures.parse('/a=2') == [('/a', 2.0)] and mixtures.parse('') == []


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
  for item, fraction in expected.items():
    assert abs(seen[item] / count - fraction) < 5 * (fraction / count) ** 0.5
  assert {mixtures.pick(np.random.default_rng(i), range(3)) for i in range(50)} == {0, 1, 2}


def test_photos_and_foregrounds_are_chosen_by_weight_and_not_by_number(tmp_path):
  for name, colour, count in (('red', (200, 100, 40), 4), ('blue', (40, 100, 200), 40)):
    image = np.dstack([flat(colour, 40, 40), flat(255, 40, 40, 0)])
    for i in range(count):
      write(tmp_path / name / f'{i}.png', image)
  fields = {**tiny.config().data.to_dict(), 'lights': 0.0, 'photos': 1.0, 'mattes': 1.0}
  fields['photo_source'] = fields['foreground_source'] = f'{tmp_path}/red=3,{tmp_path}/blue=1'
  layers = splits.batches(fields, 'train', seed=0, batch_size=64)[0]['layers']
  colours = layers.mean(axis=(2, 3))
  for i in (0, -1):  # A foreground and the background.
    fraction = (colours[:, i, 0] > colours[:, i, 2]).mean()
    assert abs(fraction - 0.75) < 5 * (0.75 * 0.25 / 64) ** 0.5
