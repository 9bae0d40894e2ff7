"""The twins that the benchmarks time networks and operations against compute the same."""

import importlib
import pathlib

import jax
import numpy as np
import pytest

from depthjax.models.deeplens import discs
from depthjax.models.deeplens.lensblur import LensBlur, initial
from depthjax.ops import lens, scatter
from depthjax.pipelines.refocus import learned as learned_lib

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module', name='modules')
def fixture_modules():
  """The scripts by name, imported as they import each other."""
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / 'benchmarks'))
    yield {name: importlib.import_module(name) for name in ('lens', 'ops', 'torch_twin')}


@pytest.mark.parametrize('tilted', [(), (2,), (0, 1, 2)])
def test_numpy_twin_equals_the_tracer(modules, tilted):
  bench = modules['lens']
  scene = bench.scene(3, 40, 12, tilted=bool(tilted))
  fields = {'focus': 0.5, 'strength': 25.0, 'limit': 10.0, 'pad': 12, 'tilted': tilted}
  trace = jax.jit(lambda *arrays: lens.trace(*arrays, **fields))
  arrays = (*scene.values(), lens.vogel(9))
  expected = np.asarray(trace(*arrays))
  np.testing.assert_allclose(bench.numpy_trace(*arrays, **fields), expected, atol=1e-3)
  assert expected.std() > 0.05  # Noise: a tap that is off by a pixel would show.


def test_opencv_twin_equals_the_classical_renderer_on_whole_radii(modules):
  rng = np.random.default_rng(0)
  image = rng.random((40, 36, 3), np.float32)
  defocus = rng.integers(-5, 6, (40, 36, 1)).astype(np.float32)
  ours = jax.jit(lambda *x: scatter.scatter(*x, limit=4))(image, defocus)
  twin = modules['lens'].opencv_scatter(image, defocus, limit=4)
  np.testing.assert_allclose(twin[5:-5, 5:-5], ours[5:-5, 5:-5], atol=1e-4)


def test_operations_equal_what_they_are_timed_against(modules):
  report = modules['ops'].main('--size 16 --batch 2 --repeats 1'.split())
  quantiles, *enlargement = report.tables.values()
  assert [row['what'] for row in quantiles[::2]] == [
    'median',
    'median, a third counts',
    'eight levels',
  ]
  assert len(enlargement) == (modules['ops'].torch is not None)
  for row in (*quantiles, *(row for rows in enlargement for row in rows)):
    assert float(row['largest difference']) < 2e-5


def test_the_torch_twin_computes_what_the_network_does(modules):
  pytest.importorskip('torch')
  widths = (6, 6, 3, 3)
  model = LensBlur(width=4, upsampler_width=4, features=widths, upsampler_features=widths)
  variables = jax.device_get(jax.jit(lambda: initial(model))())
  rng = np.random.default_rng(0)
  # Statistics and biases that do something.
  variables = jax.tree.map(lambda x: x + rng.uniform(0, 0.1, x.shape).astype(np.float32), variables)
  image, blurred = rng.random((2, 1, 24, 40, 3), np.float32)
  defocus = rng.uniform(-1, 1, (1, 24, 40, 1)).astype(np.float32)
  guide = rng.random((1, 48, 80, 3), np.float32)
  around = (f(defocus, model.radius) for f in (discs.nearby_defocus, discs.least_defocus))
  place = np.asarray(discs.prior_inputs(defocus, *around, model.radius))
  blur, upsample = learned_lib.compiled(model)
  twin = modules['torch_twin'].Twin(model, variables)
  for ours, theirs, arrays in (
    (blur(variables, image, defocus), twin.blur, (image, defocus)),
    (
      upsample(variables, image, blurred, defocus, guide, (0, 0), place),
      twin.upsample,
      (image, blurred, defocus, guide, place),
    ),
  ):
    result = twin.array(theirs(*twin.tensors(arrays)))
    np.testing.assert_allclose(result, ours, atol=1e-4)
    assert np.std(result) > 0.05
