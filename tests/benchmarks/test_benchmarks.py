"""The benchmarks: their twins compute the same as what they are timed against, and they run."""

import importlib
import itertools
import json
import pathlib

import jax
import numpy as np
import pytest

from depthjax.models.deeplens.lensblur import LensBlur
from depthjax.ops import lens, scatter
from depthjax.train import experiment

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module', name='modules')
def fixture_modules():
  """The scripts by name, imported as they import each other."""
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / 'benchmarks'))
    names = ('table', 'lens', 'input', 'loop', 'train', 'refocus', 'ops')
    yield {name: importlib.import_module(name) for name in names}


@pytest.fixture(scope='module', name='config')
def fixture_config(tmp_path_factory):
  """A config file of the smallest run, which is built, and so traced, once for all tests."""
  file = tmp_path_factory.mktemp('configs') / 'smallest.py'
  fields = 'parallel__devices=1, batch_size=2, eval__examples=2'
  text = f'from tests import tiny\n\ndef get_config(arg):\n  return tiny.config({fields})\n'
  file.write_text(text, encoding='utf-8')
  build, built = experiment.build, []

  def build_once(config):
    built[:] = built or [build(config)]
    return built[0]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(experiment, 'build', build_once)
    yield str(file)


@pytest.mark.parametrize('slanted', [(), (2,), (0, 1, 2)])
def test_numpy_twin_equals_the_tracer(modules, slanted):
  bench = modules['lens']
  scene = bench.scene(3, 40, 12, slanted=bool(slanted))
  fields = {'focus': 0.5, 'strength': 25.0, 'limit': 10.0, 'pad': 12, 'slanted': slanted}
  trace = jax.jit(lambda *arrays: lens.trace(*arrays, **fields))
  arrays = (*scene.values(), lens.vogel(9))
  expected = np.asarray(trace(*arrays))
  np.testing.assert_allclose(bench.numpy_trace(*arrays, **fields), expected, atol=1e-3)
  assert expected.std() > 0.05  # Noise: a tap that is off by a pixel would show.


def test_opencv_twin_equals_the_classical_renderer_on_whole_radii(modules):
  rng = np.random.default_rng(0)
  image = rng.random((40, 36, 3), np.float32)
  defocus = rng.integers(-5, 6, (40, 36, 1)).astype(np.float32)
  ours = jax.jit(lambda *x: scatter.scatter(*x, limit=4))(image, defocus)
  twin = modules['lens'].opencv_scatter(image, defocus, limit=4)
  np.testing.assert_allclose(twin[5:-5, 5:-5], ours[5:-5, 5:-5], atol=1e-4)


def test_floors_follow_from_bytes_flops_and_rates(modules):
  bench = modules['lens']
  args = bench.parser().parse_args(
    ['--size', '64', '--samples', '2', '--pad', '4', '--probe', '64']
  )
  rates, floors = bench.floor({'memory': [1e-9], 'cache': [1e-9], 'arithmetic': [2e-9]}, args)
  bandwidth = next(iter(rates.values())).median * 1e9
  pixels = 2 * 64 * 64
  # RGBA of two layers, RGB of the last, the mean read and written: 17 floats.
  np.testing.assert_allclose(floors['bytes, from memory'], 17 * 4 * pixels / bandwidth)
  scene = jax.device_put((*bench.scene(3, 64, 4).values(), lens.vogel(2)))
  fields = {'focus': 0.5, 'strength': 5.0, 'limit': 2.0, 'pad': 4}
  lowered = jax.jit(lambda *arrays: lens.trace(*arrays, **fields)).lower(*scene)
  rate = list(rates.values())[-1].median * 1e9
  # The compiler counts one turn of the loop over samples, and what comes before it.
  counted = lowered.compile().cost_analysis()['flops'] - 9 * 72 * 72
  np.testing.assert_allclose(floors['FLOPs'][0] * rate / 2, counted, rtol=0.1)


@pytest.mark.parametrize('dtype, bound', [('float32', 1e-4), ('bfloat16', 0.02)])
def test_pytorch_twin_equals_the_learned_lens_blur(modules, monkeypatch, dtype, bound):
  pytest.importorskip('torch')
  bench = modules['refocus']
  widths = {'features': (6, 6, 3, 3), 'upsampler_features': (6, 6, 3, 3)}
  tiny = LensBlur(width=4, upsampler_width=4, radius=2, **widths)
  monkeypatch.setitem(bench._NETWORKS, 'learned, release', (tiny, 2))
  args = bench.parser().parse_args(['--twin-size', '16', '--repeats', '1', '--dtype', dtype])
  report = modules['table'].Report()
  bench.forward(report, args)
  (rows,) = report.tables.values()
  assert [row['half'] for row in rows] == ['blur', 'blur', 'upsample', 'upsample']
  assert max(float(row['largest difference']) for row in rows) < bound


