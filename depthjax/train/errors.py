"""Exceptions that end a training run early, after its state is saved."""


class NotFinite(RuntimeError):
  """A loss or gradient was not finite, and the last finite state is saved; or a score was NaN."""


class Terminated(RuntimeError):
  """The run was stopped by SIGTERM; its state is saved."""
