"""Published checkpoints of other frameworks as weights of networks of this house."""