def test_operations_equal_what_they_are_timed_against(modules):
  report = modules['ops'].main('--size 16 --batch 2 --repeats 1'.split())
  quantiles, *enlargement = report.tables.values()
  assert [row['what'] for row in quantiles[::2]] == [
    'median',
    'median, a third counts',
    'eight levels',
  ]
  assert len(enlargement) == (modules['ops'].torch is not None)
  for row in (*quantiles, *(row for rows in enlargement for row in rows)):
    assert float(row['largest difference']) < 2e-5


def test_ratios_are_taken_round_by_round(modules):
  table, calls = modules['table'], itertools.count(1)
  measures = {'a': lambda: 2.0 * next(calls), 'b': lambda: 1.0 * next(calls)}
  times = table.interleaved(measures, 2)
  # The first round, 1 and 2, does not count; the second goes back, the third forth.
  assert times == {'a': [8.0, 10.0], 'b': [3.0, 6.0]}
  assert table.ratio([1.0, 30.0], [2.0, 10.0]) == (1.75, 0.5, 3.0)


def test_config_that_is_not_there_is_one_line(modules, capsys):
  with pytest.raises(SystemExit):
    modules['train'].main(['--config', 'configs/none.py'])
  assert 'configs/none.py: no such config file' in capsys.readouterr().err


def test_lens_prints_ratios_and_writes_them(modules, tmp_path, capsys):
  arguments = '--size 32 --samples 6 --pad 6 --limits 3 --numpy-samples 3 --probe 4096 --repeats 2'
  report = modules['lens'].main([*arguments.split(), '--json', str(tmp_path / 'lens.json')])
  saved = json.loads((tmp_path / 'lens.json').read_text(encoding='utf-8'))
  assert list(saved['tables']) == list(report.tables) and len(saved['tables']) == 4
  rows = {row['what']: row for rows in report.tables.values() for row in rows}
  assert rows['flat: tracer']['time / ours'] == (1, 1, 1)
  for name in ('flat: NumPy', 'slanted: NumPy', 'radius 3: OpenCV'):
    low, high = rows[name]['time / ours'][1:]
    assert 0 < low <= high
    assert float(rows[name]['largest difference']) < 1e-3
  assert 'jax ' in capsys.readouterr().out


def test_input_prints_shares_of_stages_and_rates(modules, config, capsys):
  arguments = '--sizes 32 --scenes 3 --batches 2 --prepared 4 --workers 0 --threads 1'
  tables = modules['input'].main(['--config', config, *arguments.split(), '--repeats', '1']).tables
  drawing, encodings, reading = tables.values()
  shares = {row['stage']: row['share of the whole'].median for row in drawing}
  assert min(shares.values()) > 0 and shares.pop('whole') == 1
  np.testing.assert_allclose(sum(shares.values()), 1)
  sizes = {row['encoding']: row['of the raw bytes'] for row in encodings}
  assert len(sizes) == 5 and sizes['bytes, zstd:3 (ours)'] < sizes['bytes, uncompressed']
  assert all(row['drawing / reading'].median > 0 for row in encodings)
  assert [row['read ahead by'] for row in reading] == 2 * ['1 thread']
  assert [row['scenes'] for row in reading] == ['drawn', 'prepared']
  assert reading[0]['rate / drawn likewise'] == (1, 1, 1)
  assert 'scenes/s a core' in capsys.readouterr().out


def test_loop_prints_who_waits(modules, config, capsys):
  arguments = ['--config', config, '--workers', '0', '--steps', '2', '--repeats', '2']
  (rows,) = modules['loop'].main(arguments).tables.values()
  names = ['one batch, on the device', '2 threads, sent in turn', '2 threads, sent ahead']
  assert [row['input'] for row in rows] == names
  assert rows[0]['time / one batch'] == (1, 1, 1) and rows[0]['gap, ms'] == (0, 0, 0)
  assert all(0 <= row['waiting, of the time'].median < 1 for row in rows[1:])
  assert 'waiting' in capsys.readouterr().out


def test_train_prints_the_parts_of_a_step(modules, config, capsys):
  arguments = ['--config', config, '--matmul', '64', '--repeats', '2', '--no-compiling']
  parts, products, memory = modules['train'].main(arguments).tables.values()
  assert [row['part'] for row in parts][0] == 'step' and len(parts) == 4
  flops = {row['part']: row['GFLOP'] for row in parts}
  whole = flops['forward, with the losses'] + flops['backward and update']
  assert 0 < flops['forward, with the losses'] < flops['step'] == pytest.approx(whole)
  assert [row['in'] for row in products] == ['float32']
  assert memory[0]['over the state'] > 1
  assert 'device:' in capsys.readouterr().out


def test_train_measures_tracing_and_compiling(modules, config, capsys):
  modules['train'].main(['--config', config, '--compile-only'])
  seconds = json.loads(capsys.readouterr().out)
  assert set(seconds) == {'trace', 'compile'} and min(seconds.values()) > 0


def test_donated_state_is_threaded_through_the_calls(modules):
  step = jax.jit(lambda state, batch: (state + batch, 2 * state), donate_argnums=0)
  program = modules['train'].Program(step, jax.numpy.ones(3), jax.numpy.ones(3), donates=True)
  for expected in (2, 4, 6):
    np.testing.assert_array_equal(program(), np.full(3, expected))
