"""Published checkpoints: all names of the authors and of transformers are known, others refused."""

import functools
import json
import pathlib
import re

import jax
import numpy as np
import pytest
import safetensors.numpy

from depthjax.convert import hub_folder, published
from depthjax.files.errors import InputError
from depthjax.models.predictors import catalogue
from depthjax.pipelines import predictors as predictors_lib
from tests import messages
from tests.models.predictors import twins

_TINY = {'network': 'depth_anything', 'size': 'tiny', 'version': 2, 'max_depth': 0.0}
_KEYS = pathlib.Path(__file__).parents[3] / 'shared/specs/keys/midas_keys.txt'
# Names of transformers -> names of the authors of Depth Anything.
_AUTHORS = (
  (r'backbone\.embeddings\.position_embeddings', 'pretrained.pos_embed'),
  (r'backbone\.embeddings\.patch_embeddings\.projection', 'pretrained.patch_embed.proj'),
  (r'backbone\.embeddings\.', 'pretrained.'),
  (r'backbone\.encoder\.layer\.', 'pretrained.blocks.'),
  (r'attention\.attention\.qkv', 'attn.qkv'),
  (r'attention\.output\.dense', 'attn.proj'),
  (r'layer_scale(\d)\.lambda1', r'ls\1.gamma'),
  (r'backbone\.layernorm', 'pretrained.norm'),
  (r'neck\.reassemble_stage\.layers\.(\d)\.projection', r'depth_head.projects.\1'),
  (r'neck\.reassemble_stage\.layers\.(\d)\.resize', r'depth_head.resize_layers.\1'),
  *((rf'neck\.convs\.{i}', f'depth_head.scratch.layer{i + 1}_rn') for i in range(4)),
  *((rf'neck\.fusion_stage\.layers\.{i}', f'refinenet{4 - i}') for i in range(4)),
  (r'residual_layer(\d)\.convolution', r'resConfUnit\1.conv'),
  (r'^(refinenet\d)\.projection', r'\1.out_conv'),
  ('^refinenet', 'depth_head.scratch.refinenet'),
  (r'^head\.conv1', 'depth_head.scratch.output_conv1'),
  (r'^head\.conv2', 'depth_head.scratch.output_conv2.0'),
  (r'^head\.conv3', 'depth_head.scratch.output_conv2.2'),
)


@functools.cache
def _merged():
  """A tiny Depth Anything with the names of transformers, queries, keys and values in one."""
  rng = np.random.default_rng(0)
  found = published.expected(_TINY, transformers=True)
  return {x.name: rng.standard_normal(x.layout).astype(np.float32) for x in found}


def _tensors(newer=False):
  """The same with queries, keys and values separate; transformers 5 has newer names for them."""
  result = {}
  for name, x in _merged().items():
    if '.qkv.' in name:
      for part, value in zip(('query', 'key', 'value'), np.split(x, 3), strict=True):
        word = f'attention.{part[0]}_proj' if newer else f'attention.attention.{part}'
        result[name.replace('attention.attention.qkv', word)] = value
    else:
      result[name.replace('attention.output.dense', 'attention.o_proj') if newer else name] = x
  return result


def _authors():
  result = {'pretrained.mask_token': np.zeros((1, 32), np.float32)}
  for name, x in _merged().items():
    for pattern, replacement in _AUTHORS:
      name = re.sub(pattern, replacement, name)
    result[name] = x
  return result


@pytest.mark.parametrize('other', [_authors, functools.partial(_tensors, newer=True)])
def test_all_names_give_the_same_variables(other):
  results = [published.convert(x(), _TINY, 'a') for x in (_tensors, other)]
  jax.tree.map(np.testing.assert_array_equal, *results)
  assert not {name.partition('.')[0] for name in _authors()} - {'pretrained', 'depth_head'}


@pytest.mark.parametrize('network, count', [('midas', 666), ('dpt', 368)])
def test_all_tensors_of_the_authors_files_are_accounted_for(network, count):
  if not _KEYS.exists():
    pytest.skip(f'{_KEYS} does not exist')
  parts = re.split(r'# ---- .* ----\n', _KEYS.read_text())
  listed = re.findall(r'^(\S+) \((.*)\)$', parts[1 + (network == 'dpt')], re.MULTILINE)
  listed = {name: tuple(map(int, re.findall(r'\d+', shape))) for name, shape in listed}
  blocks = [(name, shape) for name, shape in listed.items() if '.blocks.0.' in name]
  for i in range(1, 24):  # Only the first of the equal blocks of DPT is listed.
    listed |= {name.replace('.blocks.0.', f'.blocks.{i}.'): shape for name, shape in blocks}
  found = {x.name: x.layout for x in published.expected({'network': network}, transformers=False)}
  unused = {name: shape for name, shape in listed.items() if published.UNUSED.fullmatch(name)}
  assert found | unused == listed and len(listed) == count and not found.keys() & unused.keys()


