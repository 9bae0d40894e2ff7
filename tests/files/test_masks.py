"""Masks: equal from all formats, as fractions of full scale; alpha of cut-outs; bad files."""

import cv2
import numpy as np
import pytest

from depthjax.files import masks
from tests import messages

_LEVELS = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
_LEVELS[0, :2] = 0, 255
_HARD = _LEVELS > 127
_COLOUR = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
_OPAQUE = np.full((5, 7), 255, np.uint8)
_GREY = _LEVELS / np.float32(255)


@pytest.mark.parametrize(
  ('name', 'stored', 'expected'),
  [
    ('a.png', _LEVELS, _GREY),
    ('a.png', _LEVELS.astype(np.uint16) * 257, _GREY),
    ('a.tif', np.dstack([_LEVELS] * 3), _GREY),
    ('a.tif', _GREY, _GREY),
    ('a.jpg', 255 * np.kron(_HARD, np.ones((8, 8), np.uint8)), np.kron(_HARD, np.ones((8, 8)))),
    ('cut_out.png', np.dstack([_COLOUR, _LEVELS]), _GREY),
    ('deep.png', np.dstack([_COLOUR, _LEVELS]).astype(np.uint16) * 257, _GREY),
    ('cut_out.tif', np.dstack([_COLOUR / np.float32(255), _GREY]), _GREY),
    ('opaque.png', np.dstack([*[_LEVELS] * 3, _OPAQUE]), _GREY),
    ('labels.png', _HARD.astype(np.uint8), _HARD),
    ('a.npy', _HARD, _HARD),
    ('a.npy', _LEVELS[None], _GREY),
    ('a.npy', _HARD.astype(int)[..., None], _HARD),
    ('a.npy', _GREY.astype(np.float64), _GREY),
  ],
)
def test_all_formats_give_fractions_of_full_scale(tmp_path, name, stored, expected):
  path = tmp_path / name
  assert np.save(path, stored) is None if name == 'a.npy' else cv2.imwrite(str(path), stored)
  found = masks.read_mask(path)
  assert found.dtype == np.float32 and found.shape == (*expected.shape, 1)
  np.testing.assert_allclose(found[..., 0], expected, atol=2e-3 if name == 'a.jpg' else 1e-6)


def test_the_largest_of_channels_that_differ_is_read(tmp_path):
  cv2.imwrite(str(tmp_path / 'colour.png'), _COLOUR)
  cv2.imwrite(str(tmp_path / 'cut_out.png'), np.dstack([_COLOUR, _LEVELS]))
  np.save(tmp_path / 'a.npy', _LEVELS[None])
  expected = {'colour.png': _COLOUR.max(-1), 'cut_out.png': _LEVELS, 'a.npy': _LEVELS}
  for name, values in expected.items():
    np.testing.assert_array_equal(masks.read_largest(tmp_path / name), values, strict=True)


def test_bad_files_are_refused(tmp_path):
  cv2.imwrite(str(tmp_path / 'colour.png'), _COLOUR)
  np.save(tmp_path / 'many.npy', np.zeros((2, 5, 7)))
  for name, words in (
    ('colour.png', 'has three channels that differ, like a colour image'),
    ('many.npy', 'holds an array of shape [2, 5, 7]'),
    ('missing.png', 'does not exist'),
  ):
    messages.refused(lambda name=name: masks.read_mask(tmp_path / name), name, words)
  np.save(tmp_path / 'large.npy', _GREY)
  for name in ('colour.png', 'large.npy'):
    messages.refused(lambda name=name: masks.read_mask(tmp_path / name, max_pixels=9), 'at most')
