"""`depthjax export`: writes a program, refuses sizes and names."""

from tests.commands import made


def test_a_program_is_written(run):
  made.save_depth('net.safetensors')
  code, out, error = run('export net.safetensors --size=16x24 -o a.jax_exported')
  assert (code, error) == (0, '')
  assert out.startswith('a.jax_exported: deeplens_depth, image [b h w 3]; ')


def test_invalid_options_are_refused(refuse):
  made.save_depth('net.safetensors')
  refuse('export net.safetensors --size=16 -o a.stablehlo', "--size is '16'; it must be HEIGHT")
  refuse(
    'export net.safetensors --size=16x17 -o a.stablehlo', 'deeplens_depth: the size is 16 x 17; the'
  )
  refuse('export no/file --size=16x16 -o a.stablehlo', 'no/file: expected')
