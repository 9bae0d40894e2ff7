"""The released refinement network of SDDR: its state dict as our variables, and back.

The release stores 528 tensors, 145 of which are others once more: the stem and the attention across
the streams were registered under two names each. Both must agree, and both are written.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from depthjax.convert import mit, naming
from depthjax.files.errors import InputError
from depthjax.models.refinement import refiners

SIDE = 2048  # Of the maps that it refines in one stage.
# Model and data of a config, as models.refiners.from_config asks for them.
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
_RIGHT = 'the 528 tensors of the released FuseNet of SDDR'
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
# Arrays of ours that no module holds.
_SINGLE = {
  'sep_conv': 'cross.sep_conv.conv1.weight',
  'sep_deconv': 'cross.sep_deconv.conv1.weight',
  'sep_deconv_bias': 'cross.sep_deconv.conv1.bias',
}
# What is registered again, and its other name.
_ALIASES = ((r'encoder\.layer_(\d)\.', r'en_layer\1.'), (r'cross\.', r'cvt.cvt_1.'))


def convert(tensors: Mapping[str, np.ndarray], file: str | os.PathLike) -> dict[str, Any]:
  """Variables of models.refinement.fusenet.FuseNet() from the state dict of the release.

  Args:
    tensors: by name; all of them, in their shapes, and no others.
    file: for messages.

  Raises:
    InputError: what naming.check refuses, or two names of one tensor hold different values.
  """
  _, shapes = refiners.from_config(CONFIG)
  expected = {name: x.shape for name, x in to_state_dict(_empty(shapes)).items()}
  naming.check(tensors, expected, file, _RIGHT)
  for name in expected:
    other = _alias(name)
    if other and not np.array_equal(tensors[name], tensors[other]):
      raise InputError(file, f'has other values in {other!r} than in {name!r}', 'the same in both')
  variables: dict[str, Any] = {}
  for path, shape in naming.leaves(shapes):
    naming.put(variables, path, naming.to_ours(tensors[_name(path)], shape.shape))
  return variables


def to_state_dict(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """The state dict that the release would store, with a tensor for each of its names.

  Of the released sizes it loads into the released network; of others its names are the same.
  """
  tensors = {}
  for path, x in naming.leaves(variables):
    name = _name(path)
    separable = re.search(r'sep_\w+\.\w+\.weight', name)
    tensors[name] = naming.to_theirs(np.asarray(x), 4 if separable else 0)
  others = {_alias(name): x for name, x in tensors.items() if _alias(name)}
  return tensors | others


def _name(path: tuple[str, ...]) -> str:
  """Their name of a path in our variables."""
  _, *path = path
  return _SINGLE[path[-1]] if path[-1] in _SINGLE else naming.theirs(path, _RULES)


def _alias(name: str) -> str | None:
  for pattern, replacement in _ALIASES:
    match = re.match(pattern, name)
    if match:
      return match.expand(replacement) + name[match.end() :]
  return None


def _empty(shapes: Mapping[str, Any]) -> dict[str, Any]:
  tree: dict[str, Any] = {}
  for path, shape in naming.leaves(shapes):
    naming.put(tree, path, np.empty(shape.shape, np.float32))
  return tree
