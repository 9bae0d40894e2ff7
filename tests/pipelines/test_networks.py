"""Networks as functions: equal to the pipelines, differentiable, and as programs in a file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.files.errors import Error
from depthjax.models.predictors import predictor as predictors
from depthjax.pipelines import networks
from depthjax.pipelines import predictors as predictors_lib
from depthjax.pipelines.mask_refine import learned as mask_learned
from depthjax.pipelines.refine import refine
from depthjax.pipelines.refocus import learned
from tests import processes, refiners
from tests.commands import made

_NAMES = ('depth', 'layered', 'lensblur', 'sddr')
_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in _NAMES if name != 'depth']


@pytest.fixture(name='paths', scope='module')
def fixture_paths(tmp_path_factory):
  """Weights of tiny networks, by name."""
  folder = tmp_path_factory.mktemp('networks')
  paths = {name: folder / f'{name}.safetensors' for name in _NAMES}
  made.save_depth(paths['depth'])
  made.save_layered(paths['layered'])
  made.save_lensblur(paths['lensblur'])
  refiners.save(paths['sddr'])
  return paths


@pytest.fixture(name='loaded', scope='module')
def fixture_loaded(paths):
  """(network, variables) by name."""
  return {name: networks.load(path) for name, path in paths.items()}


def _arrays(name, b=2):
  rng = np.random.default_rng(0)
  shapes = {'depth': [(16, 24, 3)], 'lensblur': [(128, 128, 3), (128, 128, 1)]}
  shapes['layered'] = [(32, 64, 3), (32, 64, 1), (32, 64, 1)]
  arrays = [rng.random((b, *x), np.float32) for x in shapes.get(name, [(128, 128, 1)] * 2)]
  return [arrays[0], 8 * arrays[1] - 4] if name == 'lensblur' else arrays


def _by_pipeline(name, path, *arrays):
  """The same by what the commands call, one example after the other."""
  if name == 'depth':
    predictor = predictors_lib.load(path)
    return predictors.output(predictor, predictor.variables, *arrays)
  if name == 'sddr':
    return np.stack(list(refine.fuse(refine.load(path), *arrays)))
  if name == 'layered':
    model, variables, _ = mask_learned.load(path)
    return np.concatenate(jax.jit(model.apply)(variables, *arrays), axis=-1)
  renderer = learned.load(path)
  return np.stack([learned.render(renderer, *x, 0) for x in zip(*arrays, strict=True)])


@pytest.mark.parametrize('name', ['depth', _SLOW[0], 'lensblur', 'sddr'])
def test_networks_equal_the_pipelines(paths, loaded, name):
  network, variables = loaded[name]
  arrays = _arrays(name)
  result = network(variables, *arrays)
  np.testing.assert_allclose(result, _by_pipeline(name, paths[name], *arrays), atol=1e-5)
  channels = {'lensblur': 3, 'layered': 2}
  assert result.shape == (*arrays[0].shape[:3], channels.get(name, 1))


@pytest.mark.parametrize('name', ['depth', *_SLOW])
def test_networks_have_finite_gradients(loaded, name):
  network, variables = loaded[name]
  arrays = _arrays(name, b=1)

  @jax.jit
  def gradient(variables):
    return jax.grad(lambda x: (network({**variables, 'params': x}, *arrays) ** 2).mean())(
      variables['params']
    )

  found = jax.tree.leaves(gradient(variables))
  assert all(jnp.isfinite(x).all() for x in found) and any(x.any() for x in found)


def test_networks_are_hashable_and_work_under_vmap(paths, loaded):
  network, variables = loaded['depth']
  assert {network, networks.load(paths['depth'])[0]} == {network}
  (image,) = _arrays('depth')
  many = jax.jit(jax.vmap(network, (None, 0)))(variables, image[:, None])
  np.testing.assert_allclose(many[:, 0], network(variables, image), atol=1e-5)


def test_wrong_arrays_are_refused_in_one_line(loaded):
  (image,), (low, high) = _arrays('depth'), _arrays('sddr')
  wrong = [(image, image), (image[:, :15],), (image[0],), (image[..., :1],), ()]
  wrong = [('depth', x) for x in [*wrong, (image.astype(np.uint8),)]]
  wrong += [('sddr', (low, high[:1])), ('sddr', (low[:, :64], high[:, :64]))]
  for name, arrays in wrong:
    network, variables = loaded[name]
    with pytest.raises(Error, match=r'^.*: the arrays are .*; they must be .*\[b .*$'):
      network(variables, *arrays)


_CALL = """
import sys, jax.export, numpy
arrays = numpy.load(f'{sys.argv[1]}.npz')
program = jax.export.deserialize(open(sys.argv[1], 'rb').read())
assert program.platforms == ('cpu', 'cuda', 'tpu')
result = program.call(*(arrays[f'arr_{i}'] for i in range(len(arrays) - 1)))
numpy.testing.assert_allclose(result, arrays['result'], atol=1e-5)
assert not any(name.startswith(('depthjax', 'flax')) for name in sys.modules)
"""


@pytest.mark.parametrize('name', ['depth', *_SLOW])
def test_exported_programs_return_the_same_in_another_process(paths, loaded, tmp_path, name):
  arrays, path = _arrays(name), tmp_path / 'a.stablehlo'
  network = networks.export(paths[name], arrays[0].shape[1:3], path)
  np.savez(f'{path}.npz', *arrays, result=network(loaded[name][1], *arrays))
  done = processes.python(_CALL, path)
  assert (done.returncode, done.stdout) == (0, ''), done.stderr


def test_impossible_exports_are_refused(paths, tmp_path, monkeypatch):
  for name, size, path, words in (
    ('depth', (16, 16), 'a.bin', "ends in '.bin'; expected"),
    ('depth', (16, 15), 'a.stablehlo', r'size is 16 x 15; the inputs must be image \[b h w 3\]'),
    ('sddr', (128, 256), 'a.stablehlo', r'size is 128 x 256; the inputs must be low \[b s s 1\]'),
  ):
    with pytest.raises(Error, match=words):
      networks.export(paths[name], size, tmp_path / path)
  monkeypatch.setattr(networks, '_LARGEST', 1000)
  with pytest.raises(Error, match='GB of weights; expected a network with at most'):
    networks.export(paths['depth'], (16, 16), tmp_path / 'a.stablehlo')
  assert not list(tmp_path.iterdir())
