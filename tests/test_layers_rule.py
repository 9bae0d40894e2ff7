"""Import rules between the packages of depthjax, checked on the source of every module."""

import ast
import functools
import graphlib
import pathlib
import sys

import pytest

from tests import processes

_ROOT = processes.ROOT
_STANDARD = sys.stdlib_module_names

# What each package (or top-level module) of depthjax may import, besides itself: other packages of
# depthjax, and third-party packages.
_ALLOWED = {
  'ops': 'jax numpy',
  'losses': 'ops jax numpy',
  'metrics': 'ops jax numpy scipy skimage',
  'plugins': '',
  'models': 'plugins ops jax numpy flax',
  'ldi': 'ops jax numpy',
  'windows': 'numpy',
  'tasks': 'plugins models ops losses metrics windows jax numpy ml_collections',
  'pipelines': 'convert models ops ldi files windows jax numpy scipy cv2 onnxruntime rembg',
  'scoring': 'pipelines metrics ops data files jax numpy',
  'files': (
    'numpy cv2 PIL tifffile jinja2 safetensors OpenEXR imageio_ffmpeg matplotlib pillow_heif '
    'huggingface_hub'
  ),
  'data': 'plugins files windows numpy grain absl cv2 PIL skimage scipy tensorflow_datasets fsspec',
  'configuring': 'plugins data files ml_collections',
  'rules': 'configuring jax',
  'parallel': 'configuring rules jax numpy',
  'processes': 'configuring jax numpy',
  'train': (
    'tasks parallel processes configuring rules data files '
    'jax numpy flax optax orbax ml_collections rich tensorboardX wandb'
  ),
  'study': 'configuring train files ml_collections',
  'reproduce': 'configuring train files data ops pipelines scoring cv2 numpy ml_collections',
  'plan': 'configuring train data jax numpy ml_collections rich',
  'convert': 'models files jax numpy safetensors torch',
  'prepare': 'files data numpy cv2 h5py tensorflow_datasets array_record',
  'configs': 'configuring ml_collections',
}
# These may import everything; no package above may import them.
_TOP = {'main', 'cli', 'commands', 'demo', 'api'}
# The only places that may import a package or a name.
_PLACES = {
  'flax.linen': ('depthjax/models/',),
  'optax': ('depthjax/train/',),
  'orbax': ('depthjax/train/checkpoint.py',),
  'jax.sharding.PartitionSpec': ('depthjax/parallel.py',),
}
# Optional dependencies, imported inside the functions that use them.
_OPTIONAL = set(
  'imageio_ffmpeg OpenEXR pillow_heif matplotlib huggingface_hub h5py torch wandb onnxruntime '
  'rembg'.split()
)


@functools.cache
def _files():
  return sorted([*_ROOT.glob('depthjax/**/*.py'), *_ROOT.glob('configs/*.py')])


def _name(path):
  return path.relative_to(_ROOT).as_posix()


def _module(path):
  parts = path.relative_to(_ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def _package(path):
  parts = path.relative_to(_ROOT).parts
  return parts[0] if parts[0] == 'configs' or len(parts) == 1 else pathlib.Path(parts[1]).stem


def _imported(node):
  """The dotted names of an import statement."""
  if isinstance(node, ast.Import):
    return [alias.name for alias in node.names]
  assert node.level == 0, 'imports here are absolute'
  return [f'{node.module}.{alias.name}' for alias in node.names]


@functools.cache
def _imports(path):
  """(dotted name, whether it is inside a function) for all imports of a file."""
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
  """Dotted attribute names in the code, such as jax.sharding.PartitionSpec."""
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    names = []
    while isinstance(node, ast.Attribute):
      names.append(node.attr)
      node = node.value
    if isinstance(node, ast.Name) and names:
      yield '.'.join([node.id, *reversed(names)])


def _violations(package, imports):
  """The imports that the table does not allow."""
  allowed = {package, *_ALLOWED[package].split()}
  for name, _ in imports:
    top, _, rest = name.partition('.')
    target = rest.partition('.')[0] if top == 'depthjax' else top
    if top not in _STANDARD and target not in allowed:
      yield name


@pytest.mark.parametrize('path', _files(), ids=_name)
def test_modules_import_only_what_the_table_allows(path):
  package = _package(path)
  if package in _TOP or path == _ROOT / 'depthjax/__init__.py':
    return
  assert package in _ALLOWED, f'{package} is missing in the table: add what it may import'
  assert not list(_violations(package, _imports(path)))


@pytest.mark.parametrize('package', ['ops', 'data', 'tasks', 'train', 'configs'])
def test_the_table_forbids_other_imports(package):
  right = [('os.path', False), (f'depthjax.{package}.x', False)]
  wrong = ['torch.nn', 'depthjax.cli', 'depthjax.pipelines.maps']
  assert list(_violations(package, [*right, *((name, False) for name in wrong)])) == wrong


@pytest.mark.parametrize('package', _PLACES)
def test_packages_are_used_only_in_their_places(package):
  last = package.rpartition('.')[2]
  users = {
    _name(path)
    for path in _files()
    for name in (*(name for name, _ in _imports(path)), *_attributes(path))
    if f'{name}.'.startswith(f'{package}.') or (last == 'PartitionSpec' and last in name)
  }
  assert users, f'nothing uses {package}: is it misspelt?'
  assert {name for name in users if not name.startswith(_PLACES[package])} == set()


def test_only_optional_dependencies_are_imported_inside_functions():
  for path in _files():
    for name, inside in _imports(path):
      assert inside == (name.partition('.')[0] in _OPTIONAL), (_name(path), name)


def test_no_import_cycles():
  modules = {_module(path) for path in _files()}
  graph = {}
  for path in _files():
    names = [name for name, _ in _imports(path)]
    # `from depthjax.data import scenes` imports a module, `from ... import Scene` an attribute.
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
  done = processes.python(_IMPORT_ALL, *modules)
  assert (done.returncode, done.stdout) == (0, ''), done.stderr
