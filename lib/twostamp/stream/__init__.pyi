from .night import Night, NightError

__all__ = ["Night", "NightError"]
