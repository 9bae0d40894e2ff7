"""Converts the published checkpoints of models.predictors.published.

Tensors have the names of the authors, or those of the package transformers, which has separate
queries, keys and values. MiDaS exists with the authors' names only.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from depthjax.convert import naming
from depthjax.files.errors import InputError
from depthjax.models.predictors import published

_LEVELS = range(4)  # Of the decoder; 0 is the finest.


def _encoder(prefix: str) -> naming.Rules:
  """The authors' names of the transformers."""
  block = rf'{prefix}.blocks.\1.'
  return (
    (r'encoder/(cls_token|pos_embed)', rf'{prefix}.\1'),
    (r'encoder/patch_embed', f'{prefix}.patch_embed.proj'),
    (r'encoder/norm', f'{prefix}.norm'),
    (r'encoder/block(\d+)/(norm\d)', rf'{block}\2'),
    (r'encoder/block(\d+)/(qkv|proj)', rf'{block}attn.\2'),
    (r'encoder/block(\d+)/(fc\d)', rf'{block}mlp.\2'),
    (r'encoder/block(\d+)/scale(\d)', rf'{block}ls\2.gamma'),
  )


def _scratch(prefix: str) -> naming.Rules:
  """The authors' names of the decoder, but for its head."""
  rules = []
  for i in _LEVELS:
    fusion = f'{prefix}.refinenet{i + 1}'
    rules += [
      (rf'(?:reassemble/)?reduce{i}', f'{prefix}.layer{i + 1}_rn'),
      (rf'decoder/fusion{i}_unit(\d)/(conv\d)', rf'{fusion}.resConfUnit\1.\2'),
      (rf'decoder/fusion{i}_project', f'{fusion}.out_conv'),
    ]
  return tuple(rules)


def _head(*names: str) -> naming.Rules:
  return tuple((f'head/conv{i}', name) for i, name in enumerate(names, start=1))


def _transformers(prefix: str, block: Mapping[str, str], head: naming.Rules) -> naming.Rules:
  """The names of the package transformers; `block`: ours -> theirs within a block."""
  neck, layer = 'neck.reassemble_stage', rf'{prefix}.encoder.layer.\1.'
  rules = [
    (r'encoder/cls_token', f'{prefix}.embeddings.cls_token'),
    (r'encoder/pos_embed', f'{prefix}.embeddings.position_embeddings'),
    (r'encoder/patch_embed', f'{prefix}.embeddings.patch_embeddings.projection'),
    (r'encoder/norm', f'{prefix}.layernorm'),
    (r'encoder/block(\d+)/qkv', f'{layer}attention.attention.qkv'),
    (r'encoder/block(\d+)/proj', f'{layer}attention.output.dense'),
    *((rf'encoder/block(\d+)/{ours}', f'{layer}{theirs}') for ours, theirs in block.items()),
    (r'reassemble/readout(\d)', rf'{neck}.readout_projects.\1.0'),
    (r'reassemble/project(\d)', rf'{neck}.layers.\1.projection'),
    (r'reassemble/resample(\d)', rf'{neck}.layers.\1.resize'),
    (r'reassemble/reduce(\d)', r'neck.convs.\1'),
  ]
  for i in _LEVELS:
    fusion = f'neck.fusion_stage.layers.{3 - i}'
    unit = rf'{fusion}.residual_layer\1.convolution\2'
    rules += [(rf'decoder/fusion{i}_unit(\d)/conv(\d)', unit)]
    rules += [(rf'decoder/fusion{i}_project', f'{fusion}.projection')]
  return (*rules, *head)


_SEQUENTIAL = _head(*(f'scratch.output_conv.{i}' for i in (0, 2, 4)))
_DPT = (
  *_encoder('pretrained.model'),
  *_scratch('scratch'),
  *_SEQUENTIAL,
  *(
    (f'reassemble/{ours}{i}', f'pretrained.act_postprocess{i + 1}.{theirs}')
    for i in _LEVELS
    for ours, theirs in (('readout', '0.project.0'), ('project', '3'), ('resample', '4'))
  ),
)
_DEPTH_ANYTHING = (
  *_encoder('pretrained'),
  *_scratch('depth_head.scratch'),
  *_head(*(f'depth_head.scratch.output_conv{i}' for i in ('1', '2.0', '2.2'))),
  (r'reassemble/project(\d)', r'depth_head.projects.\1'),
  (r'reassemble/resample(\d)', r'depth_head.resize_layers.\1'),
)
_MIDAS = (
  (r'encoder/conv1/conv', 'pretrained.layer1.0'),
  (r'encoder/conv1/bn', 'pretrained.layer1.1'),
  *(
    (rf'encoder/layer{stage}_(\d+)/{ours}', rf'pretrained.layer{stage}.{extra}\1.{theirs}')
    for stage, extra in ((1, '4.'), (2, ''), (3, ''), (4, ''))
    for ours, theirs in (
      *((f'{name}/conv', f'conv{i}') for i, name in enumerate(('reduce', 'conv', 'expand'), 1)),
      *((f'{name}/bn', f'bn{i}') for i, name in enumerate(('reduce', 'conv', 'expand'), 1)),
      ('project/conv', 'downsample.0'),
      ('project/bn', 'downsample.1'),
    )
  ),
  *_scratch('scratch'),
  *_SEQUENTIAL,
)
_DPT_BLOCK = {'norm1': 'layernorm_before', 'norm2': 'layernorm_after'}
_DPT_BLOCK |= {'fc1': 'intermediate.dense', 'fc2': 'output.dense'}
_DINO_BLOCK = {r'(norm\d)': r'\2', r'(fc\d)': r'mlp.\2', r'scale(\d)': r'layer_scale\2.lambda1'}
_HF_DPT = _transformers('dpt', _DPT_BLOCK, _head(*(f'head.head.{i}' for i in (0, 2, 4))))
_HF_DEPTH_ANYTHING = _transformers(
  'backbone', _DINO_BLOCK, _head(*(f'head.conv{i}' for i in (1, 2, 3)))
)
# For each network: the names of the authors and of transformers.
_RULES = {
  'dpt': (_DPT, _HF_DPT),
  'depth_anything': (_DEPTH_ANYTHING, _HF_DEPTH_ANYTHING),
  'midas': (_MIDAS, ()),
}
# Tensors that do not reach the output.
UNUSED = re.compile(
  r'(pretrained\.model|dpt)\.(norm|layernorm|head)\..*|(pretrained|backbone\.embeddings)\.mask_token'
  r'|.*\.num_batches_tracked|(depth_head\.)?scratch\.refinenet4\.resConfUnit1\..*'
  r'|neck\.fusion_stage\.layers\.0\.residual_layer1\..*'
)
# Newer names in transformers -> those of the files on the Hub.
_NEWER = {f'attention.{x[0]}_proj.': f'attention.attention.{x}.' for x in ('query', 'key', 'value')}
_NEWER['attention.o_proj.'] = 'attention.output.dense.'


