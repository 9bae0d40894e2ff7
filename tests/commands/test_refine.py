"""`depthjax refine`: the pipelines' maps, from files and as files, in their own units."""

import pathlib
import shutil

import numpy as np
import pytest

from depthjax.files import colormaps, images
from depthjax.files import depth as depth_files
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import maps
from depthjax.pipelines.refine import refine, resolutions, two_stage
from depthjax.pipelines.refine.two_stage import Settings
from tests import refiners
from tests.commands import made

_H, _W = 72, 104


def _low():
  """Disparity in units of its own, with a hole, [h w]."""
  values = 3 + 5 * refiners.smooth(_H // 2, _W // 2)[..., 0]
  values[4, 7] = np.nan
  return values


def _high():
  noise = np.random.default_rng(0).random((_H, _W), np.float32)
  return 100 * refiners.smooth(_H, _W)[..., 0] + 9 * noise


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """The working folder: a photograph, low and high maps, weights, and files that are not right."""
  monkeypatch.chdir(tmp_path)
  images.write_image('photo.png', np.random.default_rng(0).random((_H, _W, 3), np.float32))
  np.save('low.npy', _low())
  depth_files.write_depth('high.pfm', _high())
  refiners.save(tmp_path)
  # A network that needs no training: the command is about files.
  monkeypatch.setattr(refine, 'load', lambda path: refiners.mixing(0.6, 2, 1))
  return tmp_path


def _run(monkeypatch, line):
  return made.run(monkeypatch, f'refine {line} --weights=.')


def _filled():
  """The low map as it is read: the hole has the value of a neighbour."""
  return depth_files.fill(_low(), np.isfinite(_low()))[..., None]


def _assert_refined(name, expected, tolerance=1e-4):
  found = depth_files.read_raw(name)
  assert found.shape == expected.shape[:2]
  np.testing.assert_allclose(found, expected[..., 0], atol=tolerance * np.ptp(expected))


@pytest.mark.parametrize('ending', ['npy', 'pfm', 'exr'])
def test_two_maps_without_a_photograph(folder, monkeypatch, capsys, ending):
  """In the units of the low map, at the size of the high one."""
  assert _run(monkeypatch, f'--low=low.npy --high=high.pfm -o out.{ending}') == 0
  expected = refine.refine(_filled(), _high()[..., None], refine.load('.'))
  _assert_refined(f'out.{ending}', expected)
  assert capsys.readouterr().out == (
    f'out.{ending}: 104 x 72 pixels, disparity in the units of low.npy; '
    'the network saw 384 x 384 pixels\n'
  )


def test_a_size_is_rows_by_columns(folder, monkeypatch):
  assert _run(monkeypatch, '--low=low.npy --high=high.pfm -o out.npy --size=90x70') == 0
  expected = refine.refine(_filled(), _high()[..., None], refine.load('.'), shape=(90, 70))
  _assert_refined('out.npy', expected)


def test_a_trained_network_is_loaded(folder, monkeypatch):
  monkeypatch.undo()
  monkeypatch.chdir(folder)
  line = '--low=low.npy --high=high.pfm -o out.npy --side=128'
  assert _run(monkeypatch, line) == 0
  expected = refine.refine(_filled(), _high()[..., None], refiners.tiny(), side=128)
  _assert_refined('out.npy', expected)


def test_sixteen_bits_hold_disparity_from_0_to_1_and_a_preview_its_colours(
  folder, monkeypatch, capsys
):
  assert _run(monkeypatch, 'photo.png low.npy -o out.png --high=high.pfm --preview') == 0
  expected = refine.refine(_filled(), _high()[..., None], refine.load('.'))
  unit = maps.unit(expected, '').values
  assert images.read_pixels('out.png').dtype == np.uint16
  _assert_refined('out.png', 65535 * unit)
  colours = images.read_image('out.preview.png')
  np.testing.assert_allclose(colours, colormaps.colour(unit), atol=0.02)
  assert 'disparity from 0 to 1, near is large' in capsys.readouterr().out


def test_one_map_is_low_and_high_at_once(folder, monkeypatch):
  """At the photograph's size, as the name of an argument or of an option."""
  expected = refine.refine(_filled(), _filled(), refine.load('.'), shape=(_H, _W))
  for line in ('photo.png low.npy -o out.npy', 'photo.png --low=low.npy -o other.npy'):
    assert _run(monkeypatch, line) == 0
  _assert_refined('out.npy', expected)
  _assert_refined('other.npy', expected)


def test_an_ensemble_is_asked_for(folder, monkeypatch):
  monkeypatch.undo()
  monkeypatch.chdir(folder)
  assert _run(monkeypatch, '--low=low.npy --high=high.pfm -o out.npy --ensemble=4') == 0
  pair = _filled(), _high()[..., None], refiners.tiny()
  _assert_refined('out.npy', refine.refine(*pair, ensemble=4))
  assert np.abs(np.load('out.npy') - refine.refine(*pair)[..., 0]).max() > 1e-3


@pytest.mark.parametrize('stages', [1, 2])
def test_one_line_for_the_whole_picture_is_asked_for(folder, monkeypatch, stages):
  line = f'--low=low.npy --high=high.pfm -o out.npy --align=whole --stages={stages}'
  assert _run(monkeypatch, line) == 0
  maps_, net = (_filled(), _high()[..., None]), refine.load('.')
  if stages == 1:
    local, whole = (refine.refine(*maps_, net, local=x) for x in (True, False))
  else:
    local, whole = (
      two_stage.refine(*maps_, net, settings=Settings(local=x)) for x in (True, False)
    )
  _assert_refined('out.npy', whole, 1e-5)
  assert np.abs(local - whole).max() > 1e-3


def test_depth_stays_depth(folder, monkeypatch, capsys):
  """Far is large in the low map, in metres, and near in the high one."""
  np.save('depth.npy', 1 / _low())
  line = 'photo.png depth.npy --high=high.pfm -o {} --convention=depth --high-convention=disparity'
  assert _run(monkeypatch, line.format('out.npy')) == 0
  expected = refine.refine(_filled(), _high()[..., None], refine.load('.'))
  _assert_refined('out.npy', 1 / np.clip(expected, _filled().min(), _filled().max()))
  assert 'depth in the units of depth.npy' in capsys.readouterr().out
  assert _run(monkeypatch, line.format('out.pfm') + ' --scale=unit') == 0
  _assert_refined('out.pfm', maps.unit(expected, '').values)


def test_a_value_can_mark_what_is_missing(folder, monkeypatch):
  np.save('low.npy', np.nan_to_num(_low(), nan=-1))
  assert _run(monkeypatch, '--low=low.npy --high=high.pfm -o out.npy --invalid=-1') == 0
  _assert_refined('out.npy', refine.refine(_filled(), _high()[..., None], refine.load('.')))


@pytest.mark.parametrize(
  'options', ['', ' --levels=3 --chunk=2 --side=256', ' --nearest', ' --ensemble=2']
)
def test_two_stages_on_windows_of_a_stored_map(folder, monkeypatch, capsys, options):
  line = f'--low=low.npy --high=high.pfm -o out.npy --stages=2{options}'
  assert _run(monkeypatch, line) == 0
  settings = Settings()
  if 'levels' in options:
    settings = Settings(levels=3, side=256)
  if 'nearest' in options:
    settings = Settings(nearest=True)
  if 'ensemble' in options:
    settings = Settings(ensemble=2)
  expected = two_stage.refine(_filled(), _high()[..., None], refine.load('.'), settings=settings)
  _assert_refined('out.npy', expected, 1e-5)
  side, count = settings.side or 384, 29 if 'levels' in options else 13
  assert f'saw {side} x {side} pixels and {count} windows\n' in capsys.readouterr().out


@pytest.fixture
def net(folder, monkeypatch):
  """A depth net that sees the green of a photograph; the finer it looks, the more of the red."""

  def predict(photo, net):
    return photo[..., 1:2] + net.long_side / 64 * photo[..., :1]

  photo = np.repeat(refiners.smooth(_H, _W), 3, axis=-1)
  photo[..., 0] **= 4
  images.write_image('photo.png', photo, bits=16)
  net = Predictor('net', None, 64)
  monkeypatch.setattr(depth_lib, 'load', lambda path: net)
  monkeypatch.setattr(depth_lib, 'predict', predict)
  return two_stage.of_depth_net(net)


def test_a_predictor_sees_the_sharp_map(net, monkeypatch):
  assert _run(monkeypatch, 'photo.png low.npy -o out.npy --predictor=run') == 0
  sharp = resolutions.predict(net, images.read_image('photo.png'), 128)
  _assert_refined('out.npy', refine.refine(_filled(), sharp, refine.load('.')))


@pytest.mark.parametrize('resolution', [None, 48])
def test_a_predictor_alone_sees_both_maps(net, monkeypatch, capsys, resolution):
  option = f' --high-resolution={resolution}' if resolution else ''
  assert _run(monkeypatch, f'photo.png -o out.npy --predictor=run{option}') == 0
  photo = images.read_image('photo.png')
  low, high = (resolutions.predict(net, photo, at) for at in (64, resolution or 128))
  _assert_refined('out.npy', refine.refine(low, high, refine.load('.')), 1e-5)
  assert 'disparity in the units of the prediction' in capsys.readouterr().out


@pytest.mark.parametrize('options', ['', ' --adaptive', ' --adaptive --alpha=0.002'])
def test_a_predictor_is_asked_about_windows(net, monkeypatch, options):
  assert _run(monkeypatch, f'photo.png low.npy -o out.npy --predictor=run --stages=2{options}') == 0
  photo = images.read_image('photo.png')
  sharp = resolutions.predict(net, photo, 128)
  alpha = 0.002 if 'alpha' in options else None
  settings = Settings(adaptive='adaptive' in options, alpha=alpha)
  fields = {'photo': photo, 'predictor': net, 'settings': settings}
  _assert_refined('out.npy', two_stage.refine(_filled(), sharp, refine.load('.'), **fields), 1e-5)


def _fill(name, **files):
  pathlib.Path(name).mkdir()
  for stem, source in files.items():
    shutil.copy(source, f'{name}/{stem}{pathlib.Path(source).suffix}')


def test_folders_of_photographs_but_for_what_cannot_be(folder, monkeypatch, capsys):
  np.save('square.npy', _low()[:, :36])
  depth_files.write_depth('depth.pfm', 1 / _high())
  _fill('photos', a='photo.png', b='photo.png', c='photo.png', d='photo.png', e='photo.png')
  _fill('lows', a='low.npy', b='low.npy', c='square.npy', d='low.npy', e='low.npy')
  _fill('highs', a='high.pfm', b='high.pfm', c='high.pfm', d='depth.pfm')
  assert _run(monkeypatch, 'photos lows --high=highs -o out --format=npy') == 2
  assert sorted(path.name for path in folder.glob('out/*')) == ['a.npy', 'b.npy']
  _assert_refined('out/b.npy', refine.refine(_filled(), _high()[..., None], refine.load('.')))
  out, error = capsys.readouterr()
  assert len(out.splitlines()) == 2
  lines = [line for line in error.splitlines() if line.startswith('depthjax: ')]
  for line, words in zip(
    lines,
    ['lows/c.npy: is 36 x 36', 'lows/d.npy: runs against highs/d.pfm', 'e.png: has no depth map']
    + ['3 of 5 photographs failed, 1 of them without a depth map'],
    strict=True,
  ):
    assert words in line


def test_folders_of_maps_alone(folder, monkeypatch, capsys):
  _fill('lows', a='low.npy', b='low.npy')
  _fill('highs', a='high.pfm', b='high.pfm')
  assert _run(monkeypatch, '--low=lows --high=highs -o out') == 0
  assert sorted(path.name for path in folder.glob('out/*')) == ['a.png', 'b.png']
  assert capsys.readouterr().out.splitlines()[-1] == 'out: 2 depth maps'


def test_in_a_folder_too_nothing_is_done_that_cannot_be_written(folder, monkeypatch, capsys):
  _fill('lows', a='low.npy')
  _fill('highs', a='high.pfm')
  (folder / 'out' / 'a.png').mkdir(parents=True)
  monkeypatch.setattr(refine, 'refine', None)
  assert _run(monkeypatch, '--low=lows --high=highs -o out') == 2
  error = capsys.readouterr().err
  assert 'a.png: is a folder' in error and '1 of 1 depth maps failed' in error


def test_a_folder_for_a_predictor_alone(net, monkeypatch, folder):
  _fill('photos', a='photo.png')
  assert _run(monkeypatch, 'photos -o out --predictor=run') == 0
  assert [path.name for path in folder.glob('out/*')] == ['a.png']
