"""Trains and evaluates the experiments of the papers' tables, and prints both results."""
