"""Shallow depth of field on photographs of any size."""
