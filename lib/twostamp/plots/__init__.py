"""Figures: one module per notebook, with its name, and what they share."""
