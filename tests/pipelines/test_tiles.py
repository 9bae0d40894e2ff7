"""Tiles cover a frame, have equal shapes, and start at multiples."""

import numpy as np
import pytest

from depthjax.pipelines import tiles


@pytest.mark.parametrize('length', [8, 40, 48, 56, 64, 120, 1000])
@pytest.mark.parametrize('core, before, after', [(8, 16, 24), (16, 0, 8), (32, 8, 0)])
def test_spans_cover_an_axis_with_their_input(length, core, before, after):
  spans = tiles.spans(length, core, before, after, 8)
  size = core + before + after
  if length <= size:
    assert spans == [(0, length, 0)]
    return
  assert spans[0].start == 0 and spans[-1].stop == length and len(spans) == -(-length // core)
  for one, two in zip(spans, spans[1:], strict=False):
    assert one.start < two.start <= one.stop
  for start, stop, outer in spans:
    assert stop - start == core and start % 8 == outer % 8 == 0
    assert 0 <= outer <= max(start - before, 0)
    assert outer + size <= length and outer + size >= min(stop + after, length)


@pytest.mark.parametrize('lengths', [(60, 8, 8, 8), (64, 4, 8, 8), (64, 8, 4, 8), (0, 8, 8, 8)])
def test_lengths_must_be_multiples(lengths):
  with pytest.raises(ValueError, match='not all multiples of 8'):
    tiles.spans(*lengths, 8)


def test_blockwise_equals_the_full_arrays(monkeypatch):
  """Three blocks, the last ones partly outside, with results of two sizes."""
  monkeypatch.setattr(tiles, '_BLOCK', 8)
  x = np.random.default_rng(0).random((8, 19, 2), np.float32)
  shapes = set()

  def function(x, y):
    shapes.update((x.shape, y.shape))
    return x[..., :1] * y, {'half': x.reshape(4, 2, 4, 2, 2).mean((1, 3))}

  full, rest = tiles.blockwise(function, x, 2 * x[..., 1:])
  np.testing.assert_array_equal(full, x[..., :1] * 2 * x[..., 1:])
  padded = np.pad(x, ((0, 0), (0, 1), (0, 0)), 'edge')
  np.testing.assert_allclose(rest['half'], padded.reshape(4, 2, 10, 2, 2).mean((1, 3)), rtol=1e-6)
  assert shapes == {(8, 8, 2), (8, 8, 1)}
