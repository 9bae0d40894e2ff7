"""Regions of masks, and labels against predictions of photographs painted by hand."""

import numpy as np
import pytest
from flax import linen as nn

from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth, virtual_labels

_RNG = np.random.default_rng(0)
_MASK = np.zeros((8, 12), np.uint8)
_MASK[1:3, 1:4] = _MASK[5:7, 1:4] = 1
_MASK[2, 6:9] = 7


class _Sum(nn.Module):
  """Disparity is a weighted sum of the colour and of the mean colour."""

  def predict(self, image):
    return (image + image.mean(axis=(1, 2), keepdims=True)) @ np.float32([[3], [-2], [1]])


_PREDICTOR = Predictor('sum', _Sum(), 8, multiple=4, variables={})


@pytest.mark.parametrize('value', [1, 127, 254, 255, True])
def test_binary_masks_of_any_code_are_one_region(value):
  mask = (_MASK > 0) * np.asarray(value, bool if value is True else np.uint8)
  np.testing.assert_array_equal(virtual_labels.regions(mask), _MASK > 0)


def test_ids_and_connected_parts_are_selected():
  np.testing.assert_array_equal(virtual_labels.regions(_MASK, ids=[7, 9]), _MASK == 7)
  parts = virtual_labels.regions(_MASK, instances=True)
  assert [parts[1, 1], parts[5, 3], parts[2, 6], parts.max()] == [1, 2, 3, 3]
  np.testing.assert_array_equal(parts > 0, _MASK > 0)
  assert not virtual_labels.regions(_MASK, ids=[5], instances=True, dilate=3).any()


def test_dilated_regions_grow_by_a_radius_and_keep_their_pixels():
  parts = virtual_labels.regions(_MASK, instances=True)
  grown = virtual_labels.regions(_MASK, instances=True, dilate=2)
  np.testing.assert_array_equal(grown[parts > 0], parts[parts > 0])
  rows, columns = np.nonzero(_MASK)
  offsets = np.mgrid[:8, :12][..., None] - np.stack([rows, columns])[:, None, None]
  np.testing.assert_array_equal(grown > 0, ((offsets**2).sum(0) <= 4).any(-1))


@pytest.mark.parametrize(
  'fields', [{}, {'resizing': 'cubic'}, {'output': 'depth'}, {'output': 'depth', 'metric': True}]
)
def test_labels_are_medians_of_painted_predictions(fields):
  predictor = _PREDICTOR._replace(**fields)
  photo = _RNG.random((8, 12, 3), np.float32)
  parts = virtual_labels.regions(_MASK, instances=True)
  colours = _RNG.random((4, 3, 3), np.float32)
  passes, sign = [], -1 if 'output' in fields else 1
  for colour in colours:
    painted = photo.copy()
    for i in (1, 2, 3):
      painted[parts == i] = colour[i - 1]
    (output,) = depth.outputs(depth.resized(painted, predictor)[None], predictor)
    passes.append(1 / output.clip(1e-6) if predictor.metric else sign * output)
  result = virtual_labels.label(photo, parts, colours, predictor)
  assert result.shape == (4, 8, 1) and result.dtype == np.float32
  np.testing.assert_allclose(result, np.median(passes, axis=0), rtol=1e-5)


def test_photographs_without_regions_are_predicted_once(monkeypatch):
  photo, counts = _RNG.random((8, 12, 3), np.float32), []
  outputs = depth.outputs
  monkeypatch.setattr(depth, 'outputs', lambda x, *args: counts.append(len(x)) or outputs(x, *args))
  colours = _RNG.random((5, 1, 3), np.float32)
  result = virtual_labels.label(photo, np.zeros((8, 12), np.int32), colours, _PREDICTOR)
  expected = outputs(depth.resized(photo, _PREDICTOR)[None], _PREDICTOR)
  np.testing.assert_array_equal(result, expected[0])
  virtual_labels.label(photo, np.ones((8, 12), np.int32), colours, _PREDICTOR)
  assert counts == [1, 5]
