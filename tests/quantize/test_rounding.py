"""Weights of integer products, on CPUs that add two products in 16 bits and on those that do not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from transducer.core.onnx_files import IR_VERSION
from transducer.quantize.rounding import int8_columns, int8_factors
from transducer.runtime.sessions import open_session

GENERATOR = np.random.default_rng(3)


@pytest.mark.parametrize(
    "matrix",
    [
        np.ones((8, 3)),
        -np.ones((7, 3)),
        np.array([[1.0, 0.0, -1.0], [1.0, 1e-9, -0.98], [0.3, 0.0, 1.0]]),
        GENERATOR.standard_normal((640, 64)),
        GENERATOR.standard_cauchy((161, 64)),
        np.zeros((4, 2)),
    ],
    ids=["equal", "odd", "small", "normal", "outliers", "zeros"],
)
def test_the_product_is_exact_on_this_cpu(matrix: NDArray[np.float64], tmp_path: Path) -> None:
    """With the largest activations, which overflow first; and no value is off by more than half a step."""
    values, scale = int8_factors(matrix, axis=0)
    assert np.abs(values * scale - matrix).max(axis=0) == pytest.approx(0, abs=float(scale.max()) * 0.501)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [None, len(matrix)])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [None, matrix.shape[1]])],
        [onnx.numpy_helper.from_array(values, "w")],
    )
    path = tmp_path / "product.onnx"
    onnx.save(helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", 17)]), path)
    activations = np.where(GENERATOR.random((5, len(matrix))) < 0.8, 255, 0).astype(np.uint8)
    activations[0] = 255
    (found,) = open_session(path).run(None, {"x": activations})
    assert (found == activations.astype(np.int32) @ values.astype(np.int32)).all()


def test_room_for_sums_costs_less_than_a_bit_along_any_axis() -> None:
    matrix = GENERATOR.standard_normal((640, 64))
    (_, plain), (values, scale) = int8_columns(matrix, axis=0), int8_factors(matrix, axis=0)
    assert 1 <= (scale / plain).min() <= (scale / plain).max() < 1.9 and (scale / plain).mean() < 1.6
    turned, turned_scale = int8_factors(matrix.T[None], axis=2)
    assert (values == turned[0].T).all() and (turned_scale[0] == scale).all()
