"""What scenes are drawn: every choice with its range."""

import dataclasses
import numbers


@dataclasses.dataclass(frozen=True)
class SceneConfig:
  """What scenes are drawn. Lengths in px; shares and probabilities in [0, 1].

  Attributes:
    height, width: the frame, at least 32.
    pad: padding of every layer on all sides; at least the largest circle of confusion.
    layers: foregrounds + one background, 2 to 8.
    photos: share of textures cropped from photos (where there are photos).
    mattes: share of foregrounds cut out of photos (where there are foregrounds).
    camouflage: share of foregrounds in the background's own style.
    contrast: share of foregrounds made much lighter or darker than the background.
    lights: share of layers strewn with small clipped lights.
    softness: least and largest width of a silhouette's edge, px.
    visible: least share of an object's area inside the frame.
    covers: least and largest share of the frame a foreground covers.
    tilted_background: probability of a background that ramps in disparity.
    margin: least difference of disparity where a layer covers another, up to 0.5 / layers.
    on_plane: probability of a focus on one of the planes; else uniform in [0, 1].
    full_aperture: probability of aperture 1; else uniform in [0.2, 1].
    polygon: probability of an aperture of 5 to 9 blades.
    highlight: probability of boosted highlights; their gain is log-uniform to highlight_max.
    highlight_max: largest gain, at least 1.
    corruption: probability that a silhouette is observed with errors.
    corruption_radius, corruption_sigma: their largest size, px at a long side of 320.
  """

  height: int = 320
  width: int = 320
  pad: int = 18
  layers: int = 3
  photos: float = 0.6
  mattes: float = 0.6
  camouflage: float = 0.15
  contrast: float = 0.25
  lights: float = 0.15
  softness: tuple[float, float] = (0.5, 3.0)
  visible: float = 0.3
  covers: tuple[float, float] = (0.03, 0.7)
  tilted_background: float = 0.5
  margin: float = 0.05
  on_plane: float = 0.5
  full_aperture: float = 0.7
  polygon: float = 0.3
  highlight: float = 0.5
  highlight_max: float = 10.0
  corruption: float = 0.7
  corruption_radius: int = 6
  corruption_sigma: float = 2.0

  def __post_init__(self):
    for name in ('softness', 'covers'):
      object.__setattr__(self, name, tuple(getattr(self, name)))
    for name, (low, high) in _BOUNDS.items():
      check(name, getattr(self, name), low, high)
    check('margin', self.margin, 0.0, 0.5 / self.layers)
    for name, high in (('softness', 8.0), ('covers', 1.0)):
      pair = getattr(self, name)
      if len(pair) != 2 or not 0 <= pair[0] <= pair[1] <= high:
        raise ValueError(f'{name} is {pair}; it must be (least, largest) within [0, {high}]')


_SHARES = (
  'photos mattes camouflage contrast lights visible tilted_background on_plane full_aperture '
  'polygon highlight corruption'
).split()
_BOUNDS = {
  'height': (32, 4096),
  'width': (32, 4096),
  'pad': (0, 512),
  'layers': (2, 8),
  'highlight_max': (1.0, 1000.0),
  'corruption_radius': (0, 64),
  'corruption_sigma': (0.0, 32.0),
  **{name: (0.0, 1.0) for name in _SHARES},
}


def check(name: str, value: object, low: float, high: float) -> None:
  """Refuses what is no number in [low, high]; bounds of whole numbers are whole numbers.

  Raises:
    ValueError: naming the field, its value and its bounds.
  """
  kind, right = numbers.Real, 'a number'
  if isinstance(low, int):
    kind, right = numbers.Integral, 'a whole number'
  if not isinstance(value, kind) or not low <= value <= high:
    raise ValueError(f'{name} is {value!r}; it must be {right} in [{low}, {high}]')
