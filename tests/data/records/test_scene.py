"""Records of scenes: the colours that glass and mirrors are painted with."""

import numpy as np

from depthjax import configuring
from depthjax.data import splits
from depthjax.data.records import scene
from tests.data.made import assert_same


def _batch(split, **fields):
  data = configuring.scenes().to_dict() | {'height': 32, 'width': 32, 'photo_source': ''} | fields
  batch = splits.batches(data, split, seed=0, batch_size=2, count=2)[0]
  assert {x: v.shape[1:] for x, v in batch.items()} == {
    x: np.shape(v) for x, v in splits.example(data).items()
  }
  return batch


def test_colours_are_those_of_the_seed_and_change_nothing_else():
  for split in ('train', 'val'):
    plain, coloured = _batch(split), _batch(split, colours=3)
    colours = coloured.pop('colours')
    assert_same(plain, coloured)
    assert colours.shape == (2, 3, 3) and len(np.unique(colours)) == 18
    stored = scene._coloured({name: x[1] for name, x in plain.items()}, 3)
    np.testing.assert_array_equal(stored['colours'], colours[1])
  assert (_batch('val', colours=1)['colours'] == 0.5).all()
