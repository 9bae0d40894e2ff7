"""The benchmarks of photographs: they find what they look for, and the twin is one."""

import importlib
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.files import depth as depth_files
from depthjax.files import images
from depthjax.models.deeplens import discs
from depthjax.models.deeplens.lensblur import LensBlur
from depthjax.ops import colour
from depthjax.pipelines.refocus import learned as learned_lib
from depthjax.pipelines.refocus import refocus

ROOT = pathlib.Path(__file__).parents[2]
_H, _W = 32, 48


@pytest.fixture(scope='module', name='modules')
def fixture_modules():
  """The scripts by name, imported as they import each other."""
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / 'benchmarks'))
    yield {name: importlib.import_module(name) for name in ('bokeh', 'refocus', 'torch_twin')}


@pytest.fixture
def pairs(tmp_path):
  """Two photographs and what the classical renderer makes of them, darker; one has a mask."""
  folder = tmp_path / 'pairs' / 'deeper'
  folder.mkdir(parents=True)
  disparity = np.zeros((_H, _W, 1), np.float32)
  disparity[:, _W // 2 :] = 1
  for i, (name, target, focus) in enumerate((('a', 'target', 1.0), ('b', '1_8', 0.0))):
    photo = np.random.default_rng(i).random((_H, _W, 3), np.float32)
    blurred = refocus.refocus(photo, disparity, focus=focus, radius=3)
    images.write_image(folder / f'{name}_input.png', photo, bits=16)
    images.write_image(folder / f'{name}_{target}.png', 0.6 * blurred, bits=16)
    images.write_image(folder / f'{name}_8.png', photo)
    depth_files.write_depth(folder / f'{name}_disp_u8.png', disparity)
    if name == 'a':
      images.write_image(folder / f'{name}_focal.png', disparity)
  return tmp_path / 'pairs'


def test_the_blur_that_made_a_photograph_is_found(modules, pairs, tmp_path, capsys):
  arguments = f'{pairs} --width {_W} --radii 1.5 3 5 --pictures {tmp_path / "out"}'
  arguments += f' --json {tmp_path / "bokeh.json"}'
  report = modules['bokeh'].main(arguments.split())
  each, mean = report.tables.values()
  assert [(row['photograph'], row['what'], row['radius']) for row in each] == [
    ('a target', 'untouched input', '0'),
    ('a target', 'classical', '3'),
    ('b 1_8', 'untouched input', '0'),
    ('b 1_8', 'classical', '3'),
  ]
  # The exposure is matched before the blur; the clipped and rounded photograph is not quite it.
  scores = [float(row['PSNR, dB']) for row in each]
  assert min(scores[1], scores[3]) > 20 > 18 > max(scores[0], scores[2])
  for name, values in (('untouched input', scores[::2]), ('classical', scores[1::2])):
    row = next(row for row in mean if row['what'] == name)
    assert float(row['PSNR, dB']) == pytest.approx(np.mean(values), abs=0.011)
  assert images.read_image(tmp_path / 'out/b_1_8.jpg').shape == (_H, 3 * _W, 3)
  assert json.loads((tmp_path / 'bokeh.json').read_text(encoding='utf-8'))['tables']
  assert 'mean over the photographs' in capsys.readouterr().out


def test_targets_and_masks_are_found_by_their_names(modules, pairs):
  bokeh = modules['bokeh']
  found = list(bokeh.triples(pairs, ['8', '1_8']))
  assert [(stem, word) for stem, word, _ in found] == [('a', '8'), ('b', '8'), ('b', '1_8')]
  (one,) = bokeh.triples(pairs, ['target'])
  assert bokeh.read(*one, _W).focuses == [1.0]
  assert len(bokeh.read(*found[-1], _W).focuses) == 5


def test_exposures_are_matched_in_linear_light(modules):
  light = np.random.default_rng(0).random((8, 9, 3), np.float32)
  gain = np.float32([0.3, 0.6, 0.9])
  photo, target = colour.linear_to_srgb(light), colour.linear_to_srgb(light * gain)
  np.testing.assert_allclose(modules['bokeh'].matched(photo, target), target, atol=1e-5)


def test_a_folder_without_photographs_is_one_line(modules, tmp_path, capsys):
  with pytest.raises(SystemExit):
    modules['bokeh'].main([str(tmp_path)])
  assert f'{tmp_path}: holds no NAME_input.*' in capsys.readouterr().err


def test_refocus_measures_a_picture_and_memory(modules, capsys):
  arguments = ['--measure', 'classical', '48', '--repeats', '2', '--aperture', '1']
  modules['refocus'].main(arguments)
  found = json.loads(capsys.readouterr().out)
  assert len(found['seconds']) == 3 and min(found['seconds']) > 0
  assert 0.1 < found['before'] <= found['peak'] < 100


@pytest.mark.slow
def test_refocus_prints_a_process_a_line(modules, tmp_path, capsys):
  arguments = '--sizes 48 --renderers classical --no-twin --repeats 1 --json'
  report = modules['refocus'].main([*arguments.split(), str(tmp_path / 'refocus.json')])
  (rows,) = report.tables.values()
  assert [(row['long side'], row['renderer']) for row in rows] == [(48, 'classical')]
  assert rows[0]['seconds'].median > 0 and rows[0]['peak, GB'] > 0.1
  assert 'compiling, s' in capsys.readouterr().out


def test_the_torch_twin_computes_what_the_network_does(modules):
  pytest.importorskip('torch')
  widths = (6, 6, 3, 3)
  model = LensBlur(width=4, upsampler_width=4, features=widths, upsampler_features=widths)
  variables = jax.device_get(jax.jit(lambda: learned_lib.initial(model))())
  rng = np.random.default_rng(0)
  # Statistics and biases that do something.
  variables = jax.tree.map(lambda x: x + rng.uniform(0, 0.1, x.shape).astype(np.float32), variables)
  image, blurred = rng.random((2, 1, 24, 40, 3), np.float32)
  defocus = rng.uniform(-1, 1, (1, 24, 40, 1)).astype(np.float32)
  guide = rng.random((1, 48, 80, 3), np.float32)
  near = discs.nearby(jnp.asarray(defocus), model.radius)
  place = np.asarray(discs.place(jnp.asarray(defocus), near, model.radius))
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
