"""Inference time."""
