"""Exceptions that end a training run early."""


class NotFinite(RuntimeError):
  """A loss, gradient, update or score was NaN or infinite; the message says how to go on."""


class Terminated(RuntimeError):
  """The run was stopped by SIGTERM or SIGINT; its state is saved."""
