"""The shipped classifier: the average of several trainings, all on simulated alerts alone."""

from collections.abc import Sequence
from dataclasses import replace

import keras

from twostamp.models.architectures import input_shapes
from twostamp.models.classifier import Classifier


def average_classifiers(classifiers: Sequence[Classifier]) -> Classifier:
    """Combine repetitions of one training into a single network that returns their mean probabilities.

    Lakshminarayanan et al. (2017, NeurIPS): such an ensemble is more accurate and better calibrated than its members.

    Parameters
    ----------
    classifiers : sequence of Classifier
        Of one variant, trained on the same records.

    Returns
    -------
    Classifier
        With the card of the first.
    """
    first = classifiers[0]
    shapes = input_shapes(first.variant, first.crop_size)
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    answers = []
    for number, classifier in enumerate(classifiers):
        classifier.network.name = f"{first.variant}_{number}"
        answers.append(classifier.network(inputs))
    mean = keras.layers.Average(name="mean_probabilities")(answers)
    return replace(first, network=keras.Model(inputs, mean, name=first.variant))
