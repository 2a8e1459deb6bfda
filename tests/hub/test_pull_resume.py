"""What breaks a pull off, and what comes of it: nothing is lost, nothing damaged is let in."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from tuillm.errors import TuillmError
from tuillm.store.hub.hub_names import Source
from tuillm.store.hub.pull_folder import cancel_pull, get_pull, list_pulls, pull_of
from tuillm.store.registry import find_model, list_models, remove_model

REPO, WEIGHTS = "openai-community/gpt2", "model.safetensors"
AGAIN = "tuillm pull gpt2"


def assert_usable(hub):
    """The registry has the model, byte for byte."""
    files, path = hub.repositories[REPO].files, find_model("gpt2").path
    assert all(
        (path / name).read_bytes() == files[name]
        for name in ("config.json", WEIGHTS, "tokenizer.json", "vocab.json", "merges.txt")
    )


def assert_whole(hub):
    """So it has, and nothing is left of the pull."""
    assert_usable(hub)
    assert list_pulls() == []


def come():
    """How many bytes of the weights are on the disk."""
    folder = pull_of("gpt2").path
    return max(
        (
            path.stat().st_size
            for name in (f"{WEIGHTS}.partial", WEIGHTS)
            if (path := folder / name).exists()
        ),
        default=0,
    )


def until(condition, seconds=30):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.mark.slow
def test_cut_connections_are_taken_up_where_they_broke(hub, tuillm):
    """In one pull: each new request begins at the very byte after the last that came."""
    hub.cuts = [100_000, 50_000, 3, 200_000]
    done = tuillm("pull", "gpt2")
    assert done.code == 0, done.err
    assert [asked.start for asked in hub.of_weights()] == [0, 100_000, 150_000, 150_003, 350_003]
    assert "the connection broke off; trying again" in done.out
    assert_whole(hub)


def test_a_killed_pull_goes_on_and_is_no_model_meanwhile(hub, start, tuillm):
    """After SIGKILL the registry is empty, the pull is known as lost; the rest alone is fetched."""
    hub.hold = 300_000
    process = start("pull", "gpt2")
    assert hub.held.wait(30)
    until(lambda: come() > 290_000)
    process.kill()
    process.wait()
    came = come()
    assert list_models() == []
    assert tuillm("generate", "gpt2").err == "tuillm: no model named 'gpt2' (tuillm pull gpt2)\n"
    status = get_pull("gpt2").status()
    assert (status.state, status.repo) == ("lost", REPO)
    hub.hold = None
    hub.go.set()
    assert tuillm("pull", "gpt2").code == 0
    assert hub.of_weights()[-1].start == came
    assert_whole(hub)


@pytest.mark.slow
def test_a_pull_stays_at_its_commit(hub, start, tuillm, tiny_files):
    """When the repository moves on in between, the rest is that of the state it began with."""
    before = hub.repositories[REPO]
    hub.hold = 300_000
    process = start("pull", "gpt2")
    until(lambda: come() > 0)
    process.kill()
    process.wait()
    hub.hold = None
    hub.go.set()
    hub.add(REPO, tiny_files | {WEIGHTS: bytes(1000)})
    assert tuillm("pull", "gpt2").code == 0
    assert find_model("gpt2").card.revision == before.commit
    assert (find_model("gpt2").path / WEIGHTS).read_bytes() == before.files[WEIGHTS]


@pytest.mark.slow
def test_a_flipped_byte_is_caught(hub, tuillm):
    """The damaged file is thrown away and told, no model appears, and the next pull is whole."""
    hub.flip = 400_000
    done = tuillm("pull", "gpt2")
    assert (done.code, done.err) == (
        1,
        (
            "tuillm: model.safetensors of gpt2 came damaged: its checksum is not what the hub tells"
            "; it was thrown away (fetch it again: tuillm pull gpt2)\n"
        ),
    )
    assert (list_models(), come()) == ([], 0)
    hub.flip = None
    assert tuillm("pull", "gpt2").code == 0
    assert_whole(hub)


@pytest.mark.slow
def test_a_byte_flipped_on_the_disk_is_caught(hub, start, tuillm):
    """So is one that goes wrong in what an earlier pull has left."""
    hub.hold = 300_000
    process = start("pull", "gpt2")
    until(lambda: come() > 200_000)
    process.kill()
    process.wait()
    partial = pull_of("gpt2").path / f"{WEIGHTS}.partial"
    content = bytearray(partial.read_bytes())
    content[1000] ^= 1
    partial.write_bytes(content)
    hub.hold = None
    hub.go.set()
    assert "came damaged" in tuillm("pull", "gpt2").err
    assert list_models() == []
    assert tuillm("pull", "gpt2").code == 0
    assert_whole(hub)


@pytest.mark.slow
def test_a_server_without_ranges_starts_over(hub, tuillm):
    """It sends the file from its beginning whatever it is asked; the model is whole."""
    hub.knows_ranges = False
    hub.cuts = [100_000]
    assert tuillm("pull", "gpt2").code == 0
    assert [asked.sent for asked in hub.of_weights()] == [
        100_000,
        len(hub.repositories[REPO].files[WEIGHTS]),
    ]
    assert_whole(hub)


@pytest.mark.slow
def test_busy_servers_are_asked_again(hub, tuillm):
    """503 and 429 are no end, neither of the metadata nor of the files; Retry-After counts."""
    hub.metadata_answers, hub.answers = [503], [503, 429]
    hub.headers = {"Retry-After": "1"}
    began = time.monotonic()
    done = tuillm("pull", "gpt2")
    assert done.code == 0, done.err
    assert time.monotonic() - began > 3
    assert "is busy (it answered 503); trying again" in done.out
    assert_whole(hub)


def test_a_server_that_asks_for_an_hour_is_left_alone(hub, tuillm):
    """Then the pull ends at once and says how long to wait."""
    hub.metadata_answers, hub.headers = [429], {"Retry-After": "3600"}
    done = tuillm("pull", "gpt2")
    assert done.code == 1
    assert "asks for patience (try again in 3600 seconds" in done.err


@pytest.mark.slow
def test_ctrl_c_keeps_what_has_come(hub, start, tuillm):
    """It says how much that is and how to go on, and that goes on."""
    hub.hold = 300_000
    process = start("pull", "gpt2")
    until(lambda: come() > 290_000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.startswith("stopped; 30") and err.endswith(f" kept. Go on with: {AGAIN}\n")
    assert get_pull("gpt2").status().state == "cancelled"
    came, hub.hold = come(), None
    hub.go.set()
    assert tuillm("pull", "gpt2").code == 0
    assert hub.of_weights()[-1].start == came
    assert_whole(hub)


@pytest.mark.slow
def test_two_processes_never_pull_the_same_model(hub, start, tuillm):
    """The second is told who is at it; --cancel stops the first from outside."""
    hub.hold = 300_000
    first = start("pull", "gpt2")
    assert hub.held.wait(30)
    second = tuillm("pull", "gpt2")
    assert second.code == 1
    assert f"'gpt2' is being pulled already, by process {first.pid}" in second.err
    assert "is being pulled already" in tuillm("pull", "gpt2", "--discard").err
    assert tuillm("pull", "gpt2", "--cancel").code == 0
    out, err = first.communicate(timeout=30)
    assert "stopped; " in err and first.returncode == 130
    (state,) = json.loads(tuillm("pull", "--json").out)
    assert (state["state"], state["repo"], state["hint"]) == ("cancelled", REPO, None)
    assert tuillm("pull", "gpt2", "--discard").code == 0
    assert list_pulls() == []


_BEGIN = """
import sys
from tuillm.store.hub.hub_names import hub_source
from tuillm.store.hub.pull_folder import start_pull
print(start_pull(hub_source(sys.argv[1])).status().state, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_pull_in_the_background_outlives_who_started_it(hub, start):
    """Its folder tells how far it is; it can be cancelled, taken up again, and ends in a model."""
    hub.hold = 300_000
    out, _ = start("gpt2", python=("-c", _BEGIN)).communicate(timeout=30)
    assert out == "fetching\n"
    assert hub.held.wait(30)
    until(lambda: get_pull("gpt2").status().done > 200_000)
    status = get_pull("gpt2").status()
    assert status.state == "fetching" and 0.4 < status.fraction < 0.7
    cancel_pull("gpt2")
    until(lambda: get_pull("gpt2").status().state == "cancelled")
    hub.go.set()
    with pytest.raises(TuillmError, match="is not going: it is cancelled"):
        cancel_pull("gpt2")
    hub.hold = None
    start("gpt2", python=("-c", _BEGIN)).communicate(timeout=30)
    until(lambda: list_models() and not list_pulls())
    assert_whole(hub)


@pytest.mark.slow
def test_a_failed_pull_in_the_background_says_why(hub, start):
    """Nobody looks at its output: the reason stands in its status until it is thrown away."""
    start("org/nothing", python=("-c", _BEGIN)).communicate(timeout=30)
    until(lambda: list_pulls() and get_pull("nothing").status().state == "failed")
    status = get_pull("nothing").status()
    assert "has no model 'org/nothing'" in status.error
    assert status.source == Source("org/nothing")


@pytest.mark.slow
def test_a_file_that_is_too_short_ends_in_words(hub, tuillm):
    """A server whose file is shorter is asked a few times, then it is told; nothing is believed."""
    hub.short = 1000
    done = tuillm("pull", "gpt2")
    assert done.code == 1
    assert "model.safetensors cannot be fetched to its end: the server has another file" in done.err
    assert "try again later" in done.err and "is kept" not in done.err, "nothing has come"
    assert (list_models(), come()) == ([], 0)
    hub.short = 0
    assert tuillm("pull", "gpt2").code == 0
    assert_whole(hub)


@pytest.mark.slow
def test_a_silent_server_is_asked_again(hub, start):
    """A connection on which nothing comes any more is given up after HF_HUB_DOWNLOAD_TIMEOUT."""
    hub.hold = 300_000
    process = start("pull", "gpt2", HF_HUB_DOWNLOAD_TIMEOUT="1")
    until(lambda: len(hub.of_weights()) == 2)
    hub.hold = None
    hub.go.set()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "the server fell silent; trying again" in out
    assert_whole(hub)


@pytest.mark.slow
def test_killed_at_random_moments_it_always_ends_whole(hub, start, tuillm, larger_files):
    """SIGKILL at 24 moments of a pull, from its first to its last, with cut connections as well.

    After each the registry has either no model or a whole one, and the next pull asks for nothing
    that was on the disk already.
    """
    dice = random.Random(5)
    hub.add(REPO, larger_files)
    total = len(larger_files[WEIGHTS])
    hub.pace = total / 3
    came, again, states = 0, [], []
    for kill in range(24):
        if list_models():
            remove_model("gpt2")
        if kill % 3 == 0:
            hub.cuts = [dice.randrange(total // 4)]
        before = len(hub.of_weights())
        if kill % 4 == 3:  # while it checks and publishes
            strike(start("pull", "gpt2"), lambda: come() == total, dice.uniform(0, 0.05))
        else:
            strike(start("pull", "gpt2"), asked_anew(hub), dice.uniform(0, 1.2))
        asked = hub.of_weights()[before:]
        again += [came - asked[0].start] if asked else []
        if list_models():
            assert_usable(hub)
        came = come()
        states.append(f"{came / total:.0%}" + ("+model" if list_models() else ""))
    done = tuillm("pull", "gpt2")
    assert done.code == 0, done.err
    assert_whole(hub)
    hidden = [path.name for path in find_model("gpt2").path.parent.glob(".*")]
    print(
        f"killed when so much was there: {states}\n"
        f"bytes asked for again by {len(again)} resumptions: {again}; left over: {hidden}"
    )
    assert len(again) >= 5 and all(0 <= bytes <= 1_000_000 for bytes in again)


def asked_anew(hub):
    """A condition: the hub has been asked for something that it was not asked for before."""
    before = len(hub.requests)
    return lambda: len(hub.requests) > before


def strike(process, condition, seconds):
    """Kill a process so long after a condition held, if it has not ended by then."""
    until(lambda: condition() or process.poll() is not None)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_SMALL_DISK = """
set -e
mount -t tmpfs -o size=40m tmpfs "$TUILLM_HOME"
"$PYTHON" -m tuillm pull gpt2 &
pull=$!
until [ -s "$TUILLM_HOME/pulls/gpt2/model.safetensors.partial" ]; do sleep 0.05; done
head -c 60000000 /dev/zero > "$TUILLM_HOME/other" || true
wait $pull && exit 9
ls "$TUILLM_HOME/models" && exit 9
rm "$TUILLM_HOME/other"
"$PYTHON" -m tuillm pull gpt2
"""


@pytest.mark.slow
def test_a_disk_that_fills_up_is_told(hub, home, tmp_path):
    """Somebody else fills the disk in the middle: one line, no model, and what came is kept."""
    probe = subprocess.run(["unshare", "-Urm", "mount", "-t", "tmpfs", "none", str(tmp_path)])
    if probe.returncode:
        pytest.skip("no small disk can be made here")
    home.mkdir()
    hub.pace = 100_000
    process = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", _SMALL_DISK],
        capture_output=True,
        text=True,
        timeout=120,
        env=hub.environment(tmp_path / "hf", PYTHON=sys.executable),
    )
    assert process.returncode == 0, process.stderr
    assert "no space left to write" in process.stderr
    assert "free some space and try again" in process.stderr
    assert hub.of_weights()[-1].start > 0
