"""Encoders that several networks use."""
