"""How scenes are drawn: fields of a config's `data` table, with defaults and bounds."""

import dataclasses

from depthjax.data.bounds import bounded, check, check_fields, fraction


@dataclasses.dataclass(frozen=True)
class SceneConfig:
  """How scenes are drawn; lengths in pixels, probabilities and fractions in [0, 1].

  Raises ValueError: a field is out of bounds.
  """

  height: int = bounded(320, 32, 4096)  # Size of the frame.
  width: int = bounded(320, 32, 4096)
  pad: int = bounded(18, 0, 512)  # Padding of all layers; at least the largest blur radius.
  layers: int = bounded(3, 2, 8)  # Foregrounds and one background.
  photos: float = fraction(0.6)  # Fraction of textures that are crops of photos, if there are any.
  mattes: float = fraction(0.6)  # Fraction of foregrounds cut out of photos, if there are any.
  camouflage: float = fraction(0.15)  # Fraction of foregrounds in the style of the background.
  contrast: float = fraction(0.25)  # Fraction of foregrounds much lighter or darker than it.
  lights: float = fraction(0.15)  # Fraction of layers with small saturated lights.
  softness: tuple[float, float] = (0.5, 3.0)  # Range of the width of a silhouette's edge, to 8.
  visible: float = fraction(0.3)  # Least fraction of an object's area inside the frame.
  covers: tuple[float, float] = (0.03, 0.7)  # Range of the fraction of the frame an object covers.
  tilted_background: float = fraction(0.5)  # Probability of a background with a disparity ramp.
  margin: float = 0.05  # Least disparity between a layer and what it covers, to 0.5 / layers.
  on_plane: float = fraction(0.5)  # Probability of a focus on a layer; else uniform in [0, 1].
  full_aperture: float = fraction(0.7)  # Probability of aperture 1; else uniform in [0.2, 1].
  polygon: float = fraction(0.3)  # Probability of an aperture of 5 to 9 blades.
  highlight: float = fraction(0.5)  # Probability of a gain on highlights.
  highlight_max: float = bounded(10.0, 1.0, 1000.0)  # Largest gain; gains are log-uniform.
  corruption: float = fraction(0.7)  # Probability that a silhouette is observed with errors.
  corruption_radius: int = bounded(6, 0, 64)  # Largest erosion or dilation at a long side of 320.
  corruption_sigma: float = bounded(2.0, 0.0, 32.0)  # Largest blur at a long side of 320.
  # Drawn last, from the seed of the record: at 0 they do not change the record.
  tilted_foreground: float = fraction(0.0)  # Probability of a foreground tilted in any direction.
  relief: float = fraction(0.0)  # Amplitude of relief, as a fraction of what layer order allows.
  glass: float = fraction(0.0)  # Fraction of foregrounds of glass.
  mirror: float = fraction(0.0)  # Fraction of foregrounds that are mirrors.
  colours: int = bounded(0, 0, 64)  # Colours that glass and mirrors are painted with, for labels.

  def __post_init__(self):
    for name in ('softness', 'covers'):
      object.__setattr__(self, name, tuple(getattr(self, name)))
    check_fields(self)
    check('margin', self.margin, 0.0, 0.5 / self.layers)
    check('glass + mirror', self.glass + self.mirror, 0.0, 1.0)
    for name, high in (('softness', 8.0), ('covers', 1.0)):
      pair = getattr(self, name)
      if len(pair) != 2 or not 0 <= pair[0] <= pair[1] <= high:
        raise ValueError(f'{name} is {pair}; it must be (low, high) within [0, {high}]')
