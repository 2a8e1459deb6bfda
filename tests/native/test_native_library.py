"""The native library: compiled once in the background where it can be, done without elsewhere."""

import os
import shutil
import subprocess
import sys

import pytest
from commands import end_workers, tuillm
from conditions import until

from tuillm.native import compiled
from tuillm.native.compile_process import compile_once
from tuillm.native.library import Library


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A folder in which nothing was compiled yet."""
    folder = tmp_path / "native"
    monkeypatch.setenv("TUILLM_NATIVE_FOLDER", str(folder))
    return folder


@pytest.fixture
def compiler(fresh, tmp_path, monkeypatch):
    """Make a compiler of a shell script, and the one that is used."""

    def make(script):
        path = tmp_path / "cc"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))

    return make


def reads(folder):
    """The names in a folder, but for logs and locks."""
    return sorted(path.suffix for path in folder.iterdir() if path.suffix in (".so", ".failed"))


@pytest.mark.slow
def test_it_is_compiled_in_the_background(fresh, native_library):
    """Nobody waits for it; it is there some seconds later, and is not compiled again."""
    if native_library is None:
        pytest.skip("no C compiler")
    assert compiled.library() is None and compiled.start_compiling()
    until(lambda: compiled.library() is not None, 120)
    end_workers()
    assert isinstance(compiled.library(), Library)
    assert not compiled.start_compiling() and reads(fresh) == [".so"]
    assert compiled.state().startswith("compiled")


def test_without_a_compiler_nothing_is_tried(fresh, monkeypatch):
    """Models decode all the same; `doctor` says so."""
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.delenv("CC", raising=False)
    assert not compiled.start_compiling() and compiled.library() is None
    assert "no C compiler" in compiled.state()


def test_a_compiler_that_fails_is_asked_once(compiler, fresh):
    """Its first error is kept and told."""
    compiler("echo 'forward.c:1: error: no such machine' >&2; exit 1")
    compile_once()
    assert reads(fresh) == [".failed"]
    assert "no such machine" in compiled.state() and compiled.library() is None
    assert not compiled.start_compiling()


def test_a_library_that_is_wrong_is_never_used(compiler, fresh, tmp_path):
    """What the compiler made is tried in a process of its own: it could end it."""
    source = tmp_path / "wrong.c"
    source.write_text("int tuillm_forward(void) { return *(volatile int *)0; }")
    real = compiled._COMPILERS
    path = next((one for one in map(shutil.which, real) if one), None)
    if path is None:
        pytest.skip("no C compiler")
    out = 'for word; do [ "$before" = -o ] && out=$word; before=$word; done'
    compiler(f'{out}; {path} -shared -fPIC {source} -o "$out"')
    compile_once()
    assert reads(fresh) == [".failed"] and compiled.library() is None
    assert "its check failed" in compiled.state()


def test_another_processor_has_its_own(monkeypatch, fresh):
    """A home that several machines share holds a library for each."""
    one = compiled.library_path()
    monkeypatch.setattr(compiled, "processor_key", lambda: "another processor")
    other = compiled.library_path()
    monkeypatch.setenv("TUILLM_CFLAGS", "-O1")
    assert len({one, other, compiled.library_path()}) == 3


def test_a_file_that_is_no_library_is_done_without(fresh):
    """A cache may be damaged."""
    fresh.mkdir()
    compiled.library_path().write_bytes(b"no library")
    assert compiled.library() is None


@pytest.mark.slow
def test_it_can_be_left_out(model, native_library, monkeypatch):
    """`TUILLM_NATIVE=0` decodes by PyTorch, to the same text."""
    with_it = tuillm("generate", model, "-n", 20, "--temperature", 0, "--dtype", "float32")
    without = tuillm(
        "generate",
        model,
        "-n",
        20,
        "--temperature",
        0,
        "--dtype",
        "float32",
        "--stats",
        TUILLM_NATIVE="0",
    )
    assert with_it.stdout == without.stdout and "kernel=native" not in without.stderr
    monkeypatch.setenv("TUILLM_NATIVE", "0")
    assert not compiled.start_compiling() and compiled.library() is None


@pytest.mark.slow
@pytest.mark.parametrize("flags", ["-O3 -march=x86-64-v3", "-O2", "-O3 -march=native"])
def test_other_instructions_compute_the_same(flags, fresh, monkeypatch, native_library):
    """For processors without AVX-512, and for any other."""
    if native_library is None or (os.uname().machine != "x86_64" and "x86" in flags):
        pytest.skip("no C compiler for it")
    monkeypatch.setenv("TUILLM_CFLAGS", flags)
    compile_once()
    assert reads(fresh) == [".so"], compiled.failure()
    code = "import sys; from tuillm.native.compiled import library; assert library()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE", "DEFAULT"])
def test_what_onednn_is_held_to_changes_no_text(isa, model):
    """Without the native library, on one thread and on two."""
    texts = {
        tuillm(
            "generate",
            model,
            "-n",
            30,
            "--temperature",
            0,
            "--dtype",
            "float32",
            TUILLM_NATIVE="0",
            ONEDNN_MAX_CPU_ISA=isa,
            OMP_NUM_THREADS=threads,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(texts) == 1 and texts.pop().strip()
