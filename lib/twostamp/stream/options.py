"""What the command line of ``twostamp tonight`` takes."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``twostamp tonight`` to a parser."""
    parser.add_argument("night", nargs="?", default="", help="UTC date YYYYMMDD, a range or a list; else all")
    add = parser.add_argument
    add("--run", default="", help="a run: its archive or simulated survey, its models, its folder of outputs")
    add("--archive", default="", metavar="FOLDER_OR_TARBALL", help="of Avro packets, or a URL")
    add("-o", "--output", type=Path, metavar="FOLDER", help="where the answers go (outputs/RUN/tonight)")
    add("--model", default="", metavar="FOLDER", help="a classifier (the run's, else the one of the package)")
    add("--first-model", default="", metavar="FOLDER", help="for first alerts, where --model needs two")
    add("--programid", type=int, nargs="+", default=[1], help="whose alerts are ours: 1 is the public survey")
    add("--keep-class", default="SN", help="packets of its candidates are kept (%(default)s)")
    add("--keep-above", type=float, default=0.1, help="from this probability on (%(default)g)")
    add("--remember", type=float, default=100.0, metavar="DAYS", help="objects wait for a second alert (%(default)g)")
    add("--alerce-rules", action="store_true", help="let ALeRCE's table leave out what ALeRCE does")
