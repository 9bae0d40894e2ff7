"""Converts the released refinement network of SDDR to Flax variables, and back.

The release stores 528 tensors. 145 of them are duplicates: the stem and the cross-attention have
two names each. Duplicates must be equal, and are written again.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from depthjax.convert import mit, naming
from depthjax.files.errors import InputError
from depthjax.models.refinement import refiners

SIDE = 2048  # input size of one-stage refinement
# Fields of a config for models.refinement.refiners.from_config.
CONFIG = {
  'model': {
    'stem': (8, 16, 32),
    'widths': (32, 64, 160, 256),
    'depths': (2, 2, 2, 2),
    'attention': 8,
    'dtype': 'float32',
  },
  'data': {'height': SIDE, 'width': SIDE},
}
_RIGHT = 'exactly the 528 tensors of the released FuseNet of SDDR'
_TOKENS = {'q': 'attn.q_linear', 'k': 'attn.k_linear', 'v': 'attn.v_linear', 'proj': 'attn.proj'}
_RULES = (
  (r'encoder_(\d)/shortcut', r'encoder.layer_\1.downsample.0'),
  (r'encoder_(\d)/shortcut_bn', r'encoder.layer_\1.downsample.1'),
  (r'encoder_(\d)/(\w+)', r'encoder.layer_\1.\2'),
  *((rf'cross/decoder_(\d)/{ours}', rf'cross.decoder.\1.{name}') for ours, name in _TOKENS.items()),
  (r'cross/decoder_(\d)/(fc\d)', r'cross.decoder.\1.mlp.\2'),
  (r'cross/decoder_(\d)/(norm\d)', r'cross.decoder.\1.\2'),
  (r'cross/(sep_(?:de)?conv)_pointwise', r'cross.\1.pointwise'),
  (r'decoder/(layer_\d)/norm', r'decoder.\1.0'),
  (r'decoder/(layer_\d)/conv/conv', r'decoder.\1.2'),
  (r'decoder/(layer_\d_f)/norm', r'decoder.\1.0'),
  (r'decoder/(layer_\d_f)/conv/conv', r'decoder.\1.1'),
  (r'decoder/(mid_out_(?:half|quart))(?:er)?/norm', r'\1.0'),
  (r'decoder/(mid_out_(?:half|quart))(?:er)?/conv/conv', r'\1.2'),
  (r'grad/conv', r'grad'),
  *((f'backbone/{ours}', f'backbone.{name}') for ours, name in mit.RULES),
)
# Parameters outside any submodule.
_SINGLE = {
  'sep_conv': 'cross.sep_conv.conv1.weight',
  'sep_deconv': 'cross.sep_deconv.conv1.weight',
  'sep_deconv_bias': 'cross.sep_deconv.conv1.bias',
}
# Prefixes of the duplicates: name -> second name.
_ALIASES = ((r'encoder\.layer_(\d)\.', r'en_layer\1.'), (r'cross\.', r'cvt.cvt_1.'))


def convert(tensors: Mapping[str, np.ndarray], file: str | os.PathLike) -> dict[str, Any]:
  """Returns variables of models.refinement.fusenet.FuseNet() from the released state dict.

  Raises InputError: as naming.check; duplicates with different values.
  """
  _, shapes = refiners.from_config(CONFIG)
  empty = jax.tree.map(lambda x: np.empty(x.shape, np.float32), dict(shapes))
  expected = {name: x.shape for name, x in to_state_dict(empty).items()}
  naming.check(tensors, expected, file, _RIGHT)
  for name in expected:
    other = _alias(name)
    if other and not np.array_equal(tensors[name], tensors[other]):
      raise InputError(file, f'has different values in {other!r} and {name!r}', 'equal ones')
  variables: dict[str, Any] = {}
  for path, shape in naming.leaves(shapes):
    naming.put(variables, path, naming.from_torch(tensors[_name(path)], shape.shape))
  return variables


def to_state_dict(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """Returns a state dict with the names of the release, duplicates included.

  The released network can load it, if the variables have its sizes.
  """
  tensors = {}
  for path, x in naming.leaves(variables):
    name = _name(path)
    separable = re.search(r'sep_\w+\.\w+\.weight', name)
    tensors[name] = naming.to_torch(np.asarray(x), 4 if separable else 0)
  return tensors | {_alias(name): x for name, x in tensors.items() if _alias(name)}


def _name(path: tuple[str, ...]) -> str:
  _, *path = path
  return _SINGLE[path[-1]] if path[-1] in _SINGLE else naming.torch_name(path, _RULES)


def _alias(name: str) -> str | None:
  for pattern, replacement in _ALIASES:
    match = re.match(pattern, name)
    if match:
      return match.expand(replacement) + name[match.end() :]
  return None
