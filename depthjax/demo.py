"""The demonstration: trains the smallest lens blur, evaluates it, refocuses a real photograph."""

import pathlib
import shutil
import time

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
_RADIUS = 16  # Pixels, for a width of 741.
_RENDERERS = {'learned': 'learned (this run)', 'classical': 'classical', 'input': 'the photograph'}
_COLUMNS = {
  'psnr': 'PSNR, dB',
  'ssim': 'SSIM',
  'psnr_edge': 'PSNR at edges',
  'ssim_edge': 'SSIM at edges',
}
# Focus, renderer -> picture.
_Pictures = dict[tuple[str, str], np.ndarray]


def run(folder: pathlib.Path, config_name: str | pathlib.Path) -> pathlib.Path:
  """Trains, evaluates, refocuses and writes FOLDER/report.html; prints and returns its path."""
  begin = time.perf_counter()
  config = configuring.load(config_name, 'smoke')
  folder.mkdir(parents=True, exist_ok=True)
  workdir = folder / 'run'
  shutil.rmtree(workdir, ignore_errors=True)  # Otherwise a finished run would be resumed.
  loop.train(config, workdir)
  seconds = time.perf_counter() - begin
  report = Report('Learned lens blur', 'depthjax: the demonstration, trained on this machine')
  photo, disparity = motorcycle()
  pictures = _refocused(folder, photo, disparity, refocus.load(workdir))
  _show_photograph(report, photo, disparity, pictures)
  scores = evaluate.evaluate(*evaluate.restore(config, workdir), 'test')
  _show_scores(report, config, workdir, scores)
  _show_training(report, workdir, config, seconds)
  path = report.write(folder / 'report.html')
  print(f'report    {path}\npictures  {folder}/*.png\nweights   {workdir}')
  print(f'took {time.perf_counter() - begin:.0f} s, {seconds:.0f} s of it for training')
  return path


def motorcycle() -> tuple[np.ndarray, np.ndarray]:
  """A real photograph [500 741 3] and its measured, normalised disparity [500 741 1].

  Source: Middlebury 2014 (Scharstein et al.), as included in scikit-image.
  """
  left, _, disparity = skimage.data.stereo_motorcycle()
  read = depth.normalise(disparity.astype(np.float32), name='motorcycle disparity', invalid=0)
  return left.astype(np.float32) / 255, read.disparity


def _refocused(
  folder: pathlib.Path, photo: np.ndarray, disparity: np.ndarray, renderer: refocus.Learned
) -> _Pictures:
  """The photograph focused near and far by both renderers, each also written as PNG."""
  pictures = {}
  for name, focus in (('near', _NEAR), ('far', _FAR)):
    for method, learned in (('learned', renderer), ('classical', None)):
      picture = refocus.refocus(photo, disparity, focus=focus, radius=_RADIUS, learned=learned)
      images.write_image(folder / f'motorcycle_{name}_{method}.png', picture)
      pictures[name, method] = picture
  return pictures


def _show_photograph(
  report: Report, photo: np.ndarray, disparity: np.ndarray, pictures: _Pictures
) -> None:
  report.heading('A real photograph, refocused')
  report.comparison(
    [(photo, 'Photograph'), (colormaps.colour(disparity), 'Measured disparity, bright is near')],
    'Middlebury 2014, motorcycle. It is not part of the training data.',
  )
  for name, what in (('near', 'the front of the motorcycle'), ('far', 'the wall')):
    report.comparison(
      [(pictures[name, x], _RENDERERS[x].capitalize()) for x in ('learned', 'classical')],
      f'In focus: {what}. Blur radius at most {_RADIUS} pixels.',
    )


def _show_scores(
  report: Report, config: ml_collections.ConfigDict, workdir: pathlib.Path, scores: evaluate.Scores
) -> None:
  report.heading('Test scenes')
  report.paragraph(
    f'Means over {scores.examples} scenes, ray traced through a lens, with photographs and '
    f'seeds that are not used in training. In {config.data.corruption:.0%} of the objects the '
    'input disparity has the errors of a depth predictor at edges.'
  )
  form = {'psnr': '{:.2f}', 'ssim': '{:.3f}'}
  rows = [
    (title, *(form[column[:4]].format(scores.means[f'{column}/{name}']) for column in _COLUMNS))
    for name, title in _RENDERERS.items()
  ]
  report.table(rows, ('Renderer', *_COLUMNS.values()))
  newest = sorted((workdir / 'pictures').glob('lensblur_*.png'))[-1]
  report.figure(
    newest.read_bytes(), 'Photograph, defocus (grey is sharp), learned result, ground truth.'
  )


def _show_training(
  report: Report, workdir: pathlib.Path, config: ml_collections.ConfigDict, seconds: float
) -> None:
  report.heading('Training')
  report.paragraph(
    f'{config.steps} steps of {config.batch_size} scenes in {seconds:.0f} s with compilation. '
    'This run is short: it shows that everything works, not the quality of a full training.'
  )
  lines = log.read_metrics(workdir)
  steps = [line['step'] for line in lines]
  series = [(name, [(steps, [line[name] for line in lines])]) for name in ('blur', 'upsampler')]
  report.figure(plots.curve(series, x_label='step', y_label='loss'), 'Loss of the two networks.')
