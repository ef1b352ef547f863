"""What the library costs beside the plain way of doing the same: ``make bench``, or ``python -m tests.benchmarks``.

Every row sets our rate against that of a named reference, measured in the same run on the same bytes in alternating
pairs, so that a busy machine slows both. Nothing here is a test: no time is ever asserted.
"""
