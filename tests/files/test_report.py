"""The report is one well-formed page that reaches for nothing outside itself."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from depthjax.files.errors import InputError
from depthjax.files.report import Report

VOID = {'meta', 'img'}
PHOTO = np.random.default_rng(0).random((12, 20, 3)).astype(np.float32)


class Page(HTMLParser):
  """Elements, text and whether every element that opens also closes, in order."""

  def __init__(self, text):
    super().__init__()
    self.elements, self.text, self.open = [], '', []
    self.feed(text)
    assert self.open == [], self.open

  def handle_starttag(self, tag, attributes):
    self.elements.append((tag, dict(attributes)))
    if tag not in VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if self.open and self.open[-1] != 'style':
      self.text += data

  def all(self, tag):
    return [attributes for name, attributes in self.elements if name == tag]


def written(report, tmp_path):
  return report.write(tmp_path / 'a.html').read_text(encoding='utf-8')


def pictures(page):
  """The decoded images in order, as uint8 [h w 3] BGR, each with its kind."""
  for image in page.all('img'):
    kind, data = re.fullmatch(r'data:image/(\w+);base64,(.+)', image['src']).groups()
    data = np.frombuffer(base64.b64decode(data), np.uint8)
    yield kind, cv2.imdecode(data, cv2.IMREAD_COLOR), image


def full_report():
  report = Report('Blur & <depth>', 'Six "photos"')
  report.heading('Part <one>')
  report.heading('Smaller', 3)
  report.paragraph('1 < 2 & <script>alert(1)</script>')
  report.code('depthjax refocus "a.jpg" <b>')
  report.table([('<a>', 1.5, None), ('b', 20, 3)], ['Name', 'PSNR', 'N'], 'Scores & more')
  report.figure(PHOTO, 'A "photo" & more')
  report.comparison([(PHOTO, 'Before'), (PHOTO[..., 0], 'After')], 'Both')
  return report


def test_the_page_is_well_formed_and_complete(tmp_path):
  text = written(full_report(), tmp_path)
  assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
  page = Page(text)
  assert {'charset': 'utf-8'} in page.all('meta')
  assert any(m.get('name') == 'viewport' for m in page.all('meta'))
  for part in ('Blur & <depth>', 'Six "photos"', 'Part <one>', '<script>alert(1)</script>', '<a>'):
    assert part in page.text
  assert not page.all('script') and not page.all('b')
  identities = [a['id'] for _, a in page.elements if 'id' in a]
  assert len(identities) == len(set(identities)) == 3


def test_nothing_outside_is_needed(tmp_path):
  text = written(full_report(), tmp_path)
  for _, attributes in Page(text).elements:
    for name in ('src', 'href'):
      assert attributes.get(name, '#').startswith(('#', 'data:image/'))
  assert not re.search(r'https?:|url\(|@import', text)


def test_light_and_dark(tmp_path):
  text = written(full_report(), tmp_path)
  assert 'prefers-color-scheme:dark' in text and 'color-scheme:light dark' in text


def test_pictures_are_embedded_once_with_size_and_alternative_text(tmp_path):
  report = Report('Pictures')
  plot = cv2.imencode('.png', np.zeros((30, 40, 3), np.uint8))[1].tobytes()
  jpeg = cv2.imencode('.jpg', np.zeros((8, 16), np.uint8))[1].tobytes()
  report.figure(PHOTO, 'photo')
  report.figure(PHOTO, 'exact', lossless=True)
  report.figure(plot, 'plot', alt='Loss falls')
  report.figure(jpeg)
  found = list(pictures(Page(written(report, tmp_path))))
  assert [kind for kind, _, _ in found] == ['jpeg', 'png', 'png', 'jpeg']
  for _, image, attributes in found:
    assert image.shape[:2] == (int(attributes['height']), int(attributes['width']))
  np.testing.assert_array_equal(found[1][1][..., ::-1], np.rint(PHOTO * 255))
  quality = (cv2.IMWRITE_JPEG_QUALITY, 90)
  expected = cv2.imencode('.jpg', np.rint(PHOTO[..., ::-1] * 255).astype(np.uint8), quality)[1]
  np.testing.assert_array_equal(found[0][1], cv2.imdecode(expected, cv2.IMREAD_COLOR))
  assert [a['alt'] for *_, a in found] == ['photo', 'exact', 'Loss falls', 'Picture 4']


def test_each_picture_links_to_its_own_enlargement(tmp_path):
  page = Page(written(full_report(), tmp_path))
  frames = [a['id'] for a in page.all('div') if a.get('class') == 'frame']
  links = [a['href'] for a in page.all('a') if a.get('class') != 'close']
  assert links == [f'#{name}' for name in frames]
  assert all(a['aria-label'] for a in page.all('a'))


def test_large_pictures_are_shrunk_by_area(tmp_path):
  report = Report('Large')
  stripes = np.tile(np.float32([0, 1]), (100, 150))[..., None]
  report.figure(stripes, lossless=True, max_side=150)
  ((_, image, _),) = pictures(Page(written(report, tmp_path)))
  assert image.shape == (50, 150, 3)
  assert np.abs(image.astype(int) - 128).max() <= 1


def test_numbers_in_tables(tmp_path):
  report = Report('Numbers')
  rows = [
    ('a', 31.23456, 12, '+3 %', None, 'x'),
    ('b', np.float32(0.98), 40010, '−2 %', 0.00012344, '7'),
    ('c', -12345.6, True, '', 0.0, 'y'),
  ]
  report.table(rows, list('ABCDEF'))
  text = written(report, tmp_path)
  cells = re.findall(r'<td( class="number")?>(.*?)</td>', text)
  assert [cell for _, cell in cells] == [
    *('31.23', '12', '+3 %', '–', 'x'),
    *('0.9800', '40010', '−2 %', '0.0001234', '7'),
    *('−12346', 'True', '', '0', 'y'),
  ]
  assert [bool(kind) for kind, _ in cells[:5]] == [True, True, True, True, False]
  assert 'tabular-nums' in text


def test_an_empty_table_keeps_its_header(tmp_path):
  report = Report('Empty')
  report.table([], ['A', 'B'])
  assert len(Page(written(report, tmp_path)).all('th')) == 2


def test_bad_parts_are_refused(tmp_path):
  report = Report('Bad')
  with pytest.raises(ValueError, match='has 1 cells; expected 2'):
    report.table([('a',)], ['A', 'B'])
  with pytest.raises(ValueError, match='level 1; expected 2 or 3'):
    report.heading('x', 1)
  with pytest.raises(ValueError, match='neither floats nor the bytes'):
    report.figure(b'GIF89a')
  with pytest.raises(InputError, match='NaN'):
    report.figure(PHOTO * np.nan)
  with pytest.raises(InputError, match=r"a\.htm: ends in '\.htm'; expected .* \.html"):
    report.write(tmp_path / 'a.htm')
  with pytest.raises(InputError, match='no folder'):
    report.write(tmp_path / 'no' / 'a.html')
  assert list(tmp_path.iterdir()) == []
