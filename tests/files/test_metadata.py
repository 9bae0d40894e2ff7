"""What a photo carries comes out as it went in, from every format into every other, upright."""

import io

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from depthjax.files import metadata
from depthjax.files.images import read_image, read_photo, write_image
from tests import profiles

H, W = 14, 22
_FORMATS = [('.png', 8), ('.jpg', 8), ('.webp', 8), ('.tif', 8), ('.png', 16), ('.tif', 16)]
_GPS = {ExifTags.GPS.GPSLatitudeRef: 'N', ExifTags.GPS.GPSLatitude: (48.0, 12.0, 30.0)}


def _exif(orientation=None):
  exif = Image.Exif()
  exif[ExifTags.Base.Make], exif[ExifTags.Base.Copyright] = 'Maker', 'Somebody, 2026'
  exif[ExifTags.IFD.Exif] = {
    ExifTags.Base.ExposureTime: 0.005,
    ExifTags.Base.DateTimeOriginal: '2026:11:21 12:00:00',
    ExifTags.Base.ExifImageWidth: W,
    ExifTags.Base.ExifImageHeight: H,
  }
  exif[ExifTags.IFD.GPSInfo] = _GPS
  if orientation:
    exif[metadata.ORIENTATION] = orientation
  return exif


@pytest.fixture
def image():
  """Smooth noise, saturated: in Display P3 much of it is outside of sRGB."""
  noise = np.random.default_rng(0).random((H, W, 3), np.float32)
  noise = cv2.GaussianBlur(noise, (0, 0), 4)
  return (noise - noise.min(axis=(0, 1))) / np.ptp(noise, axis=(0, 1))


def _photo(tmp_path, image, orientation=6):
  """A photo as cameras write it: lying on its side, in Display P3."""
  path, profile = tmp_path / 'camera.png', profiles.matrix_profile(*profiles.P3)
  pixels = Image.fromarray(np.rint(image * 255).astype(np.uint8))
  pixels.save(path, exif=_exif(orientation), icc_profile=profile)
  return path, profile


def _assert_carries(path, profile, width=H, height=W):
  with Image.open(path) as image:
    image.load()
    exif = image.getexif()
    assert image.size == (width, height)
    assert image.info.get('icc_profile') == profile
  assert exif.get(metadata.ORIENTATION, 1) == 1
  assert (exif[ExifTags.Base.Make], exif[ExifTags.Base.Copyright]) == ('Maker', 'Somebody, 2026')
  values = exif.get_ifd(ExifTags.IFD.Exif)
  assert float(values[ExifTags.Base.ExposureTime]) == pytest.approx(0.005)
  assert values[ExifTags.Base.DateTimeOriginal] == '2026:11:21 12:00:00'
  size = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight
  assert tuple(values[tag] for tag in size) == (width, height)
  gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
  assert {tag: gps[tag] for tag in _GPS} == _GPS


@pytest.mark.parametrize('ending, bits', _FORMATS)
def test_profile_and_exif_go_into_every_format_and_come_out_again(tmp_path, image, ending, bits):
  path, profile = _photo(tmp_path, image)
  photo = read_photo(path)
  written = tmp_path / f'a{ending}'
  write_image(written, photo.image, bits=bits, metadata=photo.metadata)
  _assert_carries(written, profile)
  again = read_photo(written)
  assert again.metadata.profile == profile and again.metadata.exif is not None
  upright = np.rot90(np.rint(image * 255) / 255, -1)
  exact = ending in ('.png', '.tif')
  np.testing.assert_allclose(again.image, upright, atol=1e-6 if exact else 0.15)
  # Once more, since each format is read in a way of its own.
  write_image(tmp_path / 'b.png', again.image, metadata=again.metadata)
  _assert_carries(tmp_path / 'b.png', profile)
  write_image(tmp_path / 'b.tif', again.image, bits=16, metadata=again.metadata)
  _assert_carries(tmp_path / 'b.tif', profile)


@pytest.mark.parametrize('ending, bits', _FORMATS)
def test_a_wide_gamut_means_the_same_colours_in_the_output(tmp_path, image, ending, bits):
  path, profile = _photo(tmp_path, image, orientation=1)
  photo = read_photo(path)
  assert np.abs(read_image(path) - photo.image).max() > 0.05  # Cut to sRGB, it is another picture.
  write_image(tmp_path / f'a{ending}', photo.image, bits=bits, metadata=photo.metadata)
  lab = ImageCms.createProfile('LAB')
  before, after = (_in_lab(name, lab) for name in (path, tmp_path / f'a{ending}'))
  assert np.abs(before - after).mean() < (4 if ending in ('.jpg', '.webp') else 0.02)


