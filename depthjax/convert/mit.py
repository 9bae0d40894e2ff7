"""Converts an ImageNet MiT (B0 to B5) of SegFormer, or a PVTv2 of timm, to a backbone.

Names may be those of SegFormer's authors (`patch_embed1.proj.weight`, `block1.0.attn.q.weight`), of
the package transformers (`segformer.encoder.block.0.0.attention.self.query.weight`), which has
separate keys and values, or of timm (`stages.0.blocks.0.attn.q.weight`). The size is detected from
the shapes. `head` is not converted.

The first convolution has three input channels. A network with another input, such as that of SDDR,
must initialise it randomly, by the rules of config.initialise:
(('/patch_embed1/proj/', 'fresh'), ('/backbone/', 'load'), ('.*', 'fresh'))

The backbone of the layered network has a second first stage, for a photograph and a mask. It gets
the same weights, and zeros for the mask. The other one, for a disparity and two masks, has three
input channels, so that both can be loaded:
(('/backbone/', 'load'), ('.*', 'fresh'))
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
_RIGHT = 'an ImageNet MiT (B0 to B5) of SegFormer or PVTv2 of timm'
# Modules of the first stage, and how its kernel is padded for a fourth channel.
_FIRST_STAGE = 'patch_embed1', 'block1_'
_FOURTH_CHANNEL = ((0, 0), (0, 0), (0, 1), (0, 0))
_PREFIXES = ('segformer.', 'backbone.', 'encoder.')
# Names of timm -> names of SegFormer's authors.
_TIMM = {'downsample': 'patch_embed', 'blocks': 'block', 'norm': 'norm'}
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
  """Returns variables with the backbone, its name, and the tensors that were not converted.

  The name is 'mit_' or 'pvtv2_' and the size, such as 'mit_b0'.

  Raises InputError: blocks or channels of no known size; and as naming.check.
  """
  tensors = _official(tensors, file)
  name = _name(tensors, file)
  shapes = {path: x.shape for path, x in naming.leaves(_shapes(name))}
  names = {path: naming.torch_name(path, RULES) for path in shapes}
  expected = {names[path]: naming.to_torch(np.empty(shape)).shape for path, shape in shapes.items()}
  naming.check(tensors, expected, file, f'{_RIGHT}, detected as {name}', exact=False)
  params: dict[str, Any] = {}
  for path, shape in shapes.items():
    x = naming.from_torch(tensors[names[path]], shape)
    naming.put(params, path, x)
    if path[0].startswith(_FIRST_STAGE):
      wider = path == ('patch_embed1', 'proj', 'kernel')
      naming.put(params, ('second', *path), np.pad(x, _FOURTH_CHANNEL) if wider else x)
  return {'params': {'backbone': params}}, name, sorted(set(tensors) - set(expected))


@functools.cache
def _shapes(name: str) -> Mapping[str, Any]:
  kind, size = name.split('_')
  model = mit.MixTransformer(*mit.SIZES[size], drop=0.0, ratios=mit.RATIOS[kind])
  init = functools.partial(model.init, jax.random.key(0))
  return jax.eval_shape(init, jnp.zeros((1, 64, 64, 3)))['params']


def _name(tensors: Mapping[str, np.ndarray], file: str | os.PathLike) -> str:
  """Detects the size by the number of blocks and channels of each stage, and the kind."""
  widths, depths = [], []
  for i in range(1, 5):
    widths.append(np.size(tensors.get(f'norm{i}.weight', ())))
    blocks = (re.match(rf'block{i}\.(\d+)\.', name) for name in tensors)
    depths.append(len({match[1] for match in blocks if match}))
  wide = np.size(tensors.get('block1.0.mlp.fc1.bias', ())) == mit.RATIOS['pvtv2'][0] * widths[0]
  for size, known in mit.SIZES.items():
    if known == (tuple(widths), tuple(depths)):
      return f'{"pvtv2" if wide else "mit"}_{size}'
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
  name = re.sub(r'^patch_embed\.', 'patch_embed1.', name)
  name = re.sub(r'mlp\.dwconv\.(\w+)$', r'mlp.dwconv.dwconv.\1', name)
  stage = re.match(r'stages\.(\d)\.(downsample|blocks|norm)\.', name)
  if stage:
    return f'{_TIMM[stage[2]]}{int(stage[1]) + 1}.{name[stage.end() :]}'
  stage = re.match(r'(patch_embeddings|block|layer_norm)\.(\d)\.', name)
  if stage:
    name = f'{_STAGES[stage[1]]}{int(stage[2]) + 1}.{name[stage.end() :]}'
  for theirs, official in _PARTS:
    name = name.replace(theirs, official)
  return name
