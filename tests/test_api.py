"""The functions of the package: lazy, equal to the commands, with errors of one class; its docs."""

import re
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import depthjax
from depthjax import api
from depthjax.files import images
from depthjax.models.predictors import catalogue
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import predictors as predictors_lib
from depthjax.pipelines.mask_refine import learned as layered_lib
from depthjax.pipelines.refine import refine as refine_lib
from depthjax.pipelines.refocus import refocus as refocus_lib
from tests import processes, refiners, tiny
from tests.commands import made
from tests.commands.conftest import fixture_run  # noqa: F401

_H, _W = 24, 40
_PHOTO = np.random.default_rng(0).integers(0, 256, (_H, _W, 3), np.uint8)
_DISPARITY = refiners.smooth(_H, _W)

_IMPORT = """
import sys, depthjax
assert not {'jax', 'numpy', 'flax'} & sys.modules.keys()
names = {'refocus', 'refine', 'mask_refine', 'predict_depth', 'load', '__version__'}
assert names <= set(dir(depthjax))
depthjax.refocus
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), 'a device was started'
"""


def test_import_is_lazy_and_starts_no_device():
  done = processes.python(_IMPORT)
  assert done.returncode == 0, done.stderr


def test_all_names_exist_for_users_and_for_type_checkers():
  text = (tiny.ROOT / 'depthjax/__init__.py').read_text()
  for name, module in depthjax._MODULES.items():
    assert getattr(depthjax, name).__name__ == name
    assert f'from depthjax.{module} import {name} as {name}\n' in text
  with pytest.raises(AttributeError, match="no attribute 'refokus'"):
    depthjax.refokus  # noqa: B018


class _Ramp(NamedTuple):
  """A stub network: from 1 at the left to 2 at the right, and a little more where it is bright."""

  def apply(self, variables, image, method):
    assert variables == {} and method == 'predict'
    return 0.1 * image[..., :1] + np.linspace(1, 2, image.shape[2])[:, None]


def _ramp(**fields):
  return Predictor('ramp', _Ramp(), 16, variables={}, **fields)


def test_photographs_of_all_types_give_the_same_prediction():
  photos = _PHOTO, _PHOTO.astype(np.uint16) * 257, _PHOTO / 255
  results = [depthjax.predict_depth(photo, _ramp()) for photo in photos]
  for disparity, depth in results:
    assert depth is None and disparity.dtype == np.float32
    np.testing.assert_allclose(disparity, results[0].disparity, atol=1e-6)
  both = {'disparity': results[0].disparity}, {'predictor': _ramp()}
  pictures = [depthjax.refocus(_PHOTO, method='classical', focus=0.2, **fields) for fields in both]
  np.testing.assert_allclose(*pictures, atol=1e-5)
  near, depth = depthjax.predict_depth(_PHOTO, _ramp(output='depth', metric=True))
  assert near.argmax() % _W == 0 and near.shape == depth.shape == (_H, _W, 1)
  np.testing.assert_allclose([depth.min(), depth.max()], [1, 2.1], atol=0.1)


def test_mask_refine_keeps_units_and_does_what_the_command_does(run, caplog):
  photo = np.kron(_PHOTO, np.ones((4, 4, 1), np.uint8))
  images.write_image('photo.png', photo / np.float32(255))
  mask = np.zeros(photo.shape[:2], np.uint8)
  mask[20:60, 40:120] = 255
  images.write_image('mask.png', mask / np.float32(255))
  depth = 1 / (0.2 + refiners.smooth(*mask.shape) + (np.roll(mask, 1)[..., None] > 0))
  np.save('depth.npy', depth)
  fields = {'method': 'fill', 'convention': 'depth'}
  line = 'mask-refine photo.png depth.npy mask.png -o out.npy --method=fill --convention=depth'
  for invert in (False, True):
    assert run(f'{line} --invert' if invert else line)[0] == 0
    caplog.clear()
    for given in (mask, mask > 0, mask / 255, [mask, mask]):
      result = depthjax.mask_refine(photo, depth, given, invert=invert, **fields)
      assert result.shape == depth.shape and 0 < (result != depth).mean() < 0.1
      np.testing.assert_array_equal(result[..., 0], np.load('out.npy'))
    assert ('farther side' in caplog.text) == invert
  predicted = depthjax.mask_refine(photo, None, mask, predictor=_ramp(), method='fill')
  change = np.abs(predicted - depthjax.predict_depth(photo, _ramp()).disparity)
  assert 0 < (change > 1e-3).mean() < 0.1


