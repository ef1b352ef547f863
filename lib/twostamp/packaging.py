"""A trained classifier as something to hand on: one folder with the network, a model card and the statistics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from twostamp.features import Floats
from twostamp.inputs import Objects, prepare_objects


@dataclass(frozen=True)
class Classifier:
    """A trained network and what its inputs are made with.

    Attributes
    ----------
    network : keras.Model
        Gives probabilities, shape (n, n_classes).
    classes : tuple of str
        In the order of the probabilities.
    n_alerts : {1, 2}
        Packets of an object.
    prepare : callable
        From the table of `twostamp.inputs.decode_objects` to the inputs of the network.
    card : mapping
        What is known about the model.
    """

    network: keras.Model
    classes: tuple[str, ...]
    n_alerts: int
    prepare: Callable[[pd.DataFrame], Any]
    card: Mapping[str, Any]

    def predict(self, objects: Objects, batch_size: int = 256) -> Floats:
        """Classify objects from their alert packets.

        Parameters
        ----------
        objects : sequence of n tuples
            `n_alerts` Avro packets of one object, the earlier first: bytes, or the dicts that they decode to.
        batch_size : int
            Objects in memory at a time.

        Returns
        -------
        ndarray, shape (n, n_classes), float32

        Raises
        ------
        twostamp.alerts.packet.PacketError
            A packet is damaged or lacks a field, a stamp cannot be read; the message names the object.
        """
        parts = [np.empty((0, len(self.classes)), np.float32)]
        starts = range(0, len(objects), batch_size)
        for start in tqdm(starts, unit="batch", desc="predict", disable=len(starts) < 2):
            inputs = prepare_objects(objects[start : start + batch_size], self.n_alerts, self.prepare, start)
            parts.append(self.network.predict_on_batch(inputs))
        return np.concatenate(parts)
