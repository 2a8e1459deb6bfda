"""Tensors mapped from safetensors files: as the library has them, and gone when let go of."""

import json

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from tuillm.errors import TuillmError
from tuillm.model.mmap_safetensors import StoredTensors, map_tensors

KINDS = [
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.uint8,
    torch.int8,
    torch.bool,
]


@pytest.fixture
def file(tmp_path):
    """A file with a tensor of each kind, a scalar and an empty one."""
    tensors = {str(kind): torch.arange(6).view(2, 3).to(kind) for kind in KINDS}
    tensors |= {"scalar": torch.tensor(3.5), "empty": torch.zeros(0, 4)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    return tmp_path / "a.safetensors"


def test_tensors_equal_those_of_the_library(file):
    """Every kind of number, a scalar and an empty tensor come out as the format's library reads."""
    expected, found = load_file(file), map_tensors(file)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
    assert torch.equal(StoredTensors(file)["torch.bfloat16"], expected["torch.bfloat16"])


def test_writing_to_a_mapped_tensor_leaves_the_file(file):
    """What is changed in memory stays in memory."""
    map_tensors(file)["torch.float32"].fill_(9)
    assert map_tensors(file)["torch.float32"].sum() == 15


def test_memory_comes_back_tensor_by_tensor(tmp_path):
    """A tensor that was read and let go of takes no memory while its neighbours are held."""
    path = tmp_path / "a.safetensors"
    save_file({name: torch.ones(50_000_000 // 4) for name in "abc"}, path)
    tensors, process = map_tensors(path), psutil.Process()
    before = process.memory_info().rss
    for name in "ab":
        assert float(tensors[name].sum()) > 0
        held = process.memory_info().rss - before
        assert held > 30_000_000
        del tensors[name]
        assert process.memory_info().rss - before < 20_000_000


def of_header(path, header, content):
    """A file with this header, whatever it says."""
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(content))
    return path


def stored(shape, start, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize("offsets", [[0, 0], [0, 8], [-8, 16], [8, 0]])
def test_offsets_that_do_not_fit_the_shape(tmp_path, offsets):
    """A tensor whose bytes are not as many as its shape asks for is damaged, however large."""
    for shape in ([2, 3], [10**9, 10**9]):
        path = of_header(tmp_path / "a.safetensors", {"a": stored(shape, *offsets)}, 24)
        with pytest.raises(TuillmError, match="is damaged"):
            map_tensors(path)


@pytest.mark.parametrize("keep", [4, 30, 400])
def test_a_file_cut_short(file, keep):
    """Wherever a file ends too early, one line says that it is damaged."""
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(TuillmError, match="is damaged"):
        map_tensors(file)


@pytest.mark.parametrize(
    ("header", "content", "words"),
    [
        (
            {"a": stored([4], 0, 4, "F8_E4M3")},
            4,
            "tensors of type 'F8_E4M3', which tuillm does not",
        ),
        ({"a": stored([2], 0, 8), "b": stored([2], 0, 8)}, 8, "do not lie side by side"),
        ({"a": stored([2], 0, 8), "b": stored([2], 12, 20)}, 20, "do not lie side by side"),
        ({"a": stored([2], 4, 12)}, 12, "do not lie side by side"),
        ({"a": stored([2], 0, 8)}, 9, "longer than its header says"),
        ({"a": stored([2], 0, 8)}, 7, "cut short"),
        ({"a": stored([True], 0, 4)}, 4, "unreadable header"),
        ({"a": stored([3, 3], 0, 12, "F16")}, 12, r"of shape \[3, 3\] has 12 bytes"),
        ({"a": stored([0, 2**64], 0, 0)}, 0, "is damaged"),
        ({"a": stored([0, 2**40, 2**40], 0, 0)}, 0, "is damaged"),
    ],
    ids=str,
)
def test_a_header_that_cannot_be_true(tmp_path, header, content, words):
    """Types nobody reads, gaps, overlaps, wrong sizes and absurd ones end in one line."""
    with pytest.raises(TuillmError, match=words) as caught:
        map_tensors(of_header(tmp_path / "a.safetensors", header, content))
    assert "\n" not in str(caught.value)


def test_files_without_values_are_whole(tmp_path):
    """No tensor at all, or tensors without elements, are read as the library wrote them."""
    path = tmp_path / "a.safetensors"
    save_file({}, path, metadata={"format": "pt"})
    assert map_tensors(path) == {}
    empty = {
        "a": torch.zeros(0, 5, dtype=torch.bfloat16),
        "b": torch.zeros(0, dtype=torch.int64),
        "c": torch.ones(2),
    }
    save_file(empty, path)
    found = map_tensors(path)
    assert {name: (value.shape, value.dtype) for name, value in found.items()} == {
        name: (value.shape, value.dtype) for name, value in empty.items()
    }
    assert found["c"].tolist() == [1, 1]


def test_many_small_tensors_keep_no_file_open(tmp_path):
    """A process may have some thousand files open, and every mapping keeps one."""
    path = tmp_path / "a.safetensors"
    save_file({f"{number}": torch.full((300,), number) for number in range(500)}, path)
    before = psutil.Process().num_fds()
    tensors = map_tensors(path)
    assert psutil.Process().num_fds() < before + 10
    assert all(int(tensor[299]) == int(name) for name, tensor in tensors.items())
