"""`depthjax tom-labels`: labels, their record, bad input, restarts and several processes."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys

import cv2
import jax
import numpy as np
import pytest

from depthjax.data import colours
from depthjax.files import images, labels, weights
from depthjax.pipelines import predictors, virtual_labels
from tests import messages, processes
from tests.commands import made

_H, _W = 24, 40
_LINE = 'tom-labels images masks -o out --predictor=.'
_ONE = 'tom-labels images/a.png masks/a.png -o a.npy --predictor=.'
_MASK = np.zeros((_H, _W), np.uint8)
_MASK[4:12, 5:15] = 1
_MASK[4:12, 25:30] = 2
_CODES = {'a': 255, 'b': 254, 'c': (0, 0, 127), 'd': 1, 'e': 0}


@pytest.fixture(autouse=True)
def folder(run, tmp_path):
  """The working folder: weights, photographs and their masks of several codes; e has no glass."""
  made.save_depth('weights.safetensors')
  rng = np.random.default_rng(0)
  for name in ('images', 'masks'):
    pathlib.Path(name).mkdir()
  for name, code in _CODES.items():
    cv2.imwrite(f'images/{name}.png', rng.integers(0, 256, (_H, _W, 3), np.uint8))
    cv2.imwrite(f'masks/{name}.png', np.multiply.outer(_MASK > 0, np.uint8(code)))
  return tmp_path


def _contents(where='out'):
  return {path.name: path.read_bytes() for path in pathlib.Path(where).glob('[!.]*')}


def test_a_folder_has_labels_previews_and_a_record(run):
  code, out, error = run(_LINE)
  assert (code, out.count('5 passes, 1 painted')) == (0, 4)
  assert 'out/e.npy: disparity of deeplens_depth, not painted, the mask is empty\n' in out
  assert sorted(_contents()) == sorted(
    ['labels.json', *(f'{x}.{end}' for x in _CODES for end in ('npy', 'png'))]
  )
  predictor = predictors.load('.')
  for name in 'abcde':
    photo = images.read_image(f'images/{name}.png')
    regions = (_MASK * (name != 'e') > 0).astype(int)
    expected = virtual_labels.label(photo, regions, colours.of_name(0, name, 5), predictor)
    found = np.load(f'out/{name}.npy')
    assert found.shape == (16, 32) and found.dtype == np.float32
    np.testing.assert_array_equal(found, expected[..., 0])
    preview = images.read_pixels(f'out/{name}.png') / 65535
    np.testing.assert_allclose(preview, (found - found.min()) / np.ptp(found), atol=1e-5)
  preset = {'passes': 5, 'colours': 'paper', 'ids': [], 'dilate': 0, 'seed': 0, 'masks': 'masks'}
  units = {'output': 'disparity', 'metric': False, 'input_size': 32, 'multiple': 8}
  record = labels.read_record('out')
  assert record == record | preset | units | {'predictor': 'deeplens_depth'}
  assert record['sha256'] == weights.digest(weights.load_weights('.')[0])


def test_a_second_start_goes_on_to_the_same_labels(run):
  """A label depends on its own photograph alone, and existing ones are not made again."""
  for name in 'bcde':
    shutil.move(f'images/{name}.png', f'{name}.png')
  assert run(_LINE)[0] == 0
  for name in 'bcde':
    shutil.move(f'{name}.png', f'images/{name}.png')
  time = pathlib.Path('out/a.npy').stat().st_mtime_ns
  assert run(_LINE)[1].endswith('out: 5 photographs, 1 of them existed already\n')
  assert pathlib.Path('out/a.npy').stat().st_mtime_ns == time
  first = _contents()
  for name in ('b.npy', 'd.png'):
    pathlib.Path('out', name).unlink()
  assert run(_LINE)[1].endswith('out: 5 photographs, 3 of them existed already\n')
  assert _contents() == first
  assert run(_LINE.replace('-o out', '-o again'))[0] == 0 and _contents('again') == first


def test_options_choose_what_is_painted_and_how(run):
  predictor, photo = predictors.load('.'), images.read_image('images/a.png')
  cv2.imwrite('masks/a.png', _MASK)
  for options, fields, key in (
    ('--passes=1', {}, (0, 'a', 1)),
    ('--ids=2,9 --seed=3', {'ids': [2, 9]}, (3, 'a', 5)),
    ('--colours=instance --dilate=2', {'instances': True, 'dilate': 2}, (0, 'a', 5, 2)),
  ):
    assert run(f'{_ONE} {options}')[0] == 0
    regions = virtual_labels.regions(_MASK, **fields)
    expected = virtual_labels.label(photo, regions, colours.of_name(*key), predictor)
    np.testing.assert_array_equal(np.load('a.npy'), expected[..., 0])
  assert not pathlib.Path('labels.json').exists()  # A record is of a folder.


# Claims all names.
_HOLDER = """
import fcntl, time
file = open('out/.claims', 'ab')
fcntl.lockf(file, fcntl.LOCK_EX)
print('held', flush=True)
time.sleep(600)
"""


def test_a_label_is_made_by_one_process_until_it_ends(run):
  pathlib.Path('out').mkdir()
  command = [sys.executable, '-c', _HOLDER]
  fields = {'env': processes.ENVIRONMENT, 'stdout': subprocess.PIPE, 'text': True}
  with subprocess.Popen(command, **fields) as process:
    try:
      assert process.stdout.readline() == 'held\n'
      code, out, _ = run(_LINE)
      assert code == 0 and out.count('is made by another process\n') == 5
      assert list(_contents()) == ['labels.json']
    finally:
      process.kill()
  assert run(_LINE)[1].count('disparity of') == 5


@pytest.mark.slow
def test_two_processes_make_the_labels_of_one():
  for i in range(20):
    shutil.copy('images/a.png', f'images/a{i}.png')
    shutil.copy('masks/a.png', f'masks/a{i}.png')

  def start(where):
    line = _LINE.replace('-o out', f'-o {where}').split()
    command = [sys.executable, '-m', 'depthjax.cli', *line]
    return subprocess.Popen(command, env=processes.ENVIRONMENT, stdout=subprocess.PIPE, text=True)

  started = [start(where) for where in ('two', 'two', 'one')]
  texts = [process.communicate(timeout=600)[0] for process in started]
  assert [process.returncode for process in started] == [0, 0, 0]
  counts = [text.count('disparity of') for text in texts]
  assert counts[0] + counts[1] == counts[2] == 25
  assert _contents('two') == _contents('one') and len(_contents('one')) == 51


_BAD = {
  f'{_LINE} --ids=7,9': 'masks: has no id of --ids=7,9; expected some of 0, 1, 254, 255',
  f'{_ONE} --ids=7': 'masks/a.png: has no id of --ids=7; expected some of 0, 255',
  f'{_ONE} --ids=0,1': "--ids is '0,1'; it must be ids above 0, such as 1,2",
  f'{_ONE} --ids=a': "--ids is 'a'; it must be ids above 0, such as 1,2",
  f'{_ONE} --passes=0': "'--passes' greater",
  _ONE.replace('a.npy', 'a.png'): "a.png: ends in '.png'; expected a file name ending in .npy",
  _ONE.replace('-o a', '-o images/a'): 'images/a.png: is one of the inputs;',
  _ONE.replace('masks/a.png', 'small.png'): 'small.png: is 20 x 24 pixels; expected 40 x 24 pixels',
  _LINE.replace('-o out', '-o masks'): 'masks: is one of the inputs;',
  f'{_LINE.replace("-o out", "-o made")} --passes=3': 'made: deeplens_depth passes 5; expected 3',
  _LINE.replace('-o out --predictor=.', '-o made --predictor=other'): 'made: sha256; expected',
  _LINE.replace('masks -o out', 'proxies -o made'): 'made: masks masks; expected masks proxies',
  f'{_ONE.replace("-o a", "-o made/a")} --seed=3': 'made: seed 0; expected seed 3',
  _LINE.replace('-o out', '-o damaged'): 'damaged/labels.json: is truncated or damaged;',
  _LINE.replace('-o out', '-o images.npy'): 'images.npy: has NPY files, but no labels.json; expect',
}


@pytest.mark.parametrize('line', _BAD)
def test_bad_input_is_refused(line, run, refuse):
  if 'small' in line:
    cv2.imwrite('small.png', _MASK[:, :20])
  shutil.copytree('masks', 'proxies')
  pathlib.Path('images.npy').mkdir()
  pathlib.Path('images.npy/a.npy').touch()
  if '-o made' in line:
    assert run(_LINE.replace('-o out', '-o made'))[0] == 0
  if 'other' in line:
    variables, metadata = weights.load_weights('.')
    pathlib.Path('other').mkdir()
    variables = jax.tree.map(lambda x: 2 * x, variables)
    weights.save_weights('other', variables, metadata)
  if 'damaged' in line:
    pathlib.Path('damaged').mkdir()
    pathlib.Path('damaged/labels.json').write_text('[1')
  refuse(line, _BAD[line])


def test_a_folder_without_permission_is_refused_in_one_line(run, monkeypatch):
  opened = os.open

  def denied(path, *arguments, **fields):
    if str(path).endswith('.claims'):
      raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return opened(path, *arguments, **fields)

  monkeypatch.setattr(os, 'open', denied)
  messages.assert_one_line(run(_LINE)[2], 'out/.claims: cannot be written (Permission denied);')


def test_masks_that_are_missing_or_of_another_size_fail_alone(run):
  cv2.imwrite('masks/a.png', _MASK[:, :20])
  pathlib.Path('masks/b.png').rename('masks/b.jpg')  # Without exact ids.
  code, _, error = run(_LINE)
  lines = [line for line in error.splitlines() if 'depthjax: ' in line]
  words = f'masks/a.png: is 20 x 24 pixels; expected {_W} x {_H} pixels, as images/a.png'
  assert code == 2 and words in lines[0]
  assert 'images/b.png: has no mask; expected masks/b ending in .npy, .png, .tif' in lines[1]
  assert '2 of 5 photographs failed, 1 of them without a mask' in lines[2]
  assert sorted(path.stem for path in pathlib.Path('out').glob('*.npy')) == list('cde')
