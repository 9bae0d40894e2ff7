"""Metadata: EXIF, XMP, profile and resolution are carried from every format to every other."""

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from depthjax.files import metadata
from depthjax.files.images import read_image, read_photo, write_image
from tests import profiles

H, W = 24, 36
FORMATS = [('.png', 8), ('.jpg', 8), ('.webp', 8), ('.tif', 8), ('.png', 16), ('.tif', 16)]
PROFILE = profiles.matrix_profile(*profiles.P3)
XMP = b'<x:xmpmeta tiff:Make="Maker"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
DPI = 300, 240
_GPS = {ExifTags.GPS.GPSLatitudeRef: 'N', ExifTags.GPS.GPSLatitude: (48.0, 12.0, 30.0)}


def _exif(orientation=1):
  exif = Image.Exif()
  exif[ExifTags.Base.Make] = 'Maker'
  size = {ExifTags.Base.ExifImageWidth: W, ExifTags.Base.ExifImageHeight: H}
  exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: '2026:11:21 12:00:00', **size}
  exif[ExifTags.IFD.GPSInfo] = _GPS
  exif[metadata.ORIENTATION] = orientation
  return exif


def _saved(path, photo, orientation=6, **options):
  xmp = PngImagePlugin.PngInfo()
  xmp.add_itxt('XML:com.adobe.xmp', XMP.decode())
  options = {
    'exif': _exif(orientation),
    'icc_profile': PROFILE,
    'pnginfo': xmp,
    'dpi': DPI,
  } | options
  Image.fromarray(np.rint(photo * 255).astype(np.uint8)).save(path, **options)
  return path


def _assert_embedded(path, profile=PROFILE, size=(H, W), xmp=None):
  with Image.open(path) as image:
    image.load()
    if xmp:
      assert image.info['xmp'] == xmp
      # A WebP file holds a resolution in its EXIF only.
      assert path.suffix == '.webp' or np.allclose(image.info['dpi'], DPI, rtol=1e-4)
    exif = image.getexif()
    assert image.size == size
    assert image.info.get('icc_profile') == profile
  assert exif.get(metadata.ORIENTATION, 1) == 1 and exif[ExifTags.Base.Make] == 'Maker'
  values = exif.get_ifd(ExifTags.IFD.Exif)
  assert values[ExifTags.Base.DateTimeOriginal] == '2026:11:21 12:00:00'
  tags = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight
  assert tuple(values[tag] for tag in tags) == size
  gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
  assert {tag: gps[tag] for tag in _GPS} == _GPS


@pytest.mark.parametrize('extension, bits', FORMATS)
def test_metadata_are_written_to_and_read_from_every_format(tmp_path, photo, extension, bits):
  path, written = _saved(tmp_path / 'camera.png', photo), tmp_path / f'a{extension}'
  read = read_photo(path)
  assert np.abs(read_image(path) - read.image).max() > 0.05  # outside sRGB
  write_image(written, read.image, bits=bits, metadata=read.metadata)
  _assert_embedded(written, xmp=XMP.replace(b'<tiff:Orientation>6</tiff:Orientation>', b''))
  assert read_photo(written).metadata.xmp == read.metadata.xmp
  if extension == '.png':  # The chunk is a TIFF header, without the prefix that a JPEG has.
    assert written.read_bytes().split(b'eXIf')[1][:2] in (b'MM', b'II')
  again = read_photo(written)
  upright = np.rot90(np.rint(photo * 255) / 255, -1)
  atol = 1e-6 if extension in ('.png', '.tif') else 0.15
  np.testing.assert_allclose(again.image, upright, atol=atol)


@pytest.mark.parametrize('extension', ['.png', '.jpg', '.webp', '.tif'])
def test_nothing_is_embedded_without_metadata(tmp_path, photo, extension):
  write_image(tmp_path / f'a{extension}', photo)
  read = read_photo(tmp_path / f'a{extension}')
  assert read.metadata[1:] == (None, None, None)
  exif = Image.Exif()
  exif.load(read.metadata.exif or b'')
  assert ExifTags.Base.Make not in exif


