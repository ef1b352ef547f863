from .command import run_tonight
from .night import Night, NightError
from .night_model import NightModel
from .options import add_options
from .sink import SinkError

__all__ = ["Night", "NightError", "NightModel", "SinkError", "add_options", "run_tonight"]
