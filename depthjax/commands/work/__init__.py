"""The work of the commands; these modules import jax."""