def test_storage_tags_of_a_tiff_are_dropped(tmp_path, photo):
  """Strips, compression and size of the input would be wrong in the output."""
  exif = _exif(6)
  del exif[ExifTags.IFD.GPSInfo]  # Pillow does not write it to a new TIFF file
  read = read_photo(_saved(tmp_path / 'camera.tif', photo, exif=exif.tobytes()))
  for name in ('a.tif', 'a.jpg', 'a.png'):
    write_image(tmp_path / name, read.image[:10], metadata=read.metadata)
    with Image.open(tmp_path / name) as written:
      assert written.getexif()[ExifTags.Base.Make] == 'Maker'
      assert name == 'a.tif' or not {256, 259, 273} & set(written.getexif())
    assert read_image(tmp_path / name).shape == (10, H, 3)


def test_large_profile_is_embedded_in_a_jpeg_without_padding(tmp_path, photo):
  profile = profiles.matrix_profile(*profiles.P3, padding=200_000)
  written = metadata.Metadata(profile=profile + b'padding')
  write_image(tmp_path / 'a.jpg', photo, metadata=written)
  assert read_photo(tmp_path / 'a.jpg').metadata.profile == profile


@pytest.mark.parametrize('damage', [lambda p: p[:100], lambda p: b'\0' * len(p), lambda p: p[:140]])
def test_damaged_profile_is_ignored_with_a_warning(tmp_path, photo, caplog, damage):
  path = _saved(tmp_path / 'a.png', photo, icc_profile=damage(PROFILE))
  assert read_photo(path).metadata.profile is None
  assert 'a.png: the colour profile is ignored' in caplog.text


@pytest.mark.parametrize(
  'xmp, wrong',
  [
    ('<x xmpNote:HasExtendedXMP="1"/>', 'about depth, motion or a gain map'),
    (
      '<x xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"/>',
      'about depth, motion or a gain',
    ),
    (f'<x>{65499 * " "}</x>', 'of 65506 bytes'),
  ],
)
def test_xmp_about_other_data_of_the_file_is_dropped_with_a_warning(
  tmp_path, photo, caplog, xmp, wrong
):
  chunk = PngImagePlugin.PngInfo()
  chunk.add_itxt('XML:com.adobe.xmp', xmp)
  assert read_photo(_saved(tmp_path / 'a.png', photo, pnginfo=chunk)).metadata.xmp is None
  assert f'a.png: XMP {wrong}' in caplog.text


def test_no_resolution_is_invented(tmp_path, photo):
  """Pillow returns 72 for a JPEG that has EXIF and no resolution."""
  path = _saved(tmp_path / 'a.jpg', photo, dpi=(0, 0))
  assert read_photo(path).metadata.dpi is None


def test_damaged_exif_is_dropped_with_a_warning(tmp_path, photo, caplog, monkeypatch):
  path = _saved(tmp_path / 'camera.png', photo)
  monkeypatch.setattr(metadata, '_cleaned', lambda *_: 1 / 0)
  assert read_photo(path).metadata.exif is None
  assert 'EXIF cannot be read and is dropped (division by zero)' in caplog.text


def test_metadata_that_a_format_cannot_hold_are_dropped_with_a_warning(tmp_path, photo, caplog):
  exif = _exif()
  exif[ExifTags.Base.ImageDescription] = 'x' * 70_000
  write_image(tmp_path / 'a.jpg', photo, metadata=metadata.Metadata(exif=exif.tobytes()))
  assert 'a.jpg: EXIF of 70' in caplog.text and 'does not fit into a JPEG' in caplog.text
  invalid = metadata.Metadata(_exif().tobytes(), PROFILE + b'padding')
  write_image(tmp_path / 'a.png', photo, metadata=invalid)
  assert 'a.png: libpng refuses the colour profile' in caplog.text
  _assert_embedded(tmp_path / 'a.png', profile=None, size=(W, H))
