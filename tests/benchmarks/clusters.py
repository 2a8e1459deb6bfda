"""The tables of docs/clusters.md: device kinds, published runs beside their forecast, GPT-2's four.

Prints Markdown; measures nothing, and takes a second. `PUBLISHED` names each run's source.
"""

from dataclasses import dataclass, replace

from tuillm.config import build_train
from tuillm.config.gpt_config import GPTConfig
from tuillm.training.forecast.cluster import ClusterForecast, forecast_shape
from tuillm.training.forecast.device_kinds import KINDS, DeviceKind
from tuillm.training.forecast.step_time import (
    COMPILED,
    COMPILED_UNFUSED,
    EAGER_UNFUSED,
    KERNELS,
    Implementation,
)
from tuillm.units import size

GPT2 = GPTConfig(50_257, 1024, 12, 12, 768)
PADDED = replace(GPT2, vocab_size=50_304)
XL = GPTConfig(50_304, 1024, 48, 25, 1600)
OPENWEBTEXT = 9_000_000_000
_A100 = KINDS["a100"]
_TF32 = replace(_A100, float32=156e12)  # products in TF32, which PyTorch does where it is told to
_LLMC = "https://github.com/karpathy/llm.c/discussions"


@dataclass(frozen=True)
class Published:
    """A run as its authors tell of it; `seconds` are of the whole run, or of a step."""

    name: str
    source: str
    shape: GPTConfig
    kind: DeviceKind
    nproc: int
    windows: int  # of a GPU in a pass
    passes: int
    steps: int
    seconds: float
    how: Implementation
    dtype: str = "auto"
    found: bool = False  # whether a constant of its implementation was found from this one

    def forecast(self) -> ClusterForecast:
        """What the formulas say of it."""
        config = build_train(
            {
                "preset": "gpt2",
                "batch_size": self.windows * self.nproc,
                "grad_accum_steps": self.passes,
                "max_steps": self.steps,
                "nproc": self.nproc,
                "dtype": self.dtype,
                "grad_checkpoint": False,
            }
        )
        return forecast_shape(config, self.shape, self.kind, 1, OPENWEBTEXT, how=self.how)


RUNS = (
    Published(
        "nanoGPT, GPT-2 124M, 600,000 steps of 491,520 tokens, 8 x A100 40 GB",
        "https://github.com/karpathy/nanoGPT",
        GPT2,
        KINDS["a100-40gb"],
        *(8, 12, 5, 600_000),
        4 * 86_400,
        COMPILED_UNFUSED,
    ),
    Published(
        "llm.c, GPT-2 124M, 18,865 steps of 524,288 tokens, 8 x A100 80 GB",
        f"{_LLMC}/481",
        PADDED,
        _A100,
        *(8, 64, 1, 18_865),
        90 * 60,
        KERNELS,
        found=True,
    ),
    Published(
        "llm.c, GPT-2 124M, 19,560 steps of 524,288 tokens, 8 x H100",
        "https://github.com/KellerJordan/modded-nanogpt",
        PADDED,
        KINDS["h100"],
        *(8, 64, 1, 19_560),
        45 * 60,
        KERNELS,
    ),
    Published(
        "llm.c, GPT-2 1558M, 32,000 steps of 1,048,576 tokens, 8 x H100",
        f"{_LLMC}/677",
        XL,
        KINDS["h100"],
        *(8, 16, 8, 32_000),
        86_400,
        KERNELS,
    ),
)
_LECTURE = "https://www.youtube.com/watch?v=l8pRSuU81PU"
STEPS = tuple(
    Published(
        f"{name}, one step of 16,384 tokens, A100 80 GB",
        _LECTURE,
        GPT2,
        kind,
        *(1, 16, 1, 1),
        seconds,
        how,
        dtype,
        found,
    )
    for name, kind, seconds, how, dtype, found in (
        ("eager, float32", _A100, 1.0, EAGER_UNFUSED, "float32", False),
        ("eager, TF32", _TF32, 0.333, EAGER_UNFUSED, "float32", False),
        ("eager, bfloat16", _A100, 0.3, EAGER_UNFUSED, "bfloat16", True),
        ("compiled", _A100, 0.13, COMPILED_UNFUSED, "bfloat16", True),
        ("compiled, fused attention", _A100, 0.096, COMPILED, "bfloat16", True),
    )
)
PUBLISHED = (*RUNS, *STEPS)
# what they train on: title, kind, nodes, GPUs of each, and whether also with --shard
PLACES = (("1 x A100", "a100", 1, 1), ("8 x A100", "a100", 1, 8), ("2 x 8 x H100", "h100", 2, 8))
MODELS = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")


