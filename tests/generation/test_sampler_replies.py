"""Sampler: the text it streams, against references that know no cache."""

import pytest
import torch

from tuillm import Sampler
from tuillm.config import SamplingConfig, settings_of
from tuillm.errors import TuillmError, UsageError
from tuillm.generation.sampling import draw
from tuillm.model import write_model

BLOCK = 32


def reference_reply(model, ids, count, temperature, n_keep, seed):
    """Ids and log probabilities by a full forward over the window at every step."""

    def half_of(window):
        first = min(n_keep, BLOCK // 2 - 1)
        return window[:first] + window[len(window) - (BLOCK // 2 - first) :]

    window = list(ids) if len(ids) <= BLOCK else half_of(ids)
    generator, found = torch.Generator().manual_seed(seed), []
    for _ in range(count):
        with torch.no_grad():
            logits = model(torch.tensor([window]))[:, -1]
        if temperature:
            token = int(draw(logits / temperature, [generator]))
        else:
            token = int(logits.argmax())
        found.append((token, float(logits.log_softmax(-1)[0, token])))
        window = [*(window if len(window) < BLOCK else half_of(window)), token]
    return found


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize("n_keep", [0, 5])
@pytest.mark.parametrize(
    "prompt", ["hello", "a prompt longer than the context of " * 3], ids=["short", "long"]
)
def test_reply_equals_a_reference_without_cache(talker, temperature, n_keep, prompt):
    """300 tokens, far past the context, are those of a full forward at every step."""
    sampler = talker()
    ids = sampler.tokenizer.encode(prompt)
    tokens = list(
        sampler.stream(
            ids, max_new_tokens=300, temperature=temperature, top_k=0, n_keep=n_keep, seed=3
        )
    )
    expected = reference_reply(sampler.model, ids, len(tokens), temperature, n_keep, 3)
    assert len(tokens) > 50
    assert [token.id for token in tokens] == [id for id, _ in expected]
    logprobs = [logprob for _, logprob in expected]
    assert [token.logprob for token in tokens] == pytest.approx(logprobs, abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_greedy_reply_equals_transformers(transformers, talker, tmp_path, seed):
    """Within the context, greedy ids are those of transformers' generate."""
    sampler = talker(seed, block_size=64)
    write_model(sampler.model, tmp_path, sampler.tokenizer.eot)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = sampler.tokenizer.encode("once upon")
    expected = theirs.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids)),
        do_sample=False,
        max_new_tokens=64 - len(ids),
    )
    found = sampler.stream(ids, max_new_tokens=64 - len(ids), temperature=0)
    assert [token.id for token in found] == expected[0, len(ids) :].tolist()


@pytest.mark.parametrize(
    "options", [{}, {"top_p": 0.8}, {"repetition_penalty": 1.4}, {"stop": ("e",)}], ids=str
)
def test_samples_are_the_single_replies(talker, options):
    """Row r of several samples is the reply that seed + r gives alone, past the context too."""
    sampler, options = talker(), {"max_new_tokens": 80, "temperature": 1.0} | options
    rows = [[], [], []]
    for token in sampler.stream("hello", num_samples=3, seed=40, **options):
        rows[token.row].append((token.id, token.text, token.finish))
    for row, found in enumerate(rows):
        alone = talker().stream("hello", seed=40 + row, **options)
        assert found == [(token.id, token.text, token.finish) for token in alone]
    assert rows[0] != rows[1]


def test_seed_decides_the_text(talker):
    """The same seed gives the same text, another one another; without one texts differ."""
    sampler = talker()
    say = lambda seed: sampler.generate("hello", max_new_tokens=40, temperature=1, seed=seed)  # noqa: E731
    assert say(1) == say(1) != say(2)
    assert say(None) != say(None)


def test_stop_string_ends_the_reply(talker):
    """A reply ends right before a stop string that spans tokens, and says so."""
    sampler = talker()
    settings = dict(max_new_tokens=60, temperature=1, seed=1)
    plain = sampler.generate("hello", **settings)
    stop = plain[20:23]
    tokens = list(sampler.stream("hello", stop=stop, **settings))
    assert "".join(token.text for token in tokens) == plain[: plain.index(stop)]
    assert [token.finish for token in tokens][-1] == "stop"
    assert len(tokens) < 60


def test_held_back_text_is_part_of_a_reply_cut_by_length(talker):
    """When the length ends a reply inside a possible stop string, nothing is lost."""
    sampler = talker()
    settings = dict(max_new_tokens=21, temperature=1, seed=1)
    plain = sampler.generate("hello", **settings)
    assert sampler.generate("hello", stop=plain[-2:] + "never", **settings) == plain


def test_only_the_last_token_finishes(talker):
    """Tokens are numbered from 0, and only the last tells how the reply ended."""
    tokens = list(talker().stream("hello", max_new_tokens=9, seed=1))
    assert [token.index for token in tokens] == list(range(9))
    assert [token.finish for token in tokens] == [""] * 8 + ["length"]


def test_end_of_text_finishes(talker):
    """The model's end-of-text token ends the reply and adds no text."""
    sampler = talker(n_layer=0, tie_weights=False)
    model, eot = sampler.model, sampler.tokenizer.eot
    with torch.no_grad():
        x = model.ln_f(model.wte.weight[sampler.tokenizer.encode("a")] + model.wpe.weight[:1])
        model.lm_head.weight.zero_()
        model.lm_head.weight[eot] = x[0]
    (token,) = sampler.stream("a", max_new_tokens=9, temperature=0)
    assert (token.id, token.text, token.finish) == (eot, "", "end")


@pytest.mark.parametrize("num_samples", [1, 3])
def test_closed_early(talker, num_samples):
    """A reply given up half way leaves nothing behind that changes the next one."""
    sampler, settings = talker(), dict(max_new_tokens=30, temperature=1, seed=5)
    reply = sampler.stream("hello", num_samples=num_samples, max_new_tokens=50, seed=1)
    for _ in range(7):
        next(reply)
    reply.close()
    for prompt in ("hello there", "hello", "other"):
        assert sampler.generate(prompt, **settings) == talker().generate(prompt, **settings)


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_interrupted_inside_the_model(talker, calls):
    """Ctrl-C in the middle of a forward pass leaves nothing half read behind."""
    sampler, left = talker(), [calls]

    def interrupt(*_):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    hook = sampler.model.h[1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        sampler.generate("hello", max_new_tokens=30, temperature=1, seed=1)
    hook.remove()
    settings = dict(max_new_tokens=30, temperature=1, seed=1)
    for prompt in ("hello there", "hello"):
        assert sampler.generate(prompt, **settings) == talker().generate(prompt, **settings)


@pytest.mark.parametrize("empty", ["", []])
def test_empty_prompt_is_a_newline(talker, empty):
    """Without a prompt the reply continues a newline."""
    settings = dict(max_new_tokens=20, temperature=1, seed=5)
    found = "".join(token.text for token in talker().stream(empty, **settings))
    assert found == talker().generate("\n", **settings) == talker().generate(**settings)


def test_settings_overlay_a_config(talker):
    """Settings typed beside a config win over it; the rest of the config holds."""
    config = SamplingConfig(max_new_tokens=7, temperature=0)
    tokens = list(talker().stream("a", config, max_new_tokens=3))
    assert len(tokens) == 3
    assert [t.id for t in tokens] == [t.id for t in talker().stream("a", config)][:3]


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": -1},
        {"top_k": 1.5},
        {"top_p": 0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"max_new_tokens": 0},
        {"n_keep": -1},
        {"seed": -1},
        {"seed": 2**63},
        {"stop": 5},
        {"num_samples": 0},
        {"temprature": 1},
    ],
    ids=str,
)
def test_bad_settings(talker, bad):
    """A setting out of its range is refused by name, before the first token is asked for."""
    with pytest.raises(UsageError, match=next(iter(bad))) as caught:
        talker().stream("hello", **bad)
    assert caught.value.hint and "\n" not in str(caught.value)


