"""Figures: one module per notebook, with its name, and shared modules."""
