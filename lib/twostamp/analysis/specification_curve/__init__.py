"""Specification curve."""
