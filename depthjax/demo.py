"""The demonstration: train the smallest lens blur, measure it, use it on a real photograph."""

import pathlib
import shutil
import time
from typing import Any

import ml_collections
import numpy as np
import skimage.data

from depthjax import configuring
from depthjax.files import colormaps, depth, images, plots
from depthjax.files.report import Report
from depthjax.pipelines.refocus import refocus
from depthjax.train import evaluate, log, loop

# Disparities in focus: the motorcycle's tank and headlight; the shelves and the wall behind it.
_NEAR, _FAR = 0.9, 0.1
_RADIUS = 16  # Pixels, of 741.
_WAYS = {
  'learned': 'learned (this run)',
  'classical': 'classical, from one image',
  'input': 'the photograph, untouched',
}
_COLUMNS = {
  'psnr': 'PSNR, dB',
  'ssim': 'SSIM',
  'psnr_edge': 'PSNR at edges',
  'ssim_edge': 'SSIM at edges',
}


def run(folder: pathlib.Path, config_file: pathlib.Path) -> pathlib.Path:
  """Trains, evaluates, refocuses and writes FOLDER/report.html; prints where things are.

  Raises:
    ConfigError: the config file is missing.
  """
  begin = time.perf_counter()
  config = configuring.load(config_file, 'smoke')
  folder.mkdir(parents=True, exist_ok=True)
  workdir = folder / 'run'
  if workdir.exists():  # A run that is trained already would show the time of nothing.
    shutil.rmtree(workdir)
  loop.train(config, workdir)
  trained = time.perf_counter()
  scores = evaluate.newest(config, workdir, 'test')
  renderer = refocus.load(workdir)
  photo, disparity = motorcycle()
  pictures = _refocused(folder, photo, disparity, renderer)
  path = _report(folder, config, workdir, scores, photo, disparity, pictures, trained - begin)
  for line in (f'report    {path}', f'pictures  {folder}/*.png', f'weights   {workdir}'):
    print(line)
  print(f'took {time.perf_counter() - begin:.0f} s, {trained - begin:.0f} s of it training')
  return path


def motorcycle() -> tuple[np.ndarray, np.ndarray]:
  """A real photograph [500 741 3] and its measured, normalised disparity [500 741 1].

  Middlebury 2014 (Scharstein et al.), as shipped inside scikit-image.
  """
  left, _, disparity = skimage.data.stereo_motorcycle()
  read = depth.normalise(disparity.astype(np.float32), name='motorcycle disparity', invalid=0)
  return left.astype(np.float32) / 255, read.disparity


def table(scores: dict[str, float]) -> list[tuple[str, ...]]:
  """The rows of the evaluation: a way to render, then PSNR and SSIM, whole and at depth edges."""
  form = {'psnr': '{:.2f}', 'ssim': '{:.3f}'}
  return [
    (name, *(form[column[:4]].format(scores[f'{column}/{way}']) for column in _COLUMNS))
    for way, name in _WAYS.items()
  ]


def _refocused(
  folder: pathlib.Path, photo: np.ndarray, disparity: np.ndarray, renderer: refocus.Learned
) -> dict[tuple[str, str], np.ndarray]:
  """The photograph focused near and far by both renderers, each also written as a PNG."""
  pictures = {}
  for name, focus in (('near', _NEAR), ('far', _FAR)):
    for way, learned in (('learned', renderer), ('classical', None)):
      picture = refocus.refocus(photo, disparity, focus=focus, radius=_RADIUS, learned=learned)
      images.write_image(folder / f'motorcycle_{name}_{way}.png', picture)
      pictures[name, way] = picture
  return pictures


def _report(
  folder: pathlib.Path,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  scores: dict[str, float],
  photo: np.ndarray,
  disparity: np.ndarray,
  pictures: dict[tuple[str, str], np.ndarray],
  seconds: float,
) -> pathlib.Path:
  report = Report('Learned lens blur', 'depthjax: the demonstration, trained on this machine')
  report.heading('A real photograph, refocused')
  report.comparison(
    [(photo, 'Photograph'), (colormaps.colour(disparity), 'Measured disparity, bright is near')],
    'Middlebury 2014, motorcycle. It was never trained on.',
  )
  for name, what in (('near', 'the front of the motorcycle'), ('far', 'the wall')):
    report.comparison(
      [(pictures[name, way], f'{_WAYS[way].capitalize()}') for way in ('learned', 'classical')],
      f'In focus: {what}. Blur radius {_RADIUS} pixels for the whole range.',
    )
  report.heading('Held-out scenes')
  report.paragraph(
    f'Means over {config.eval.examples} scenes traced through a lens with true occlusion, of '
    'photographs and seeds that training never saw. The disparity given is what a predictor '
    f'that errs at the edges sees of {config.data.corruption:.0%} of the objects.'
  )
  report.table(table(scores), ('Renderer', *_COLUMNS.values()))
  newest = sorted((workdir / 'pictures').glob('lensblur_*.png'))[-1]
  report.figure(
    newest.read_bytes(), 'Photograph, defocus (grey is sharp), learned result, ground truth.'
  )
  report.heading('Training')
  _training(report, workdir, config, seconds)
  return report.write(folder / 'report.html')


def _training(
  report: Report, workdir: pathlib.Path, config: ml_collections.ConfigDict, seconds: float
) -> None:
  lines = log.read_metrics(workdir)
  steps: list[Any] = [line['step'] for line in lines]
  series = {name: (steps, [line[name] for line in lines]) for name in ('blur', 'upsampler')}
  report.paragraph(
    f'{config.steps} steps of {config.batch_size} scenes in {seconds:.0f} s, compilation included. '
    'This is a short run: it shows that all parts work, not how good they get.'
  )
  report.figure(plots.curve(series, x_label='step', y_label='loss'), 'Loss of the two networks.')
