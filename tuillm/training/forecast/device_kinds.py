"""The kinds of GPU that a forecast knows: one table of what their vendor says about each.

Knows numbers of data sheets and of one published benchmark; asks no device anything.
"""

from dataclasses import dataclass

from tuillm.errors import UsageError, did_you_mean
from tuillm.formats.user_files import shown

# Of the peak, what the largest matrix products reach: "Maximum Achievable Matmul FLOPS" of
# https://github.com/stas00/ml-engineering/blob/master/compute/accelerator/README.md, bfloat16:
# A100 SXM 271.2 of 312 TFLOPS, H100 SXM 794.5 of 989 ("H200 is the same"). Other kinds are not
# in that table; they are taken to reach what the H100 does.
_AMPERE, _HOPPER = 0.869, 0.803
# A link carries so much of its nominal bandwidth: "with the protocol overhead (~20%)", NCCL's
# author in https://github.com/NVIDIA/nccl-tests/issues/212; 235 of 300 GB/s were measured on A100
LINK_SHARE = 0.8

_T, _G = 1e12, 1e9
_NVIDIA = "NVIDIA's data sheet"
_DGX = "its DGX node"


@dataclass(frozen=True)
class DeviceKind:
    """A GPU as its data sheet has it.

    `bfloat16`, `float16` and `float32` are peak operations per second of dense products (float32
    without TF32, as PyTorch multiplies unless told otherwise), None where there are no units.
    `memory` is in bytes (decimal, a little below what the card has), `bandwidth` that of the
    memory in bytes per second. `link` is what a GPU sends to another one of its node, in one
    direction, and `network` what a whole node sends to another one, both in bytes per second.
    `reached` is the share of the peak that large products reach.
    """

    name: str
    title: str
    bfloat16: float | None
    float16: float
    float32: float
    memory: float
    bandwidth: float
    link: float
    link_name: str
    network: float
    network_name: str
    reached: float
    source: str

    def peak(self, dtype: str) -> float:
        """Operations per second of products in `bfloat16`, `float16` or `float32`."""
        known = {"bfloat16": self.bfloat16, "float16": self.float16}
        return known.get(dtype) or self.float32

    @property
    def dtype(self) -> str:
        """The precision that `auto` means: bfloat16 where there are units for it, else float16."""
        return "bfloat16" if self.bfloat16 else "float16"


def _kind(
    name: str,
    title: str,
    tflops: tuple[float | None, float, float],
    memory: float,
    bandwidth: float,
    link: tuple[float, str],
    network: tuple[float, str],
    reached: float = _HOPPER,
    source: str = _NVIDIA,
) -> DeviceKind:
    """Make a row from TFLOPS in bfloat16, float16 and float32, from GB and from GB/s."""
    bfloat16, float16, float32 = tflops
    return DeviceKind(
        name=name,
        title=title,
        bfloat16=bfloat16 and bfloat16 * _T,
        float16=float16 * _T,
        float32=float32 * _T,
        memory=memory * _G,
        bandwidth=bandwidth * _G,
        link=link[0] * _G,
        link_name=link[1],
        network=network[0] * _G,
        network_name=network[1],
        reached=reached,
        source=source,
    )


# The network is that of the vendor's own node where there is one (8 x 400 Gbit/s make 400 GB/s),
# else of what such cards are rented or built with; a cluster with less is slower than forecast.
_HDR = (200, f"8 x 200 Gbit/s InfiniBand, {_DGX}")
_NDR = (400, f"8 x 400 Gbit/s InfiniBand, {_DGX}")
_GEN3, _GEN4 = (16, "PCIe 3.0 x16"), (32, "PCIe 4.0 x16")
_ETHERNET_10, _ETHERNET_25 = (1.25, "10 Gbit/s Ethernet"), (3.125, "25 Gbit/s Ethernet")
_A100, _H100 = (312, 312, 19.5), (989.4, 989.4, 67)

KINDS: dict[str, DeviceKind] = {
    kind.name: kind
    for kind in (
        _kind("a100", "A100 SXM 80 GB", _A100, 80, 2039, (300, "NVLink 3"), _HDR, _AMPERE),
        _kind("a100-40gb", "A100 SXM 40 GB", _A100, 40, 1555, (300, "NVLink 3"), _HDR, _AMPERE),
        _kind("h100", "H100 SXM 80 GB", _H100, 80, 3350, (450, "NVLink 4"), _NDR),
        _kind("h200", "H200 SXM 141 GB", _H100, 141, 4800, (450, "NVLink 4"), _NDR),
        _kind(
            "v100",
            "V100 SXM2 32 GB",
            (None, 125, 15.7),
            32,
            900,
            (150, "NVLink 2"),
            (50, f"4 x 100 Gbit/s InfiniBand, {_DGX}"),
        ),
        _kind("l4", "L4 24 GB", (121, 121, 30.3), 24, 300, _GEN4, _ETHERNET_25),
        _kind(
            "rtx4090",
            "GeForce RTX 4090 24 GB",
            (165.2, 165.2, 82.6),
            24,
            1008,
            _GEN4,
            _ETHERNET_10,
            source="NVIDIA's white paper on the Ada GPU architecture, with float32 accumulation",
        ),
        _kind(
            "rtx3090",
            "GeForce RTX 3090 24 GB",
            (71, 71, 35.6),
            24,
            936,
            _GEN4,
            _ETHERNET_10,
            source="NVIDIA's white paper on the GA102 architecture, with float32 accumulation",
        ),
        _kind("t4", "T4 16 GB", (None, 65, 8.1), 16, 320, _GEN3, _ETHERNET_25),
    )
}


def find_kind(name: str) -> DeviceKind:
    """Return the row of a name, capitals, dashes and blanks apart; raises UsageError with all."""
    plain = {_plain(each): kind for each, kind in KINDS.items()}
    if kind := plain.get(_plain(name)):
        return kind
    known = "kinds: " + ", ".join(KINDS)
    guess = did_you_mean(name, KINDS)
    raise UsageError(f"unknown device kind {shown(name)}", f"{guess} {known}" if guess else known)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
