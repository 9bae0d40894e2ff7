"""Where the numbers of a run come from: code, packages, devices, command and data."""

import datetime
import importlib.metadata
import json
import pathlib
import platform
import shlex
import subprocess
import sys
from typing import Any

import jax
import ml_collections

from depthjax.data.sources import fingerprint

NAME = 'provenance.jsonl'
_PACKAGE = pathlib.Path(__file__).parents[2]  # The checkout, or site-packages.
_PACKAGES = 'depthjax jax jaxlib flax optax orbax-checkpoint grain numpy'.split()


def describe(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """The provenance of a run with this config in this process, as JSON values.

  `commit` and `project` are the `revision` of the depthjax checkout and of another repository in
  the current folder, '' without one; `data` is fingerprint.fingerprints.
  """
  here = revision(pathlib.Path.cwd())
  commit = revision(_PACKAGE) if (_PACKAGE / '.git').exists() else ''
  kinds = sorted({device.device_kind for device in jax.devices()})
  return {
    'commit': commit,
    'project': here if here != commit else '',
    'versions': {'python': platform.python_version()} | {x: _version(x) for x in _PACKAGES},
    'devices': f'{jax.device_count()} x {", ".join(kinds)}',
    'processes': jax.process_count(),
    'command': shlex.join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]),
    'data': fingerprint.fingerprints(config.data.to_dict()),
  }


def append(workdir: pathlib.Path, entry: dict[str, Any]) -> None:
  """Appends a line to WORKDIR/provenance.jsonl: the time (UTC) of a start, and `describe`."""
  time = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
  with open(workdir / NAME, 'a', encoding='utf-8') as file:
    file.write(json.dumps({'time': time, **entry}) + '\n')


def summary(entry: dict[str, Any]) -> str:
  """An entry of `describe` in a few words."""
  data = ''.join(f', {where} {name}' for where, name in entry['data'].items())
  commit = entry['commit'] or f'depthjax {entry["versions"]["depthjax"]}'
  return f'{commit}, jax {entry["versions"]["jax"]}, {entry["devices"]}{data}'


def revision(folder: pathlib.Path) -> str:
  """The git commit of a folder, with '-dirty' if tracked files differ; '' if there is none."""
  command = ['git', '-C', str(folder), 'describe', '--always', '--abbrev=40', '--exclude=*']
  try:
    done = subprocess.run([*command, '--dirty'], capture_output=True, text=True, timeout=60)
  except (OSError, subprocess.TimeoutExpired):
    return ''
  return done.stdout.strip() if done.returncode == 0 else ''


def _version(package: str) -> str:
  return next((x.version for x in importlib.metadata.distributions(name=package)), '')
