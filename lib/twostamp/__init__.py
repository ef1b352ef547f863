"""Early classification of ZTF objects from their first two alerts.

The package computes; the notebooks tell. Importing it loads neither TensorFlow nor Spark.
"""

__version__ = "0.1.0"
