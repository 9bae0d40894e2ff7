"""Kinds of records that tasks train on, one module each."""
