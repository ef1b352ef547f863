"""``python -m twostamp.stream``: the same as ``twostamp tonight``."""

import argparse
import sys

from twostamp import stream

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m twostamp.stream", description=__doc__)
    stream.add_options(parser)
    sys.exit(stream.run_tonight(parser.parse_args()))
