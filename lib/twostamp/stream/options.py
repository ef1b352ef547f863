"""Options of the command line of ``twostamp tonight``."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``twostamp tonight`` to a parser."""
    add = parser.add_argument
    add("night", nargs="?", default="", help="UTC date YYYYMMDD, a range or a list; by default all nights")
    add("--run", default="", help="a run: its archive or simulated survey, its models, its folder of outputs")
    add("--archive", default="", metavar="FOLDER_OR_TARBALL", help="Avro packets, or a URL")
    add("-o", "--output", type=Path, metavar="FOLDER", help="where to write (outputs/RUN/tonight, real without a run)")
    add("--model", default="", metavar="FOLDER", help="a classifier (default: the run's, else the shipped one)")
    add("--first-model", default="", metavar="FOLDER", help="for first alerts, if --model needs two")
    add("--adapter", default="", metavar="FILE", help="of twostamp adapt, for a survey that has aged")
    add("--programid", type=int, nargs="+", default=[1], help="programids to score: 1 is the public survey")
    add("--keep-class", default="SN", help="keep the packets of candidates of this class (%(default)s)")
    add("--keep-above", type=float, default=0.1, help="from this probability on (%(default)g)")
    add("--remember", type=float, default=100.0, metavar="DAYS", help="wait for a second alert (%(default)g)")
    add("--alerce-rules", action="store_true", help="apply ALeRCE's rules to ALeRCE's table")
    kafka = parser.add_argument_group("Kafka").add_argument
    kafka("--kafka", default="", metavar="SERVERS", help="brokers to read from, host:port separated by commas")
    kafka("--topic", default="ztf_{night}_programid1", help="topic of a night (%(default)s)")
    kafka("--schemas", default="", metavar="URL_OR_FOLDER", help="schema registry, for Confluent's frame")
    kafka("--group", default="", help="subscribe as a member of this group; by default partitions are assigned")
    kafka("--follow", action="store_true", help="wait for more messages, until SIGTERM or Ctrl-C")
    kafka("--kafka-option", nargs="+", default=[], metavar="KEY=VALUE", help="of librdkafka, for example sasl.username")
    kafka("--output-topic", default="", metavar="TOPIC", help="send the predictions to this topic too")
