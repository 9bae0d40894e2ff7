"""`depthjax tom-masks`: masks of photographs and folders, and what is refused."""

import pathlib

import jax
import numpy as np
import pytest

from depthjax import configuring
from depthjax.files import images, weights
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors import segmenter
from depthjax.pipelines import depth
from depthjax.pipelines import predictors as predictors_lib
from tests import refiners
from tests.commands import made

_H, _W = 37, 61


@pytest.fixture(autouse=True)
def folder(run):
  """The working folder, with two photographs, a segmenter and a depth predictor."""
  fields = {'model.network': 'depthnet', 'model.width': 2, 'data.height': 32, 'data.width': 48}
  config = configuring.with_fields(configuring.load('segment', 'smoke'), fields).to_dict()
  rng = np.random.default_rng(0)  # Compiling the initialisation takes longer.
  draw = lambda x: 0.2 * rng.normal(size=x.shape).astype(np.float32)  # noqa: E731
  variables = jax.tree.map(draw, segmenter.FROM_CONFIG['segment'](config)[1])
  variables['batch_stats'] = jax.tree.map(np.abs, variables['batch_stats'])  # Variances.
  variables['params']['depth_head']['out']['bias'] += 0.18  # To have probabilities around 0.5.
  metadata = {'task': 'segment', 'step': 1, 'config': config}
  weights.save_weights('segment.safetensors', variables, metadata)
  made.save_depth('depth.safetensors')
  pathlib.Path('photos').mkdir()
  for name, factor in (('a', 0.4), ('b', 0.9)):
    photo = factor * refiners.smooth(_H, _W) * np.float32([1, 0.5, 0.2])
    images.write_image(f'photos/{name}.png', photo)


def _read(path):
  values = images.read_pixels(path)
  assert values.dtype == np.uint8 and values.shape == (_H, _W)
  return values


def test_masks_have_the_size_of_the_photograph(run):
  loaded = predictors_lib.load_segmenter('segment.safetensors')
  photo = images.read_image('photos/a.png')
  assert predictors.frame(loaded, photo.shape[:2]) == (32, 48)
  found = depth.probability(photo, loaded)[..., 0]
  assert found.min() < 0.5 < found.max()
  code, out, _ = run('tom-masks photos/a.png -o a.png --weights=segment.safetensors')
  np.testing.assert_array_equal(_read('a.png'), np.where(found > 0.5, 255, 0))
  percent = f'{100 * (found > 0.5).mean():.1f} % glass or mirror'
  assert (code, out) == (0, f'a.png: {percent}; network input 48 x 32 pixels\n')


def test_folders_are_continued(run):
  line = 'tom-masks photos -o masks --weights=segment.safetensors'
  assert run(line)[1].endswith('\nmasks: 2 photographs\n')
  first = [_read(f'masks/{name}.png') for name in 'ab']
  pathlib.Path('masks/b.png').unlink()
  assert run(f'{line} --resume')[1].endswith('masks: 2 photographs, 1 of them existed already\n')
  np.testing.assert_array_equal([_read(f'masks/{name}.png') for name in 'ab'], first)


def test_tiny_photographs_are_enlarged_for_the_network(run):
  images.write_image('photos/a.png', np.ones((1, 3, 3)))
  assert run('tom-masks photos/a.png -o a.png --weights=segment.safetensors')[0] == 0
  assert images.read_pixels('a.png').shape == (1, 3)


_BAD = {
  'photos/a.png -o a.png': "Missing option '--weights'",
  'photos/a.png -o a.png --weights=depth.safetensors': (
    "depth.safetensors: holds weights of the task 'deeplens_depth'; weights of the task 'segment'"
  ),
  'photos/a.png -o a.png --weights=no': 'no: does not exist',
  'photos/a.png -o a.jpg --weights=segment.safetensors': "a.jpg: ends in '.jpg'; expected .png",
  'photos/a.png -o photos/a.png --weights=segment.safetensors': 'is one of the inputs;',
  'photos -o photos --weights=segment.safetensors': 'photos: is one of the inputs;',
  'segment.safetensors -o a.png --weights=segment.safetensors': 'is not an image that can be read',
  'no.png -o a.png --weights=segment.safetensors': 'no.png: does not exist',
}


@pytest.mark.parametrize('line', _BAD)
def test_invalid_input_is_refused(line, refuse):
  refuse(f'tom-masks {line}', _BAD[line])
