"""The library's log, printed once for whoever asks."""

import logging

from twostamp.utils.logs import show_log


def test_the_log_is_printed_once_however_often_it_is_asked_for(capsys):
    show_log()
    show_log()
    logging.getLogger("twostamp.pipeline.notebooks").info("%s: running", "04_model_search")
    logging.getLogger("twostamp").debug("details")
    logging.getLogger("another").info("not ours")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("04_model_search: running\n", "")