def test_misspelled_setting_names_the_nearest(talker):
    """An unknown setting names the one that was meant."""
    with pytest.raises(UsageError, match="did you mean 'temperature'"):
        talker().generate("hello", temprature=1)


def test_repetition_penalty_sees_prompt_and_reply(talker):
    """A strong penalty keeps a greedy reply from repeating any token in view."""
    sampler = talker()
    tokens = sampler.stream("abc", max_new_tokens=20, temperature=0, repetition_penalty=10)
    ids = sampler.tokenizer.encode("abc") + [token.id for token in tokens]
    assert len(set(ids)) == len(ids) == 23


def test_name_and_path_are_the_same_model(model, home):
    """A registry name and the path of its folder, as text or Path, load the same model."""
    settings = dict(max_new_tokens=20, seed=1)
    folder = home / "models" / model
    texts = {Sampler(place).generate("The ", **settings) for place in (model, folder, str(folder))}
    assert len(texts) == 1
    assert Sampler(folder).name == Sampler(model).name == "book"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_precision_of_a_sampler(model, dtype):
    """The precision asked for is the one used, and the reply is text in either."""
    sampler = Sampler(model, device="cpu", dtype=dtype)
    assert str(sampler.dtype) == f"torch.{dtype}"
    assert sampler.generate("The ", max_new_tokens=20, seed=1)


