"""Figures: one module per chapter of the thesis, one style sheet."""