def convert(
  tensors: dict[str, np.ndarray], fields: Mapping[str, Any], file: str | os.PathLike
) -> dict[str, Any]:
  """Returns the variables of the network with these `model` fields.

  Tensors that do not reach the output are left out by their names: a classifier, its norm, a mask
  token, the first unit of the coarsest fusion, and counters. `tensors` is emptied, so that memory
  holds a large network once.

  Raises InputError: missing or additional tensors, another shape, NaN or infinite values.
  """
  tensors = _merged(tensors, file)
  right = f'the tensors of {", ".join(f"{name} {value}" for name, value in fields.items())}'
  theirs = any(name.startswith(('dpt.', 'backbone.')) for name in tensors)
  try:
    found = expected(fields, transformers=theirs)
  except ValueError as error:
    raise InputError(file, 'has names of another network', right) from error
  for name in filter(UNUSED.fullmatch, list(tensors)):
    del tensors[name]
  naming.check(tensors, {x.name: x.layout for x in found}, file, right)
  variables: dict[str, Any] = {}
  for x in found:
    naming.put(variables, x.path, _array(x, tensors.pop(x.name)))
  return variables


class Tensor(NamedTuple):
  """A tensor of a checkpoint, and the variable that it becomes."""

  name: str  # With 'qkv' for queries, keys and values together.
  layout: naming.Shape  # Its shape.
  path: tuple[str, ...]
  shape: naming.Shape  # Of the variable.


def expected(fields: Mapping[str, Any], *, transformers: bool) -> list[Tensor]:
  """The tensors of a checkpoint that reach the output.

  Raises ValueError: transformers has no such network.
  """
  predictor = published.describe(fields)
  rules = _RULES[fields['network']][transformers]
  shapes = naming.leaves(published.shapes(predictor.network, predictor.multiple))
  return [
    Tensor(naming.torch_name(path[1:], rules), _layout(path, x.shape), path, x.shape)
    for path, x in shapes
  ]


def _merged(tensors: dict[str, np.ndarray], file: str | os.PathLike) -> dict[str, np.ndarray]:
  """The tensors with queries, keys and values in one, and newer names replaced; empties them."""
  result: dict[str, np.ndarray] = {}
  for name in list(tensors):
    x = tensors.pop(name)
    for new, old in _NEWER.items():
      name = name.replace(new, old)
    result[name] = x
  for name in [name for name in result if '.attention.attention.query.' in name]:
    parts = [name.replace('.query.', f'.{part}.') for part in ('query', 'key', 'value')]
    missing = [part for part in parts if part not in result]
    if missing:
      raise InputError(file, f'has no tensor {missing[0]!r}', 'queries, keys and values')
    merged = np.concatenate([result.pop(part) for part in parts])
    result[name.replace('.query.', '.qkv.')] = merged
  return result


def _layout(path: tuple[str, ...], shape: naming.Shape) -> naming.Shape:
  """The shape of a tensor in PyTorch."""
  if path[-1] != 'kernel':
    return shape
  if len(shape) == 2:  # Linear layers, but for 1x1 convolutions.
    return (*shape[::-1], 1, 1) if 'project' in path[-2] else shape[::-1]
  return tuple(shape[i] for i in _axes(path))


def _array(tensor: Tensor, x: np.ndarray) -> np.ndarray:
  """A tensor in Flax's layout, float32."""
  if tensor.path[-1] != 'kernel':
    return np.ascontiguousarray(x, np.float32)
  if len(tensor.shape) == 2:
    return naming.transposed(x.reshape(tensor.shape[::-1]))
  return np.ascontiguousarray(np.transpose(x, np.argsort(_axes(tensor.path))), np.float32)


def _axes(path: tuple[str, ...]) -> tuple[int, ...]:
  """The axes [h w in out] of a kernel in PyTorch's order; transposed convolutions have in first."""
  enlarges = path[-2] in ('resample0', 'resample1')
  return (2, 3, 0, 1) if enlarges else (3, 2, 0, 1)
