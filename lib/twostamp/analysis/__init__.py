"""Analyses of the notebooks: one module or package per notebook, with its name."""
