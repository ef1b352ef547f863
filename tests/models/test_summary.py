"""Tables 4.1-4.4 come from the layers themselves."""

import pytest

from twostamp.models.architectures import build_model
from twostamp.models.summary import describe_layers

pytestmark = pytest.mark.slow


def test_layers_are_described_as_in_table_4_1() -> None:
    layer = build_model("stacked", n_classes=5, crop_size=21, kernel_size=3, dropout_rate=0.3).get_layer("deephits")
    table = describe_layers(layer.stages, (None, 21, 21, 6))
    sizes = dict(zip(table["layer"], table["output_size"], strict=True))
    assert sizes["convolution 1"] == sizes["convolution 2"] == "24 × 24 × 32"
    assert sizes["max pooling 2"] == "6 × 6 × 64"
    assert table["parameters"].tolist()[2:4] == ["4 × 4, 32", "3 × 3, 32"]
    assert sizes["rotation concatenation"] == "4 × 64"
    assert table["n_parameters"].sum() == layer.count_params()
