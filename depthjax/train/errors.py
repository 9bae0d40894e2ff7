"""Exceptions that end a training run early, after its state is saved."""


class NotFinite(RuntimeError):
  """A loss or gradient was NaN or infinite, and the message names the checkpoint to go on from; or
  a score was NaN.
  """


class Terminated(RuntimeError):
  """The run was stopped by SIGTERM or SIGINT; its state is saved."""
