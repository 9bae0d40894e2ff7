"""`depthjax depth`: writes the disparity of the pipeline."""

import numpy as np
import pytest

from depthjax.files import depth as depth_files
from depthjax.files import images
from depthjax.pipelines import depth
from depthjax.pipelines import predictors as predictors_lib
from tests.commands import made


@pytest.fixture(autouse=True)
def folder(run):
  """The working folder, with a photograph and weights."""
  images.write_image('photo.png', np.random.default_rng(0).random((37, 61, 3)), bits=16)
  made.save_depth('weights.safetensors')


@pytest.mark.parametrize('name, scale', [('out.png', 65535), ('out.npy', 1)])
def test_disparity_is_written_at_the_size_of_the_photograph(run, name, scale):
  code, out, err = run(f'depth photo.png -o {name} --weights=.')
  assert (err, code) == ('', 0)
  assert out == f'{name}: disparity, near is large; network input 32 x 16 pixels\n'
  expected = depth.predict(images.read_image('photo.png'), predictors_lib.load('.'))[..., 0]
  assert expected.shape == (37, 61)
  np.testing.assert_allclose(depth_files.read_raw(name) / scale, expected, atol=1e-5)


def test_invalid_input_is_refused(refuse, monkeypatch):
  monkeypatch.setattr(depth, 'predict', None)
  refuse('depth no.png -o out.png --weights=.', 'no.png: does not exist; expected')
  refuse('depth photo.png -o out.jpg --weights=.', "out.jpg: ends in '.jpg'; expected .png")
  refuse('depth photo.png -o out.png --weights=photo.png', 'photo.png: expected')
  images.write_image('large.png', np.zeros((1000, 1001), np.float32))
  refuse('depth large.png -o a.png --weights=. --max-megapixels=1', 'large.png: most 1.0 million')
  refuse('depth photo.png -o photo.png --weights=.', 'photo.png: is one of the inputs;')