def _in_lab(path, lab):
  with Image.open(path) as image:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info['icc_profile']))
    image = ImageCms.profileToProfile(image.convert('RGB'), profile, lab, outputMode='LAB')
  lightness, *opponents = (np.asarray(band) for band in image.split())
  return np.stack([lightness / 2.55, *(band.view(np.int8) for band in opponents)], axis=-1)


@pytest.mark.parametrize('ending', ['.png', '.jpg', '.webp', '.tif'])
def test_a_photo_without_any_stays_without(tmp_path, image, ending):
  write_image(tmp_path / f'a{ending}', image)
  photo = read_photo(tmp_path / f'a{ending}')
  assert photo.metadata.profile is None
  write_image(tmp_path / 'b.jpg', photo.image, metadata=photo.metadata)
  with Image.open(tmp_path / 'b.jpg') as written:
    assert 'icc_profile' not in written.info and ExifTags.Base.Make not in written.getexif()


@pytest.mark.parametrize('orientation', range(1, 9))
def test_pixels_are_those_that_viewers_show(tmp_path, image, orientation):
  path, _ = _photo(tmp_path, image, orientation)
  assert read_photo(path).image.shape == read_image(path).shape
  turned = orientation >= 5
  write_image(tmp_path / 'a.tif', read_photo(path).image, metadata=read_photo(path).metadata)
  with Image.open(tmp_path / 'a.tif') as written:
    assert written.size == ((H, W) if turned else (W, H))
    assert written.getexif().get(metadata.ORIENTATION, 1) == 1


@pytest.mark.parametrize('orientation', [1, 6])
def test_a_tiff_does_not_hand_on_how_it_was_stored(tmp_path, image, orientation):
  """Strips, compression and size of the input would make nonsense of the output."""
  path, profile = tmp_path / 'camera.tif', profiles.matrix_profile(*profiles.P3)
  pixels = Image.fromarray(np.rint(image * 255).astype(np.uint8))
  exif = _exif(orientation)
  del exif[ExifTags.IFD.GPSInfo]  # Pillow cannot write it to TIFF from scratch.
  pixels.save(path, exif=exif.tobytes(), icc_profile=profile)
  photo = read_photo(path)
  size = (W, H) if orientation == 1 else (H, W)
  for name in ('a.tif', 'a.jpg', 'a.png'):
    write_image(tmp_path / name, photo.image[:10], metadata=photo.metadata)
    with Image.open(tmp_path / name) as written:
      assert written.size == (size[0], 10)
      assert name == 'a.tif' or not {256, 259, 273} & set(written.getexif())
  stored = cv2.imread(str(tmp_path / 'a.tif'), cv2.IMREAD_UNCHANGED)[..., ::-1]
  np.testing.assert_allclose(stored / 255, photo.image[:10], atol=1e-6)


def test_a_large_profile_is_shared_between_segments_of_a_jpeg(tmp_path, image):
  profile = profiles.matrix_profile(*profiles.P3, padding=200_000)
  beside = metadata.Metadata(profile=profile)
  write_image(tmp_path / 'a.jpg', image, metadata=beside)
  with Image.open(tmp_path / 'a.jpg') as written:
    assert written.info['icc_profile'] == profile
  np.testing.assert_allclose(read_photo(tmp_path / 'a.jpg').image, image, atol=0.1)


@pytest.mark.parametrize('damage', [lambda p: p[:100], lambda p: b'\0' * len(p), lambda p: p[:140]])
def test_a_damaged_profile_is_left_out_with_a_warning(tmp_path, image, caplog, damage):
  path = tmp_path / 'a.png'
  profile = damage(profiles.matrix_profile(*profiles.P3))
  Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(path, icc_profile=profile)
  assert read_photo(path).metadata.profile is None
  assert 'a.png: the colour profile is ignored' in caplog.text


def test_damaged_exif_is_left_out_with_a_warning(tmp_path, image, caplog, monkeypatch):
  path, _ = _photo(tmp_path, image)

  def damaged(*_):
    raise ValueError('no such tag')

  monkeypatch.setattr(metadata, '_cleaned', damaged)
  assert read_photo(path).metadata.exif is None
  assert 'EXIF cannot be read and is left out (no such tag)' in caplog.text


def test_exif_too_large_for_a_jpeg_is_left_out_with_a_warning(tmp_path, image, caplog):
  exif = _exif()
  exif[ExifTags.Base.ImageDescription] = 'x' * 70_000
  beside = metadata.Metadata(exif=exif.tobytes().removeprefix(b'Exif\0\0'))
  write_image(tmp_path / 'a.jpg', image, metadata=beside)
  assert 'does not fit into a JPEG' in caplog.text
  np.testing.assert_allclose(read_photo(tmp_path / 'a.jpg').image, image, atol=0.1)
