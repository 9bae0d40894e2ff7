"""What `depthjax refocus` cannot do: one line with exit code 2, and no output."""

import pathlib
import shutil

import pytest

from depthjax.pipelines.refocus import refocus
from tests import messages
from tests.commands import made


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """The working folder, with a photograph, its depth, and files that are not right."""
  monkeypatch.chdir(tmp_path)
  made.write()
  return tmp_path


# What a line gets wrong, and words of the one-line answer: the file, what is wrong, what is right.
_OK = 'refocus photo.png depth.png -o out.png'
_BAD = {
  'missing photo': ('refocus no.png depth.png -o out.png', 'no.png: does not exist; expected'),
  'truncated photo': ('refocus cut.png depth.png -o out.png', 'cut.png: is truncated; complete'),
  'photo that is none': ('refocus nan.npy depth.png -o out.png', 'nan.npy: is not an image; PNG'),
  'depths are no folder': (
    'refocus photos depth.png -o out',
    'depth.png: is not a folder; expected a folder',
  ),
  'folder without photographs': (
    'refocus empty photos -o out',
    'empty: holds no photograph; expected files ending in .png',
  ),
  'output is a folder of photographs': (
    'refocus photos empty -o photos',
    'photos: is a folder that is read; expected another folder',
  ),
  'output of a folder is a file': (
    'refocus photos empty -o photo.png',
    'photo.png: is not a folder; expected a folder',
  ),
  'output of a folder in none': ('refocus photos empty -o no/out', 'no/out: cannot be made; name'),
  'missing depth': ('refocus photo.png no.png -o out.png', 'no.png: does not exist; expected'),
  'depth of another size': (
    'refocus photo.png square.png -o out.png',
    'square.png: is 36 x 36 pixels but the photo is 52 x 36; expected the size of the photo',
  ),
  'constant depth': ('refocus photo.png flat.png -o out.png', 'flat.png: is constant; vary'),
  'all-NaN depth': ('refocus photo.png nan.npy -o out.png', 'nan.npy: no valid pixel; expected'),
  'all depth invalid': (
    'refocus photo.png flat.png -o out.png --invalid=32768',
    'flat.png: has no valid pixel; expected',
  ),
  'unknown convention': (f'{_OK} --convention=near', "'--convention': 'near' 'disparity' 'depth'"),
  'unknown option': (f'{_OK} --blur=3', '--blur'),
  'unknown command': ('defocus photo.png', "command 'defocus'"),
  'no output': ('refocus photo.png depth.png', "Missing option '--output'"),
  'focus outside': (f'{_OK} --focus=52,3', '--focus: the point 52,3 is outside 52 x 36 pixels'),
  'focus malformed': (f'{_OK} --focus=12', "--focus is '12'; a pixel as x,y, such as"),
  'focus between pixels': (f'{_OK} --focus=1.5,2', "--focus is '1.5,2'; a pixel as x,y"),
  'both focuses': (f'{_OK} --focus=1,2 --focus-disparity=0.5', '--focus --focus-disparity one of'),
  'all focuses': (
    f'{_OK} --focus=1,2 --focus-box=1,2,3,4 --focus-disparity=0',
    '--focus and --focus-box and --focus-disparity one of',
  ),
  'box malformed': (f'{_OK} --focus-box=1,2,3', "--focus-box is '1,2,3'; a box as x0,y0,x1,y1"),
  'box empty': (f'{_OK} --focus-box=5,2,5,9', '--focus-box: the box 5,2,5,9 is empty x0 < x1'),
  'box outside': (f'{_OK} --focus-box=5,2,53,9', '--focus-box: box not within 52 x 36 pixels'),
  'disparity out of range': (f'{_OK} --focus-disparity=2', "'--focus-disparity'"),
  'disparity no number': (f'{_OK} --focus-disparity=nan', '--focus-disparity'),
  'aperture out of range': (f'{_OK} --aperture=1.5', "'--aperture'"),
  'aperture no number': (f'{_OK} --aperture=nan', 'aperture'),
  'radius negative': (f'{_OK} --radius=-1', "'--radius'"),
  'radius no number': (f'{_OK} --radius=nan', 'radius'),
  'radius infinite': (f'{_OK} --radius=inf', 'radius is inf pixels; a number from 0'),
  'radius too large': (f'{_OK} --radius=19', 'radius is 13.3 pixels; up to 13, long side'),
  'radius too large to learn': (
    f'{_OK} --radius=13 --weights=weights.safetensors',
    'radius of 9.1 pixels is too large for 52 x 36; at most 8 pixels',
  ),
  'aperture and radius': (f'{_OK} --aperture=0.5 --radius=4', '--aperture --radius give one of'),
  'classical with weights': (
    f'{_OK} --method=classical --weights=weights.safetensors',
    '--method=classical uses no weights; leave out one of',
  ),
  'missing weights': (
    f'{_OK} --weights=no.safetensors',
    'no.safetensors: does not exist; expected',
  ),
  'folder without weights': (f'{_OK} --weights=empty', 'empty: is a folder without; expected a'),
  'weights of another task': (
    f'{_OK} --weights=other.safetensors',
    "other.safetensors: weights of the task 'sddr'; expected 'lensblur'",
  ),
  'truncated weights': (
    f'{_OK} --weights=cut.safetensors',
    'cut.safetensors: is truncated; expected a complete file',
  ),
  'output folder missing': (
    'refocus photo.png depth.png -o no/out.png',
    'no/out.png: there is no folder no; expected an existing folder',
  ),
  'output is a folder': ('refocus photo.png depth.png -o empty', 'empty: is a folder; .png'),
  'output extension': (
    'refocus photo.png depth.png -o out.bmp',
    "out.bmp: ends in '.bmp'; expected .png .jpg",
  ),
  'animation to a picture': (f'{_OK} --animate=focus', 'out.png: animation; .mp4 .gif'),
  'picture to an animation': (
    'refocus photo.png depth.png -o out.mp4',
    'out.mp4: is an animation; expected --animate=focus',
  ),
  'animation too fast': (
    'refocus photo.png depth.png -o out.gif --animate=focus --fps=60',
    'out.gif: 60 frames a second; expected at most 50',
  ),
  'animation of a blur too large': (
    'refocus photo.png depth.png -o out.gif --animate=aperture --frames=4 --radius=19',
    'radius is 13.3 pixels; up to 13',
  ),
  'bits that no file has': (f'{_OK} --bits=12', 'out.png: 12 bits; expected 8 bits 16 bits'),
  'bits that a format lacks': (
    'refocus photo.png depth.png -o out.jpg --bits=16',
    'out.jpg: cannot hold 16 bits; expected .png',
  ),
}


# What only the renderer can tell. All else is refused before it does any work.
_LATE = ('radius infinite', 'radius too large', 'radius too large to learn')
_LATE += ('radius no number', 'animation of a blur too large')


def _not_to_be_called(*args, **kwargs):
  raise AssertionError('rendered what could not be written')


@pytest.mark.parametrize('case', _BAD)
def test_bad_input_is_one_line_and_no_output(folder, monkeypatch, capsys, case):
  line, words = _BAD[case]
  if 'weights=' in line:
    data = made.save_weights(folder).read_bytes()
    made.save_weights(folder / 'other.safetensors', task='sddr')
    pathlib.Path('cut.safetensors').write_bytes(data[: len(data) // 2])
  pathlib.Path('empty').mkdir()
  pathlib.Path('photos').mkdir()
  shutil.copy('photo.png', 'photos')
  if case not in _LATE:
    monkeypatch.setattr(refocus, 'refocus', _not_to_be_called)
  before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
  assert made.run(monkeypatch, line) == 2
  error = capsys.readouterr().err
  messages.assert_one_line(error, words)
  assert {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()} == before
