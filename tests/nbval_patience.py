"""A plugin for nbval: wait longer than its five seconds for the outputs of a cell, since a machine may be busy."""


def pytest_collection_modifyitems(items):
    for cell in items:
        cell.output_timeout = 300
