"""Damaged checkpoints are reported, renamed and skipped; the run resumes from an older one."""

import contextlib
import errno
import os
import pathlib
import shutil
from unittest import mock

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from depthjax import processes
from depthjax.files.errors import InputError
from depthjax.train import checkpoint, evaluate
from depthjax.train import experiment as experiment_lib
from tests.faults import machines


@pytest.fixture(scope='module')
def abstract():
  return experiment_lib.build(machines.config()).runner.abstract


def _copy(reference: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
  best = shutil.ignore_patterns('2')  # Has the lowest loss.
  shutil.copytree(reference / 'checkpoints', target / 'checkpoints', ignore=best)
  return target / 'checkpoints'


def _opened(folder: pathlib.Path, **options) -> contextlib.closing:
  return contextlib.closing(checkpoint.Checkpoints(folder, **options))


def _names(folder: pathlib.Path) -> set[str]:
  return {path.name for path in folder.iterdir()}


def _cut(path: pathlib.Path) -> None:
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: pathlib.Path) -> None:
  path.write_bytes(b'')


@pytest.mark.parametrize('damage', [pathlib.Path.unlink, _cut, _empty], ids=lambda f: f.__name__)
def test_damage_of_any_file_is_detected_or_harmless(reference_of_two, tmp_path, abstract, damage):
  """Also without late tracebacks: pytest turns these into errors."""
  folder = _copy(reference_of_two, tmp_path)
  original = tmp_path / 'original'
  shutil.copytree(folder / '12', original)
  found = {'undamaged': 0, 'damaged': 0}
  with _opened(folder, read_only=True) as checkpoints:
    expected = jax.device_get(checkpoints.restore(abstract, 12))
    for path in [path for path in sorted(original.rglob('*')) if path.is_file()]:
      damage(folder / '12' / path.relative_to(original))
      try:
        state = jax.device_get(checkpoints.restore(abstract, 12))
        jax.tree.map(np.testing.assert_array_equal, state, expected)
        found['undamaged'] += 1
      except checkpoint.Damaged as error:
        assert len(str(error).splitlines()) == 1
        found['damaged'] += 1
      shutil.rmtree(folder / '12')
      shutil.copytree(original, folder / '12')
  assert found['damaged'] >= 3 and found['undamaged'] >= 3, found


def _remove_files(folder: pathlib.Path) -> None:
  shutil.rmtree(folder)
  folder.mkdir()


def test_damaged_checkpoints_are_renamed_and_their_steps_saved_again(
  reference, tmp_path, abstract, caplog
):
  folder = _copy(reference, tmp_path)
  _remove_files(folder / '12')
  _empty(folder / '10' / 'default' / '_METADATA')
  with _opened(folder) as checkpoints:
    state, step = checkpoints.restore_newest(abstract)
    assert (step, int(state.step), max(checkpoints.records())) == (8, 8, 8)
    messages = [record.getMessage() for record in caplog.records if record.name.startswith('depth')]
    for step, message in zip((12, 10), messages, strict=True):
      assert f'{folder}/{step} is damaged' in message and f'to {step}.damaged' in message
    checkpoints.save(12, state, {})
  assert _names(folder) == {'8', '12', '10.damaged', '12.damaged'}
  _remove_files(folder / '12')
  with _opened(folder) as checkpoints:
    assert checkpoints.restore_newest(abstract)[1] == 8
  assert (folder / '12.damaged1').exists()


def test_evaluation_skips_damaged_checkpoints_and_renames_nothing(reference, tmp_path, caplog):
  folder = _copy(reference, tmp_path)
  _remove_files(folder / '12')
  before = sorted(folder.rglob('*'))
  assert evaluate.newest(machines.config(), tmp_path, 'test')['psnr/learned'] > 0
  assert f'{folder}/12 is damaged' in caplog.text and 'renamed' not in caplog.text
  assert sorted(folder.rglob('*')) == before


def test_no_undamaged_checkpoint_is_refused(reference, tmp_path, abstract):
  folder = _copy(reference, tmp_path)
  for step in (8, 10, 12):
    _remove_files(folder / str(step))
  with _opened(folder) as checkpoints:
    with pytest.raises(InputError, match='all checkpoints are damaged; the newest, 12'):
      checkpoints.restore_newest(abstract)
  assert _names(folder) == {'8', '10', '12'}


_SYSTEM_ERRORS = (
  *(OSError(number, os.strerror(number)) for number in (errno.EMFILE, errno.EACCES)),
  TimeoutError(),
  ValueError('RESOURCE_EXHAUSTED: Failed to open: "x": Too many files [os_error_code=\'24\']'),
)


@pytest.mark.parametrize('part', ['metadata', 'restore'])
def test_system_errors_do_not_count_as_damage(reference, tmp_path, abstract, monkeypatch, part):
  folder = _copy(reference, tmp_path)
  with _opened(folder) as checkpoints:
    for error in _SYSTEM_ERRORS:
      failing = mock.Mock(side_effect=error)
      monkeypatch.setattr(ocp.PyTreeCheckpointHandler, part, failing)
      with pytest.raises(InputError, match=f'^{folder}/12: cannot be read now') as caught:
        checkpoints.restore_newest(abstract)
      assert failing.called and '\n' not in str(caught.value)
      assert _names(folder) == {'8', '10', '12'}


def test_an_unreadable_disk_does_not_count_as_damage(reference, tmp_path, abstract):
  folder = _copy(reference, tmp_path)
  path = folder / '12' / 'default' / '_METADATA'
  path.unlink()
  path.symlink_to('/proc/self/mem')  # Reading it is an I/O error.
  with _opened(folder) as checkpoints:
    with pytest.raises(InputError, match=f'12: cannot be read now .{os.strerror(errno.EIO)}'):
      checkpoints.restore_newest(abstract)
  assert _names(folder) == {'8', '10', '12'}


def test_a_failure_in_another_process_applies_to_all(
  reference, tmp_path, abstract, monkeypatch, caplog
):
  # Refused; then refused and damaged of step 12 and of 10, and the barrier after the renames.
  answers = iter([True, False, True, False, False, True])
  with _opened(_copy(reference, tmp_path)) as checkpoints:
    with monkeypatch.context() as patch:
      patch.setattr(processes, 'any_process', lambda flag: next(answers))
      with pytest.raises(InputError, match='12: was refused by another process'):
        checkpoints.restore_newest(abstract)
      assert checkpoints.restore_newest(abstract)[1] == 10
  assert 'another process cannot read it' in caplog.text


def test_two_processes_resume_from_an_older_checkpoint(reference_of_two, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(reference_of_two, workdir)
  files = [path for path in (workdir / 'checkpoints/12').rglob('*') if path.is_file()]
  _cut(max(files, key=lambda path: path.stat().st_size))
  run = machines.trained(workdir)
  assert 'resuming from step 10' in run.out
  assert 'checkpoints/12 is damaged' in run.err and 'renamed to 12.damaged' in run.err
  machines.assert_same(workdir, reference_of_two)
