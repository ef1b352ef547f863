"""What the command line of ``twostamp tonight`` takes."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``twostamp tonight`` to a parser."""
    add = parser.add_argument
    add("night", nargs="?", default="", help="UTC date YYYYMMDD, a range or a list; by default all that is there")
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
    kafka = parser.add_argument_group("Kafka").add_argument
    kafka("--kafka", default="", metavar="SERVERS", help="brokers to read from, host:port with commas between")
    kafka("--topic", default="ztf_{night}_programid1", help="of a night (%(default)s)")
    kafka("--schemas", default="", metavar="URL_OR_FOLDER", help="of a registry, for Confluent's frame")
    kafka("--group", default="", help="subscribe as a member of it; by default partitions are assigned")
    kafka("--follow", action="store_true", help="wait for more where all is read, until SIGTERM or Ctrl-C")
    kafka("--kafka-option", nargs="+", default=[], metavar="KEY=VALUE", help="of librdkafka, such as sasl.username")
    kafka("--output-topic", default="", metavar="TOPIC", help="send the answers there too")