def test_virtual_labels_are_those_of_the_command(run):
  images.write_image('photo.png', _PHOTO / np.float32(255))
  made.save_depth('net.safetensors')
  mask = np.zeros((_H, _W), np.uint8)
  mask[4:12, 8:30] = 2
  np.save('mask.npy', mask)
  line = 'tom-labels photo.png mask.npy -o label.npy --predictor=net.safetensors --passes=3'
  assert run(f'{line} --seed=4')[0] == 0
  fields = {'predictor': 'net.safetensors', 'passes': 3, 'seed': 4, 'name': 'photo'}
  for given in (mask, mask > 0, mask[..., None] / 2):
    label = depthjax.virtual_label(_PHOTO, given, **fields)
    np.testing.assert_array_equal(label[..., 0], np.load('label.npy'))
  assert (depthjax.virtual_label(_PHOTO, mask, **{**fields, 'name': 'other'}) != label).any()


@pytest.mark.slow
def test_functions_do_what_the_commands_do(run):
  images.write_image('photo.png', _PHOTO / np.float32(255))
  np.save('depth.npy', 3 * _DISPARITY[..., 0] + 2)
  made.save_lensblur('lens.safetensors')
  made.save_depth('net.safetensors')
  refiners.save('sddr.safetensors')
  depth, photo = np.load('depth.npy'), images.read_image('photo.png')
  assert run('refocus photo.png depth.npy -o a.png --bits=16 --focus=3,4 --aperture=1 --blades=6 '
             '--weights=lens.safetensors')[0] == 0  # fmt: skip
  fields = {'focus': (3, 4), 'aperture': 1, 'blades': 6, 'weights': 'lens.safetensors'}
  result = depthjax.refocus(_PHOTO, depth, **fields)
  np.testing.assert_allclose(result, images.read_image('a.png'), atol=1e-5)
  assert np.abs(result - photo).mean() > 0.01 and result.dtype == np.float32
  line = 'refine photo.png depth.npy -o b.npy --weights=sddr.safetensors --ensemble=2'
  for options, more in (
    (' --stages=2', {'stages': 2}),
    (' --predictor=net.safetensors', {'predictor': 'net.safetensors'}),
  ):
    assert run(f'{line} --input-size=128{options}')[0] == 0
    fields = {'weights': 'sddr.safetensors', 'ensemble': 2, 'input_size': 128, **more}
    result = depthjax.refine(depth, photo=photo, **fields)
    np.testing.assert_allclose(result[..., 0], np.load('b.npy'), atol=1e-4)
  fields |= {'predictor': _ramp(), 'stages': 2}
  assert np.ptp(depthjax.refine(photo=photo, **fields)) > 0.1