def gpt2_on(
    preset: str, kind: str, nodes: int, nproc: int, *, shard: bool = False
) -> ClusterForecast:
    """Forecast a pass over OpenWebText, 524,288 tokens a step, 8 sequences a GPU at once."""
    ranks = nodes * nproc
    config = build_train(
        {
            "preset": preset,
            "epochs": 1,
            "batch_size": 8 * ranks,
            "grad_accum_steps": 64 // ranks,
            "nproc": nproc,
            "shard": shard,
        }
    )
    shape = GPTConfig(50_257, 1024, config.n_layer, config.n_head, config.n_embd, bias=True)
    return forecast_shape(config, shape, KINDS[kind], nodes, OPENWEBTEXT)


def kinds_table() -> list[str]:
    """The table of device kinds."""
    rows = [
        "| kind | GPU | bfloat16 / float16 / float32 TFLOPS | memory | its bandwidth | "
        "link, one direction | network of a node | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS.values():
        peaks = (kind.bfloat16, kind.float16, kind.float32)
        tflops = " / ".join(f"{peak / 1e12:.4g}" if peak else "-" for peak in peaks)
        rows.append(
            f"| `{kind.name}` | {kind.title} | {tflops} | {size(kind.memory)} | "
            f"{kind.bandwidth / 1e9:,.0f} GB/s | {kind.link / 1e9:g} GB/s, {kind.link_name} | "
            f"{kind.network / 1e9:g} GB/s, {kind.network_name} | {kind.source} |"
        )
    return rows


def published_table() -> list[str]:
    """Published times beside what the formulas say."""
    rows = ["| run | published | forecast | ratio | MFU |", "|---|---|---|---|---|"]
    for run in PUBLISHED:
        seen = run.forecast()
        star = " *" if run.found else ""
        rows.append(
            f"| [{run.name}]({run.source}){star} | {_time(run.seconds)} | {_time(seen.seconds)} | "
            f"{seen.seconds / run.seconds:.2f} | {seen.step_mfu:.0%} |"
        )
    return rows


def gpt2_table() -> list[str]:
    """GPT-2's four shapes on one pass over OpenWebText."""
    rows = [
        "| model | GPUs | | memory of a GPU | sent in a step | step | tokens/s | MFU | time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for preset in MODELS:
        for title, kind, nodes, nproc in PLACES:
            for shard in (False, True) if nodes * nproc > 1 else (False,):
                seen = gpt2_on(preset, kind, nodes, nproc, shard=shard)
                how = "--shard" if shard else "DDP" if seen.ranks > 1 else ""
                again = ", blocks again" if seen.recompute else ""
                rows.append(
                    f"| {preset} | {title} | {how} | {size(seen.memory_needed)}{again} | "
                    f"{size(sum(seen.sent.values())) if seen.ranks > 1 else '-'} | "
                    f"{_time(seen.step_seconds)} | {seen.tokens_per_sec / 1e3:,.0f}k | "
                    f"{seen.step_mfu:.0%} | {_time(seen.seconds)} |"
                )
    return rows


def _time(seconds: float) -> str:
    for unit, length, least in (("days", 86_400, 1.5), ("h", 3600, 1.7), ("min", 60, 1.5)):
        if seconds >= least * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


if __name__ == "__main__":
    for table in (kinds_table(), published_table(), gpt2_table()):
        print("\n".join(table), end="\n\n")
