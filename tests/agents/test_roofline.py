"""FLOP and bytes of a part of an update, beside numbers by hand."""

import torch

from agents.roofline import work_of


def test_flop_of_two_layers_and_their_derivatives_are_those_by_hand():
    inputs = torch.ones(7, 4)
    first, second = (torch.ones(shape, requires_grad=True) for shape in ((4, 5), (5, 3)))

    def call(clock):
        with clock("forward"):
            result = (inputs @ first) @ second
        with clock("backward"):
            result.sum().backward()

    work = work_of(call)
    assert work["forward"][0] == 2 * 7 * 4 * 5 + 2 * 7 * 5 * 3
    # dW1 = xᵀ dh, dW2 = hᵀ dy, dh = dy W2ᵀ; the inputs have no derivative
    assert work["backward"][0] == 2 * 4 * 7 * 5 + 2 * 5 * 7 * 3 + 2 * 7 * 3 * 5


def test_flop_of_a_convolution_are_those_by_hand():
    image, kernel = torch.ones(2, 3, 8, 8), torch.ones(6, 3, 4, 4)

    def call(clock):
        with clock("whole"), clock("inner"):
            torch.nn.functional.conv2d(image, kernel, stride=2)

    work = work_of(call)
    assert work["whole"][0] == work["inner"][0] == 2 * 2 * (3 * 3) * 6 * (3 * 4 * 4)  # 3x3 places, 48 products each


def test_bytes_are_what_operations_read_and_write_and_a_view_moves_none():
    left, right = torch.ones(4, 5), torch.ones(5, 3)

    def call(clock):
        with clock("product"):
            result = left @ right
        with clock("view"):
            result.view(3, 4).t()

    work = work_of(call)
    assert work["product"] == (2 * 4 * 5 * 3, 4 * (4 * 5 + 5 * 3 + 4 * 3))
    assert work["view"] == (0, 0)
