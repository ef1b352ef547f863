"""What each notebook asks: one module or package per notebook, with its name."""
