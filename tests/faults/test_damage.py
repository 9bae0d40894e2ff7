"""A damaged checkpoint is named, set aside and made again; the run goes on from the one before."""

import contextlib
import errno
import gc
import os
import pathlib
import shutil
import sys
import warnings

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from orbax.checkpoint._src.serialization import serialization

from depthjax import processes
from depthjax.files.errors import InputError
from depthjax.train import checkpoint, evaluate
from depthjax.train import experiment as experiment_lib
from tests.faults import machines


@pytest.fixture(scope='module')
def abstract():
  return experiment_lib.build(machines.config()).runner.abstract


def _copy(whole: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
  shutil.copytree(whole / 'checkpoints', target / 'checkpoints')
  return target / 'checkpoints'


@contextlib.contextmanager
def _opened(folder, **options):
  checkpoints = checkpoint.Checkpoints(folder, **options)
  with contextlib.closing(checkpoints):
    yield checkpoints


def _cut(path: pathlib.Path) -> None:
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: pathlib.Path) -> None:
  path.write_bytes(b'')


@pytest.mark.parametrize('damage', [pathlib.Path.unlink, _cut, _empty], ids=lambda f: f.__name__)
def test_every_file_counts_or_matters_to_nothing(whole_of_two, tmp_path, abstract, damage):
  """Whatever file of two processes' checkpoint is lost, cut or emptied: never other numbers."""
  folder = _copy(whole_of_two, tmp_path)
  kept = tmp_path / 'kept'
  shutil.copytree(folder / '12', kept)
  found = {'sound': 0, 'damaged': 0}
  with _opened(folder, read_only=True) as checkpoints:
    sound = jax.device_get(checkpoints.restore(abstract, 12))
    for path in [path for path in sorted(kept.rglob('*')) if path.is_file()]:
      damage(folder / '12' / path.relative_to(kept))
      try:
        state = jax.device_get(checkpoints.restore(abstract, 12))
        jax.tree.map(np.testing.assert_array_equal, state, sound)
        found['sound'] += 1
      except checkpoint.Damaged as error:
        assert len(str(error).splitlines()) == 1
        found['damaged'] += 1
      shutil.rmtree(folder / '12')
      shutil.copytree(kept, folder / '12')
  assert found['damaged'] >= 3 and found['sound'] >= 3, found


def _spoil(folder: pathlib.Path) -> None:
  shutil.rmtree(folder)
  folder.mkdir()


def test_a_damaged_one_is_named_and_made_again(whole, tmp_path, abstract, caplog):
  folder = _copy(whole, tmp_path)
  _spoil(folder / '12')
  _empty(folder / '10' / 'default' / '_METADATA')
  with _opened(folder) as checkpoints:
    state, step = checkpoints.restore_newest(abstract)
    assert (step, int(state.step), checkpoints.latest()) == (8, 8, 8)
    messages = [record.getMessage() for record in caplog.records if record.name.startswith('depth')]
    for damaged, message in zip((12, 10), messages, strict=True):
      assert (
        f'{folder}/{damaged} is damaged' in message and f'moved to {damaged}.damaged' in message
      )
    checkpoints.save(12, state)
  assert {path.name for path in folder.iterdir()} == {'8', '12', '10.damaged', '12.damaged'}
  _spoil(folder / '12')
  with _opened(folder) as checkpoints:
    assert checkpoints.restore_newest(abstract)[1] == 8
  assert (folder / '12.damaged2').exists()


def test_evaluation_falls_back_and_moves_nothing(whole, tmp_path, caplog):
  folder = _copy(whole, tmp_path)
  with _opened(folder, read_only=True) as checkpoints:
    assert checkpoints.latest() == 12
  _spoil(folder / '12')
  before = sorted(folder.rglob('*'))
  assert evaluate.newest(machines.config(), tmp_path, 'test')['psnr/learned'] > 0
  assert f'{folder}/12 is damaged' in caplog.text and 'moved' not in caplog.text
  assert sorted(folder.rglob('*')) == before


def test_none_that_is_sound_is_an_error_and_another_model_none(whole, tmp_path, abstract):
  folder = _copy(whole, tmp_path)
  for step in (8, 10, 12):
    _spoil(folder / str(step))
  with _opened(folder) as checkpoints:
    with pytest.raises(InputError, match='no sound checkpoint; the newest, 12, is damaged'):
      checkpoints.restore_newest(abstract)
  assert {path.name for path in folder.iterdir()} == {'8', '10', '12'}
  other = experiment_lib.build(machines.config(model__width=8)).runner.abstract
  with _opened(_copy(whole, tmp_path / 'other')) as checkpoints:
    with pytest.raises(InputError, match='is of another model'):
      checkpoints.restore_newest(other)
  assert {path.name for path in (tmp_path / 'other/checkpoints').iterdir()} == {'8', '10', '12'}


