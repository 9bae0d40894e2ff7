"""The published depth predictors that have a name: what they are, and where their weights are."""

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

DEFAULT = 'depth-anything-v2-small'


class Entry(NamedTuple):
  """A published predictor, as in CATALOGUE."""

  model: Mapping[str, Any]  # Fields of a config's `model`, see published.describe.
  parameters: int  # Of the checkpoint.
  repository: str = ''  # On the Hugging Face Hub; '' if its weights must be brought as a file.
  # Commit of the repository, and SHA-256 of its model.safetensors. Where one is '', no source for
  # it was found: then the newest commit counts, or the hash that the Hub declares for the file.
  revision: str = ''
  sha256: str = ''
  url: str = ''  # Page with the weights, for people.
  code: str = 'Apache-2.0'  # Licence of the authors' code.
  weights: str = 'Apache-2.0'  # Licence of the weights.
  commercial: bool = True  # Whether the licence of the weights allows commercial use.

  @property
  def size(self) -> int:
    """Of the weights in bytes; the file's header adds less than 1 %."""
    return 4 * self.parameters

  @property
  def licence(self) -> str:
    """The licences in words."""
    use = 'commercial use allowed' if self.commercial else 'no commercial use'
    return f'weights {self.weights}, {use}; code {self.code}'

  @property
  def metric(self) -> bool:
    """Whether it predicts metres, not relative disparity."""
    return bool(self.model.get('max_depth'))


_PARAMETERS = {'small': 24_785_089, 'base': 97_470_785, 'large': 335_315_649}
# The README of Depth Anything V2 says of Base and Large, metric or not, that they are CC-BY-NC-4.0;
# the model cards of the metric ones say Apache-2.0. The authors have not answered which is right
# (github.com/DepthAnything/Depth-Anything-V2/issues/245): until then, no commercial use.
_NOT_COMMERCIAL = {'weights': 'CC-BY-NC-4.0', 'commercial': False}
_DISPUTED = {'weights': 'Apache-2.0 or CC-BY-NC-4.0', 'commercial': False}


# Commits of the repositories on the Hub, and SHA-256 of their model.safetensors.
_PINNED = {
  DEFAULT: (
    '5426e4f0f36572d16453bbda7a8389317b1bef99',
    '3152477ce0d8d6978d76b995120de97cb5b928701fd0f817769f59e249a16b70',
  ),
  'depth-anything-v2-base': ('b1958afc87fb45a9e3746cb387596094de553ed8', ''),
  'depth-anything-v2-large': (
    '7581137eff8d4e94f6e796d3baea0e9fa79b22d2',
    '4e01e34ed5549b529b70b92d53226bc370f03041977b390d3dde45d47f516cf9',
  ),
  'depth-anything-small': (
    '25216a913fa218ccb7d58cce818d52b728b6c1f6',
    '7997c812d8964a741eec21e6816ec2db1e442b5109ea2e7db26dcb03c9060ef0',
  ),
  'depth-anything-base': ('2d2165a5fb37889a85b8e48705e79852c2a4a0ad', ''),
  'depth-anything-large': ('27ccb0920352c0c37b3a96441873c8d37bd52fb6', ''),
  'depth-anything-v2-metric-indoor-small': (
    '8078d68a9c75a972131914f6afd0c1723be0da7f',
    'e990eb82fbf11b05b7813261196a2b841bdcf5a05f64396724a8987fa90504a3',
  ),
  'depth-anything-v2-metric-indoor-base': (
    'c6d9784685727bfc6d0a7b5452ce94afaee1e7f5',
    '8b902f5d9a8c8a9520f3a8c6a00afe442b464eff5aaf0cb405d1da721cd9f79f',
  ),
  'depth-anything-v2-metric-indoor-large': (
    'd2fc6a93601aabb1139a3bf0ebfcb4e89c67817f',
    '04d3295ff4f9cbee72b8998a85930fe870b45ba4431e7af47415fbded02388ca',
  ),
  'depth-anything-v2-metric-outdoor-small': (
    'fd2c22027eaf20374204f14099b8341e1925ad39',
    'ad065c77a7421ca55159a1f0db9433397a607690f2d76bb8a6fc54b1be7a3124',
  ),
  'depth-anything-v2-metric-outdoor-base': (
    '5b575fded0346068343a6d96d0ce3ab6dbc9fb49',
    '1f2e9ed13ee39126686994669f8d1bfd9cd8f093a4d2a0891e5a0e5263b480c9',
  ),
  'depth-anything-v2-metric-outdoor-large': (
    '4eab4cf1983c2801c515804005214de56a4b67cc',
    '15f7de4b22f1b1194847ea694ee9ed6395563ba5cd52b70b87901f183c232c9a',
  ),
}


def _depth_anything(name: str) -> Entry:
  """The entry of a Depth Anything, from what its name says."""
  *_, kind, size = name.split('-')
  version, max_depth = 2 if '-v2-' in name else 1, {'indoor': 20.0, 'outdoor': 80.0}.get(kind, 0.0)
  # Such as depth-anything/Depth-Anything-V2-Small-hf, and LiheYoung/depth-anything-small-hf.
  repository = f'depth-anything/{name.title()}-hf' if version == 2 else f'LiheYoung/{name}-hf'
  model = {'network': 'depth_anything', 'size': size, 'version': version, 'max_depth': max_depth}
  entry = Entry(model, _PARAMETERS[size], repository, *_PINNED[name])
  free = version == 1 or size == 'small'
  return entry if free else entry._replace(**(_DISPUTED if max_depth else _NOT_COMMERCIAL))


CATALOGUE: Mapping[str, Entry] = {
  **{name: _depth_anything(name) for name in _PINNED},
  'dpt-large': Entry(
    {'network': 'dpt'},
    341_850_305,  # Without refinenet4.resConfUnit1 and the head of the original checkpoint.
    'Intel/dpt-large',
    'bc15f29aa3a80d532f2ed650b5e16ac48d8958f9',
    'c173e7fd575c4d6c2164621063fed3a0e7e2eb6adbfb7c1845b364bc0fed9ce8',
    code='MIT',
  ),
  'midas-v21': Entry(
    {'network': 'midas'},
    105_362_945,
    url='https://github.com/isl-org/MiDaS/releases/tag/v2_1',
    code='MIT',
    # Their encoder was initialised by weights that are CC-BY-NC-4.0.
    weights='MIT, from CC-BY-NC-4.0',
    commercial=False,
  ),
}


def nearest(name: str) -> str:
  """The names most like `name`, as text that continues 'such as'."""
  close = difflib.get_close_matches(name.lower(), CATALOGUE, 3, 0.4) or [DEFAULT]
  return f'{" or ".join(close)} (all: depthjax predictors)'
