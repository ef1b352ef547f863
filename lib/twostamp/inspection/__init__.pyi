from . import agreement, attribution, forest, permutation

__all__ = ["agreement", "attribution", "forest", "permutation"]
