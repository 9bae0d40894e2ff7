"""An ImageNet MiT (B0 to B5) of SegFormer as the backbone of networks here.

Names are those of SegFormer's authors (`patch_embed1.proj.weight`, `block1.0.attn.q.weight`), or of
the package transformers (`segformer.encoder.block.0.0.attention.self.query.weight`), which stores
keys and values apart. The size is found from the shapes. `head` has no place here.

Its first convolution takes three channels. Where a network feeds its backbone something else, as
that of SDDR does, the rules of config.initialise leave it 'fresh':
(('/patch_embed1/proj/', 'fresh'), ('/backbone/', 'load'), ('.*', 'fresh'))
"""

import functools
import os
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.convert import naming
from depthjax.files.errors import InputError
from depthjax.models.encoders import mit

# Paths of ours in a MixTransformer, and the names of SegFormer's authors.
RULES = (
  (r'block(\d)_(\d+)/mlp/dwconv', r'block\1.\2.mlp.dwconv.dwconv'),
  (r'block(\d)_(\d+)/(attn|mlp)/(\w+)', r'block\1.\2.\3.\4'),
  (r'block(\d)_(\d+)/(norm\d)', r'block\1.\2.\3'),
  (r'patch_embed(\d)/(proj|norm)', r'patch_embed\1.\2'),
  (r'(norm\d)', r'\1'),
)
_RIGHT = 'an ImageNet MiT (B0 to B5) of SegFormer'
_PREFIXES = ('segformer.', 'backbone.', 'encoder.')
# Of transformers, and of the authors; keys and values are joined after.
_STAGES = {'patch_embeddings': 'patch_embed', 'block': 'block', 'layer_norm': 'norm'}
_PARTS = (
  ('attention.self.query', 'attn.q'),
  ('attention.self.sr', 'attn.sr'),
  ('attention.self.layer_norm', 'attn.norm'),
  ('attention.output.dense', 'attn.proj'),
  ('layer_norm_', 'norm'),
  ('.layer_norm.', '.norm.'),
  ('mlp.dense', 'mlp.fc'),
)
_KEY, _VALUE = 'attention.self.key', 'attention.self.value'


def convert(
  tensors: Mapping[str, np.ndarray], file: str | os.PathLike
) -> tuple[dict[str, Any], str, list[str]]:
  """Variables with the backbone in them, its size, and the tensors that were left out.

  Args:
    tensors: a state dict.
    file: for messages.

  Raises:
    InputError: no size has such blocks; a tensor is missing, has another shape, or holds NaN or
      infinite values.
  """
  tensors = _official(tensors, file)
  size = _size(tensors, file)
  shapes = _shapes(size)
  names = {path: naming.theirs(path, RULES) for path, _ in naming.leaves(shapes)}
  values = dict(naming.leaves(shapes))
  expected = {
    name: naming.to_theirs(np.empty(values[path].shape)).shape for path, name in names.items()
  }
  naming.check(tensors, expected, file, f'{_RIGHT}, here {size.upper()}', exact=False)
  params: dict[str, Any] = {}
  for path, name in names.items():
    naming.put(params, path, naming.to_ours(tensors[name], values[path].shape))
  rest = sorted(set(tensors) - set(expected))
  return {'params': {'backbone': params}}, size, rest


def _shapes(size: str) -> Mapping[str, Any]:
  model = mit.MixTransformer(*mit.SIZES[size], drop=0.0)
  init = functools.partial(model.init, jax.random.key(0))
  return jax.eval_shape(init, jnp.zeros((1, 64, 64, 3)))['params']


def _size(tensors: Mapping[str, np.ndarray], file: str | os.PathLike) -> str:
  """The size whose widths and numbers of blocks the tensors have."""
  widths, depths = [], []
  for i in range(1, 5):
    widths.append(np.size(tensors.get(f'norm{i}.weight', ())))
    blocks = (re.match(rf'block{i}\.(\d+)\.', name) for name in tensors)
    depths.append(len({match[1] for match in blocks if match}))
  for size, known in mit.SIZES.items():
    if known == (tuple(widths), tuple(depths)):
      return size
  raise InputError(file, f'holds stages of {depths} blocks, {widths} channels', _RIGHT)


def _official(tensors: Mapping[str, np.ndarray], file: str | os.PathLike) -> dict[str, np.ndarray]:
  """The tensors by the names of SegFormer's authors."""
  renamed = {}
  for name, x in tensors.items():
    if _VALUE in name:
      continue
    if _KEY in name:
      other = name.replace(_KEY, _VALUE)
      if other not in tensors:
        raise InputError(file, f'has no {other!r}', _RIGHT)
      name, x = name.replace(_KEY, 'attn.kv'), np.concatenate([x, tensors[other]])
    renamed[_official_name(name)] = x
  return renamed


def _official_name(name: str) -> str:
  for prefix in _PREFIXES:
    name = name.removeprefix(prefix)
  stage = re.match(r'(patch_embeddings|block|layer_norm)\.(\d)\.', name)
  if stage:
    name = f'{_STAGES[stage[1]]}{int(stage[2]) + 1}.{name[stage.end() :]}'
  for theirs, official in _PARTS:
    name = name.replace(theirs, official)
  return name
