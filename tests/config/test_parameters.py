"""The parameters of a shape, counted without a model: those that GPT makes, and its folder has."""

import pytest
from model_shapes import FAMILY_SHAPES

from tuillm.config.families import family_of
from tuillm.model import GPT


@pytest.mark.parametrize("name", FAMILY_SHAPES)
def test_they_are_those_of_a_model(name):
    """By name and size, in whole and in blocks; parts add up to the rows."""
    shape = FAMILY_SHAPES[name]
    found = {each.name: each for each in shape.parameters()}
    real = {name: tuple(each.shape) for name, each in GPT(shape).named_parameters()}
    assert {name: each.shape for name, each in found.items()} == real
    assert all(sum(each.parts) == each.shape[0] for each in found.values())
    assert sum(each.count for each in found.values()) == shape.parameter_count
    blocks = [each for each in found.values() if each.in_block]
    assert shape.blocks_count == sum(each.count for each in blocks)
    assert shape.matrices_count == sum(each.count for each in blocks if each.matrix)


@pytest.mark.parametrize("name", FAMILY_SHAPES)
def test_parts_are_the_tensors_of_the_family(name):
    """Queries, keys, values, gate and up are cut where the family's own folder cuts."""
    shape = FAMILY_SHAPES[name]
    found = {each.name: each for each in shape.parameters()}
    for named in family_of(shape).tensors(shape):
        if named.name in found:
            each = found[named.name]
            assert each.shape == named.shape
            if len(named.parts) > 1:
                assert each.parts == tuple(rows for _, rows in named.parts)
        else:
            assert named.optional
    if shape.family == "gpt2" and shape.n_layer:
        assert found["h.1.attn.c_attn.weight"].parts == (24, 24, 24)


def test_operations_are_those_of_the_products():
    """6 for each weight a token is multiplied with, 12 T for each number of all heads."""
    for shape in FAMILY_SHAPES.values():
        products = shape.matrices_count + shape.vocab_size * shape.n_embd
        products += sum(each.count for each in shape.parameters() if not each.matrix)
        attention = 12 * 10 * shape.q_width * shape.n_layer
        assert shape.flops_per_token(10) == 6 * products + attention
