"""Photographs with shallow depth of field."""
