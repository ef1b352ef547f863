"""Log of the library, printed in notebooks and commands."""

import logging


class _Printer(logging.Handler):
    """Print records, so that a notebook shows them below its cell."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def show_log() -> None:
    """Print the library's log from now on."""
    log = logging.getLogger("twostamp")
    if not any(isinstance(handler, _Printer) for handler in log.handlers):
        log.addHandler(_Printer())
        log.setLevel(logging.INFO)