@pytest.mark.parametrize(
  'call, words',
  [
    (lambda: api.predict_depth(_PHOTO[0]), 'photo has the shape [40, 3]; it must be [h w 3]'),
    (lambda: api.predict_depth(_PHOTO / 100), 'photo has values from 0 to 2.55; floats must'),
    (lambda: api.predict_depth(_PHOTO.astype(int)), 'photo is of type int64; it must be uint8'),
    (lambda: api.predict_depth(_PHOTO, 'no/file'), 'no/file: '),
    (
      lambda: api.predict_depth(_PHOTO, _ramp(), input_size=0),
      'the input size is 0; it must be',
    ),
    (lambda: api.predict_depth(_PHOTO, ''), ': is neither the name of a predictor nor a file'),
    (lambda: api.refocus(_PHOTO, _DISPARITY, aperture='1'), "'<=' not supported between"),
    (lambda: api.refocus(_PHOTO, _DISPARITY, method='classical', weights='x'), 'weights are given'),
    (lambda: api.refine(_DISPARITY, ensemble=1.5), "'float' object cannot be interpreted as an"),
    (lambda: api.refocus(_PHOTO, _DISPARITY, aperture=7), 'the aperture is 7; it must be in'),
    (lambda: api.refocus(_PHOTO, _DISPARITY, method='best'), "method is 'best'; it can be"),
    (lambda: api.refocus(_PHOTO, _DISPARITY, predictor='x'), 'disparity and predictor are both'),
    (lambda: api.refocus(_PHOTO, 0 * _DISPARITY), 'disparity: is constant'),
    (lambda: api.refocus(_PHOTO, _PHOTO), 'disparity is uint8 of shape [24, 40, 3]; it must be'),
    (
      lambda: api.mask_refine(_PHOTO, _DISPARITY, 0 * _DISPARITY, method='fill'),
      'mask 0: is empty',
    ),
    (
      lambda: api.mask_refine(_PHOTO, _DISPARITY[:9], _DISPARITY),
      'disparity: is 40 x 9 pixels but',
    ),
    (lambda: api.mask_refine(_PHOTO, _DISPARITY, [], method='fill'), 'the list of masks is empty'),
    (lambda: api.mask_refine(_PHOTO, None, None, method='both'), "method is 'both'; it can be"),
    (
      lambda: api.virtual_label(_PHOTO, _DISPARITY[:9], _ramp()),
      'mask has the shape [9, 40] and passes is 5; they must be [24, 40], as the photo, and',
    ),
    (lambda: api.virtual_label(_PHOTO, _DISPARITY, passes=0), 'mask has the shape [24, 40] and pa'),
    (lambda: api.refine(_DISPARITY, stages=3), 'stages is 3; it must be 1 or 2'),
    (lambda: api.refine(photo=_PHOTO), 'low is missing; give low, or photo and predictor'),
    (lambda: api.refine(_DISPARITY * np.nan), 'the low map has NaN'),
  ],
)
def test_errors_are_one_line_of_one_class(call, words, monkeypatch):
  monkeypatch.setattr(api, '_sddr', refiners.tiny)
  with pytest.raises(depthjax.Error) as caught:
    call()
  assert str(caught.value).startswith(words) and '\n' not in str(caught.value)


@pytest.mark.slow
def test_examples_of_the_docs_run(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  Image.fromarray(_PHOTO).save('photo.jpg')
  made.save_depth('net.safetensors')
  refiners.save('sddr.safetensors')
  real = predictors_lib.load
  paths = {catalogue.DEFAULT: 'net.safetensors'}
  monkeypatch.setattr(predictors_lib, 'load', lambda x: real(paths[x]))
  monkeypatch.setattr(api, '_sddr', lambda: refine_lib.load('sddr.safetensors'))
  made.save_lensblur('lens.safetensors')
  monkeypatch.setattr(api, '_lensblur', lambda: refocus_lib.load('lens.safetensors'))
  made.save_layered('layered.safetensors')
  monkeypatch.setattr(api, '_layered', lambda: layered_lib.load('layered.safetensors'))
  text = (tiny.ROOT / 'docs/api.md').read_text()
  names = {}
  for code in re.findall(r'```python\n(.*?)```', text, re.DOTALL):
    exec(code, names)
  np.testing.assert_allclose(names['again'], names['values'], atol=1e-5)
  assert (tmp_path / 'blurred.png').exists()
  assert 'the aperture is 7; it must be in [0, 1]' in capsys.readouterr().out
