"""Converts an ImageNet MiT (B0 to B5) of SegFormer to a backbone.

Names may be those of SegFormer's authors (`patch_embed1.proj.weight`, `block1.0.attn.q.weight`) or
of the package transformers (`segformer.encoder.block.0.0.attention.self.query.weight`), which has
separate keys and values. The size is detected from the shapes. `head` is not converted.

The first convolution has three input channels. A network with another input, such as that of SDDR,
must initialise it randomly, by the rules of config.initialise:
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

# Modules of models.encoders.mit.MixTransformer -> names of SegFormer's authors.
RULES = (
  (r'block(\d)_(\d+)/mlp/dwconv', r'block\1.\2.mlp.dwconv.dwconv'),
  (r'block(\d)_(\d+)/(attn|mlp)/(\w+)', r'block\1.\2.\3.\4'),
  (r'block(\d)_(\d+)/(norm\d)', r'block\1.\2.\3'),
  (r'patch_embed(\d)/(proj|norm)', r'patch_embed\1.\2'),
  (r'(norm\d)', r'\1'),
)
_RIGHT = 'an ImageNet MiT (B0 to B5) of SegFormer'
_PREFIXES = ('segformer.', 'backbone.', 'encoder.')
# Names of transformers -> names of the authors.
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
  """Returns variables with the backbone, its size, and the tensors that were not converted.

  Raises InputError: blocks or channels of no known size; and as naming.check.
  """
  tensors = _official(tensors, file)
  size = _size(tensors, file)
  shapes = {path: x.shape for path, x in naming.leaves(_shapes(size))}
  names = {path: naming.torch_name(path, RULES) for path in shapes}
  expected = {names[path]: naming.to_torch(np.empty(shape)).shape for path, shape in shapes.items()}
  naming.check(tensors, expected, file, f'{_RIGHT}, detected as {size.upper()}', exact=False)
  params: dict[str, Any] = {}
  for path, shape in shapes.items():
    naming.put(params, path, naming.from_torch(tensors[names[path]], shape))
  return {'params': {'backbone': params}}, size, sorted(set(tensors) - set(expected))


def _shapes(size: str) -> Mapping[str, Any]:
  model = mit.MixTransformer(*mit.SIZES[size], drop=0.0)
  init = functools.partial(model.init, jax.random.key(0))
  return jax.eval_shape(init, jnp.zeros((1, 64, 64, 3)))['params']


def _size(tensors: Mapping[str, np.ndarray], file: str | os.PathLike) -> str:
  """Detects the size by the number of blocks and channels of each stage."""
  widths, depths = [], []
  for i in range(1, 5):
    widths.append(np.size(tensors.get(f'norm{i}.weight', ())))
    blocks = (re.match(rf'block{i}\.(\d+)\.', name) for name in tensors)
    depths.append(len({match[1] for match in blocks if match}))
  for size, known in mit.SIZES.items():
    if known == (tuple(widths), tuple(depths)):
      return size
  raise InputError(file, f'has stages of {depths} blocks and {widths} channels', _RIGHT)


def _official(tensors: Mapping[str, np.ndarray], file: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the tensors by the names of SegFormer's authors, keys and values concatenated."""
  renamed = {}
  for name, x in tensors.items():
    if _VALUE in name:
      continue
    if _KEY in name:
      other = name.replace(_KEY, _VALUE)
      if other not in tensors:
        raise InputError(file, f'has no tensor {other!r}', _RIGHT)
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
