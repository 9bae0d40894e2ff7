"""Who may import whom: the floors of the house, read off the source of every module."""

import ast
import functools
import graphlib
import os
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[1]
_STANDARD = sys.stdlib_module_names

# What a room (a package of depthjax, or a module beside them) may import of the others, itself
# aside, and of other people's packages.
_ROOMS = {
  'ops': 'jax numpy',
  'losses': 'ops jax numpy',
  'metrics': 'ops jax numpy scipy skimage',
  'models': 'ops jax numpy flax',
  'ldi': 'ops jax numpy',
  'windows': 'numpy',
  'tasks': 'models ops losses metrics windows jax numpy ml_collections',
  'pipelines': 'models ops ldi files windows jax numpy scipy cv2',
  'scoring': 'pipelines metrics ops data files jax numpy',
  'files': 'numpy cv2 PIL jinja2 safetensors OpenEXR imageio_ffmpeg matplotlib',
  'data': 'files windows numpy grain cv2 PIL skimage scipy tensorflow_datasets fsspec',
  'configuring': 'data ml_collections',
  'rules': 'configuring jax',
  'parallel': 'configuring rules jax numpy',
  'processes': 'configuring jax numpy',
  'train': (
    'tasks parallel processes configuring rules data files '
    'jax numpy flax optax orbax ml_collections rich tensorboardX'
  ),
  'reproduce': 'configuring train files data ops pipelines scoring cv2 numpy ml_collections',
  'plan': 'configuring train data jax numpy ml_collections rich',
  'convert': 'models files jax numpy safetensors torch',
  'prepare': 'files data numpy cv2 h5py tensorflow_datasets array_record',
  'configs': 'configuring ml_collections',
}
# These may import everything; nothing below may import them. The rooms of `cli` are its commands.
_ROOFS = {'main', 'cli', 'commands', 'demo'}
# Where a package, or one name of it, is at home.
_HOMES = {
  'flax.linen': ('depthjax/models/',),
  'optax': ('depthjax/train/',),
  'orbax': ('depthjax/train/checkpoint.py',),
  'jax.sharding.PartitionSpec': ('depthjax/parallel.py',),
}
# Extras that may be missing: a message names them, where they are used.
_OPTIONAL = {'imageio_ffmpeg', 'OpenEXR', 'matplotlib', 'h5py', 'torch'}


@functools.cache
def _files():
  return sorted([*_ROOT.glob('depthjax/**/*.py'), *_ROOT.glob('configs/*.py')])


def _name(path):
  return path.relative_to(_ROOT).as_posix()


def _module(path):
  parts = path.relative_to(_ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def _room(path):
  parts = path.relative_to(_ROOT).parts
  return parts[0] if parts[0] == 'configs' or len(parts) == 1 else pathlib.Path(parts[1]).stem


def _imported(node):
  """The dotted names that an import statement names, `from` and name joined."""
  if isinstance(node, ast.Import):
    return [alias.name for alias in node.names]
  assert node.level == 0, 'imports here are absolute'
  return [f'{node.module}.{alias.name}' for alias in node.names]


@functools.cache
def _imports(path):
  """(dotted name, whether it is inside a function) of all imports of a file."""
  found = []

  def visit(node, inside):
    if isinstance(node, ast.Import | ast.ImportFrom):
      found.extend((name, inside) for name in _imported(node))
    inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
      visit(child, inside)

  visit(ast.parse(path.read_text(encoding='utf-8')), False)
  return found


def _attributes(path):
  """Dotted names that the code spells out, such as jax.sharding.PartitionSpec."""
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    names = []
    while isinstance(node, ast.Attribute):
      names.append(node.attr)
      node = node.value
    if isinstance(node, ast.Name) and names:
      yield '.'.join([node.id, *reversed(names)])


def _refusals(room, imports):
  """The imports of a file in a room that its row does not allow."""
  allowed = {room, *_ROOMS[room].split()}
  for name, _ in imports:
    top, _, rest = name.partition('.')
    target = rest.partition('.')[0] if top == 'depthjax' else top
    if top not in _STANDARD and target not in allowed:
      yield name


@pytest.mark.parametrize('path', _files(), ids=_name)
def test_a_room_imports_what_lies_below_it(path):
  room = _room(path)
  if room in _ROOFS or path == _ROOT / 'depthjax/__init__.py':
    return
  assert room in _ROOMS, f'{room} has no row here: say what it may import'
  assert not list(_refusals(room, _imports(path)))


@pytest.mark.parametrize(
  'room, name',
  [
    ('ops', 'depthjax.models.layers'),
    ('data', 'jax'),
    ('data', 'jax.numpy'),
    ('data', 'optax'),
    ('files', 'flax.struct'),
    ('files', 'depthjax.data.scenes'),
    ('tasks', 'depthjax.train.loop'),
    ('train', 'depthjax.pipelines.refocus'),
    ('train', 'depthjax.cli'),
    ('configs', 'depthjax.tasks'),
    ('configs', 'jax'),
  ],
)
def test_the_rows_refuse_what_the_design_forbids(room, name):
  assert list(_refusals(room, [('os.path', False), (f'depthjax.{room}.x', False), (name, False)]))


@pytest.mark.parametrize('package', _HOMES)
def test_packages_stay_at_home(package):
  last = package.rpartition('.')[2]
  users = {
    _name(path)
    for path in _files()
    for name in (*(name for name, _ in _imports(path)), *_attributes(path))
    if f'{name}.'.startswith(f'{package}.') or (last == 'PartitionSpec' and last in name)
  }
  assert users, f'nothing uses {package}: is it spelt so?'
  assert {name for name in users if not name.startswith(_HOMES[package])} == set()


def test_nothing_imports_inside_functions_but_optional_extras():
  inside = {
    (_name(path), name)
    for path in _files()
    for name, inside in _imports(path)
    if inside and name.partition('.')[0] not in _OPTIONAL
  }
  assert inside == set()


def test_optional_extras_are_imported_nowhere_else():
  for path in _files():
    for name, inside in _imports(path):
      assert inside or name.partition('.')[0] not in _OPTIONAL, (_name(path), name)


def test_no_import_cycles():
  modules = {_module(path) for path in _files()}
  graph = {}
  for path in _files():
    names = [name for name, _ in _imports(path)]
    # `from depthjax.data import scenes` names a module; `import Scene from ...` one's attribute.
    targets = {name if name in modules else name.rpartition('.')[0] for name in names}
    graph[_module(path)] = (targets & modules) - {_module(path)}
  assert sum(map(len, graph.values())) > 50
  graphlib.TopologicalSorter(graph).prepare()


_IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
  importlib.import_module(name)
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), 'a device was started'
"""


def test_importing_everything_starts_no_device():
  modules = [_module(path) for path in _files()]
  done = subprocess.run(
    [sys.executable, '-c', _IMPORT_ALL, *modules],
    env={**os.environ, 'PYTHONPATH': str(_ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout == '', 'importing prints nothing'