@pytest.mark.parametrize('size, count', [('small', 287), ('base', 287), ('large', 503), ('', 462)])
def test_all_tensors_of_transformers_are_accounted_for(size, count):
  fields = {'network': 'dpt'} if not size else {**_TINY, 'size': size}
  listed = twins.load().names(fields)
  found = set()
  for tensor in published.expected(fields, transformers=True):
    parts = ('query', 'key', 'value') if '.qkv.' in tensor.name else ('',)
    found |= {tensor.name.replace('.qkv.', f'.{part}.') for part in parts}
  unused = {name for name in listed if published.UNUSED.fullmatch(name)}
  assert found | unused == listed and len(listed) == count


def test_other_checkpoints_are_refused():
  def refuse(tensors, *parts, fields=_TINY):
    messages.refused(lambda: published.convert(tensors, fields, 'a.pth'), 'a.pth: has', *parts)

  name, right = 'head.conv2.bias', '; expected the tensors of network depth_anything, size tiny'
  without = {key: x for key, x in _tensors().items() if key != name}
  refuse(without, f"no tensor '{name}'{right}")
  refuse({**_tensors(), 'head.extra': np.zeros(3)}, f"the additional tensor 'head.extra'{right}")
  refuse({**_tensors(), name: np.zeros(3)}, f'{name} as [3]; expected [32]')
  with pytest.raises(InputError, match=f'NaN or infinite values in {name!r}'):
    published.convert({**_tensors(), name: np.full(32, np.nan)}, _TINY, 'a.pth')
  query = next(key for key in _tensors() if '.key.' in key)
  refuse({key: x for key, x in _tensors().items() if key != query}, f'no tensor {query!r}')
  midas, dpt = ({'network': network} for network in ('midas', 'dpt'))
  refuse(
    _tensors(), 'names of another network; expected the tensors of network midas', fields=midas
  )
  refuse(_authors(), 'no tensor', 'the tensors of network dpt', fields=dpt)


def test_folders_as_on_the_hub_are_loaded_by_their_config(tmp_path):
  backbone = {'hidden_size': 32, 'out_indices': [1, 2, 3, 4]}
  config = {'model_type': 'depth_anything', 'backbone_config': backbone, 'fusion_hidden_size': 8}
  config |= {'depth_estimation_type': 'metric', 'max_depth': 80}
  (tmp_path / hub_folder.CONFIG).write_text(json.dumps(config))
  safetensors.numpy.save_file(_tensors(), tmp_path / hub_folder.WEIGHTS)
  predictor = predictors_lib.load(tmp_path)
  assert (predictor.network.max_depth, predictor.output, predictor.metric) == (80, 'depth', True)
  expected = published.convert(_tensors(), _TINY, 'a')
  jax.tree.map(np.testing.assert_array_equal, predictor.variables, expected)
  for changed in ({'model_type': 'zoedepth'}, {'fusion_hidden_size': 9}, {'backbone_config': 3}):
    (tmp_path / hub_folder.CONFIG).write_text(json.dumps(config | changed))
    with pytest.raises(InputError, match='config.json: describes'):
      predictors_lib.load(tmp_path)


def test_catalogued_networks_exist():
  parameters = {}
  for entry in catalogue.CATALOGUE.values():
    key = entry.model['network'], entry.model.get('size')
    if key not in parameters:
      found = published.expected(entry.model, transformers=bool(entry.repository))
      parameters[key] = sum(np.prod(x.shape) for x in found if x.path[0] == 'params')
    assert 0 <= entry.parameters - parameters[key] < 1.3e6  # Those that do not reach the output.


def test_names_without_a_repository_or_like_others_are_refused():
  words = 'is not on the Hub', 'depthjax convert midas-v21 FILE'
  messages.refused(lambda: predictors_lib.load('midas-v21'), *words)
  words = 'is neither the name of a predictor nor a file; expected a name such as', '-v2-small'
  messages.refused(lambda: predictors_lib.load('depth-anything-v2-smal'), *words)
