"""Numbers that the thesis prints."""

MODELS = {"M0": "stamp_26", "M1": "stacked", "M2": "separated"}
"""One stamp with the 26 metadata that the two-stamp models have for each alert (M10), stacked, separated."""

PAIRS = (("M0", "M1"), ("M0", "M2"), ("M2", "M1"))
"""Comparisons of Table 6.4, the model said to be worse first. The thesis names no side for M1 against M2; it is the
one-sided "M2 is worse than M1" that comes near its p (T6)."""

THESIS_REPETITIONS = 5

THESIS_ACCURACY = {
    "M0": {"validation": (0.928, 0.004), "test": (0.923, 0.005)},
    "M1": {"validation": (0.950, 0.003), "test": (0.937, 0.003)},
    "M2": {"validation": (0.946, 0.001), "test": (0.932, 0.006)},
}
"""Mean and standard deviation of the accuracies that Table 6.4 prints."""

THESIS_P = {("M0", "M1"): 1.668e-5, ("M0", "M2"): 1.817e-4, ("M2", "M1"): 2.749e-2}
"""Values of p that Table 6.4 prints (validation set)."""