@pytest.mark.parametrize(("argument", "value"), [("device", "abacus"), ("dtype", "int1")])
def test_unknown_device_or_precision_of_a_sampler(model, argument, value):
    """A device or precision that is not there is a usage error naming it."""
    with pytest.raises(UsageError, match=value):
        Sampler(model, **{argument: value})


def test_unknown_model(model):
    """An unknown name is told in one line that names the nearest."""
    with pytest.raises(TuillmError, match="did you mean 'book'"):
        Sampler("bok")


def test_public_interface(model):
    """generate, tokenizer and model can be used as docs/python.md shows them."""
    sampler = Sampler(model)
    text = sampler.generate("The ", max_new_tokens=12, temperature=0.8, top_k=50, seed=1)
    assert isinstance(text, str) and text
    ids = sampler.tokenizer.encode("The road")
    assert isinstance(ids, list) and all(type(id) is int for id in ids)
    assert sampler.tokenizer.decode(ids) == "The road"
    logits = sampler.model(torch.tensor([ids, ids]))
    assert logits.shape == (2, len(ids), sampler.tokenizer.n_vocab)
    assert logits.dtype == torch.float32 and not logits.requires_grad


def test_stream_text_equals_decoding_its_ids(model):
    """The pieces of a reply join to what its ids decode to."""
    sampler = Sampler(model)
    tokens = list(sampler.stream("The ", max_new_tokens=100, temperature=1.5, top_k=0, seed=2))
    ids = [token.id for token in tokens]
    assert "".join(token.text for token in tokens) == sampler.tokenizer.decode(ids)


def test_help_config_prints_every_sampling_setting(capsys):
    """help_config tells of each setting: its name and its sentence."""
    Sampler.help_config()
    printed = capsys.readouterr().out
    for setting in settings_of(SamplingConfig):
        assert f"  {setting.name} " in printed and setting.help in printed


def test_logprob_is_the_models_own(talker):
    """Temperature and cuts change the draw, not the reported log probability."""
    sampler = talker()
    ids = sampler.tokenizer.encode("hello")
    token = next(sampler.stream(ids, temperature=3, top_k=4, seed=9))
    with torch.no_grad():
        expected = sampler.model(torch.tensor([ids]))[0, -1].log_softmax(-1)[token.id]
    assert token.logprob == pytest.approx(float(expected), abs=1e-4)


def test_model_without_blocks(talker):
    """A bigram model, which has nothing to cache, streams like any other."""
    sampler = talker(n_layer=0, tie_weights=False)
    ids = sampler.tokenizer.encode("hello")
    found = sampler.stream(ids, max_new_tokens=50, temperature=0)
    expected = reference_reply(sampler.model, ids, 50, 0, 0, 1)
    assert [token.id for token in found] == [id for id, _ in expected]