def test_what_another_process_cannot_read_is_damaged_here_too(
  whole, tmp_path, abstract, monkeypatch, caplog
):
  folder = _copy(whole, tmp_path)
  # Whether it is refused and whether it is damaged, of step 12 and of 10; and once all are moved.
  answers = iter([False, True, False, False, True])
  monkeypatch.setattr(processes, 'any_process', lambda flag: next(answers))
  with _opened(folder) as checkpoints:
    assert checkpoints.restore_newest(abstract)[1] == 10
  assert 'another process cannot read it' in caplog.text


@pytest.mark.parametrize(
  'error',
  [
    *(OSError(number, os.strerror(number)) for number in (errno.EMFILE, errno.EIO, errno.EACCES)),
    TimeoutError(),
    ValueError(
      'UNKNOWN: Error opening "zarr" driver: Failed to open: "x": Stale file handle [x=1]'
    ),
    ValueError('UNAVAILABLE: Error reading "x"'),
  ],
  ids=repr,
)
@pytest.mark.parametrize('part', ['metadata', 'restore'])
def test_a_read_that_fails_for_now_condemns_nothing(
  whole, tmp_path, abstract, monkeypatch, part, error
):
  folder = _copy(whole, tmp_path)

  def fail(*_, **__):
    raise error

  with _opened(folder) as checkpoints:
    monkeypatch.setattr(ocp.PyTreeCheckpointHandler, part, fail)
    with pytest.raises(InputError, match=f'^{folder}/12: cannot be read now') as caught:
      checkpoints.restore_newest(abstract)
    monkeypatch.undo()
    assert '\n' not in str(caught.value)
    assert {path.name for path in folder.iterdir()} == {'8', '10', '12'}
    assert checkpoints.restore_newest(abstract)[1] == 12


def test_a_disk_that_cannot_read_condemns_nothing(whole, tmp_path, abstract):
  folder = _copy(whole, tmp_path)
  path = folder / '12' / 'default' / '_METADATA'
  path.unlink()
  path.symlink_to('/proc/self/mem')  # Reading its start is an input/output error.
  with _opened(folder) as checkpoints:
    with pytest.raises(InputError, match=f'12: cannot be read now .{os.strerror(errno.EIO)}'):
      checkpoints.restore_newest(abstract)
  assert {path.name for path in folder.iterdir()} == {'8', '10', '12'}


def test_what_fails_for_now_elsewhere_is_refused_here_too(whole, tmp_path, abstract, monkeypatch):
  folder = _copy(whole, tmp_path)
  _spoil(folder / '12')
  with _opened(folder) as checkpoints:
    answers = iter([True])
    monkeypatch.setattr(processes, 'any_process', lambda flag: next(answers))
    with pytest.raises(InputError, match=f'^{folder}/12: is refused by another process'):
      checkpoints.restore_newest(abstract)
    monkeypatch.undo()
  assert {path.name for path in folder.iterdir()} == {'8', '10', '12'}


@pytest.mark.parametrize('action', ['error', 'default'])
def test_reads_that_never_began_are_silent_whenever_they_are_freed(
  whole, tmp_path, action, request, monkeypatch, recwarn
):
  """Orbax leaves them behind a read that failed; they are freed in the midst of anything."""
  told = []
  monkeypatch.setattr(sys, 'unraisablehook', told.append)
  request.addfinalizer(checkpoint._hook.cache_clear)
  checkpoint._hook.cache_clear()
  assert hasattr(serialization, '_read_array_index_and_device_put')  # By this name at Orbax.

  async def _read_array_index_and_device_put():
    pass

  async def of_ours():
    pass

  with _opened(_copy(whole, tmp_path), read_only=True):
    if action == 'error':  # As a test runner has it, of every test anew.
      warnings.simplefilter('error')
    for drop in (_read_array_index_and_device_put, of_ours):
      drop.__qualname__ = drop.__name__
      drop()
      gc.collect()
  messages = [str(late.exc_value) for late in told] + [str(late.message) for late in recwarn]
  assert messages == ["coroutine 'of_ours' was never awaited"]


@pytest.mark.slow
def test_two_processes_go_on_from_the_one_before(whole_of_two, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(whole_of_two, workdir)
  largest = max(
    (path for path in (workdir / 'checkpoints/12').rglob('*') if path.is_file()),
    key=lambda path: path.stat().st_size,
  )
  _cut(largest)
  run = machines.trained(workdir)
  assert 'resuming from step 10' in run.out
  assert 'checkpoints/12 is damaged' in run.err and 'moved to 12.damaged' in run.err
  machines.assert_same(workdir, whole_of_two)
