"""Conversations in the template of the chat model that is trained: its ids, its answers, its ends.

The oracle is transformers: `apply_chat_template` of the model's folder.
"""

import json
from typing import Any

import numpy as np
import pytest
import torch
from text.test_library_tokenizer import added, library

from tuillm import Trainer
from tuillm.config import TrainConfig
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError
from tuillm.model import GPT, write_model
from tuillm.store.files import write_json
from tuillm.store.registry import find_model
from tuillm.store.run_folder import list_runs
from tuillm.text import load_tokenizer, read_corpus, tokenize
from tuillm.text.read_options import ReadOptions

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful ferry.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CHATML_MARKED = """{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}
    {%- else %}
        {{- message['content'] + '<|im_end|>' }}
    {%- endif %}
    {{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""
LLAMA3 = """{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
    {%- if message['role'] == 'assistant' %}
        MARK{{- message['content'] | trim + '<|eot_id|>' }}END
    {%- else %}
        {{- message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""
LLAMA3_MARKED = LLAMA3.replace("MARK", "{%- generation %}").replace("END", "{%- endgeneration %}")
LLAMA3 = LLAMA3.replace("MARK", "").replace("END", "")
# as Qwen 3 has it: of answers before the last question the reasoning is left out
THINKING = """{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content, reasoning = message['content'], '' %}
    {%- if message['role'] == 'assistant' and '</think>' in content %}
        {%- set reasoning = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\n' }}
    {%- if message['role'] == 'assistant' and loop.index0 > ns.last %}
        {{- '<think>\n' + reasoning + '\n</think>\n\n' }}
    {%- endif %}
    {{- content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""
# as DeepSeek-R1 has it: the prompt opens a reasoning that no answer of the past has
OPENED = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '<|im_start|>' + message['content'] }}{% elif message['role'] == 'assistant' %}"
    "{{ '<|im_end|>' + message['content'].split('</think>')[-1] + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_end|><think>\n' }}{% endif %}"
)
# kind of tokenizer, template, and the names of what begins and ends a text
MODELS = {
    "chatml": ("smollm", CHATML, "<|im_start|>", "<|im_end|>"),
    "chatml marked": ("qwen", CHATML_MARKED, None, "<|im_end|>"),
    "llama 3": ("llama3", LLAMA3, "<|begin_of_text|>", "<|eot_id|>"),
    "llama 3 marked": ("llama3", LLAMA3_MARKED, "<|begin_of_text|>", "<|eot_id|>"),
    "metaspace": ("metaspace", LLAMA3_MARKED, "<|begin_of_text|>", "<|eot_id|>"),
}
QUESTIONS = ("When does it come?", " And the salt? ", "1234 sacks? 唐诗 🙂")
ANSWERS = ("At noon.\n", "\n\nWith it. Ünïcödé  ", "The ferry\n\ncame: 12 🙂🙂.")


def conversations(count=30, answer="{}"):
    """Conversations of one to three turns, every third one with a system text."""
    for number in range(count):
        turns = [{"role": "system", "content": "You are the sea."}] if number % 3 == 0 else []
        for turn in range(1 + number % 3):
            said = answer.format(ANSWERS[(number + turn) % 3])
            turns += [
                {"role": "user", "content": f"{number}: {QUESTIONS[(number + turn) % 3]}"},
                {"role": "assistant", "content": said},
            ]
        yield [turn | {"content": turn["content"].strip()} for turn in turns]


def make_parent(folder, kind, template, bos, eos):
    """Put a tiny random llama with this tokenizer and template into the registry."""
    spec = library(kind)
    size = 1 + max(entry["id"] for entry in spec["added_tokens"])
    names = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    spec["added_tokens"] += [added(size + at, name) for at, name in enumerate(names)]
    shape = GPTConfig(
        size + 4, 256, 1, 2, 32, bias=False, family="llama", n_kv_head=1, head_dim=16,
        n_inner=32, rms_norm=True, gated_mlp=True, rope_theta=1e4,
    )  # fmt: skip
    model = GPT(shape)
    model.init_weights("none", torch.Generator().manual_seed(0))
    folder.mkdir()
    begins = next((one["id"] for one in spec["added_tokens"] if one["content"] == bos), None)
    write_model(model, folder, None, bos=begins, sampling={"temperature": 0.6, "top_k": 20})
    write_json(folder / "tokenizer.json", spec)
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos}
    write_json(folder / "tokenizer_config.json", named)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    import_model(str(folder))


def learned(path, **settings):
    """What a run from the model learns of a file: ids and mask, and its tokenizer."""
    config = TrainConfig(
        corpus=(str(path),), init_from="parent", val_fraction=0, max_steps=1, **settings
    )
    corpus = read_corpus(config.corpus, options=ReadOptions.of(config))
    return tokenize(corpus, config, load_tokenizer(find_model("parent").path))


def records(tmp_path, rows):
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(json.dumps({"messages": row}) for row in rows), encoding="utf-8")
    return path


def theirs(messages, **more):
    """Ids, and the mask where the template marks what is generated, as transformers has them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(find_model("parent").path)
    found: Any = tokenizer.apply_chat_template(messages, return_dict=True, **more)
    return found["input_ids"], [bool(each) for each in found.get("assistant_masks", ())]


@pytest.fixture(params=MODELS)
def parent(request, home, tmp_path):
    """A chat model in the registry, and the name of its kind."""
    make_parent(tmp_path / "parent", *MODELS[request.param])
    return request.param


@pytest.mark.filterwarnings("ignore")
def test_ids_and_mask_are_those_of_transformers(parent, tmp_path, transformers):
    """Nothing stands before or between conversations; what marks an answer is what is learned.

    Without such marks in the template the answers are learned with what ends them.
    """
    rows = list(conversations())
    tokens = learned(records(tmp_path, rows))
    marked = parent in ("chatml marked", "llama 3 marked", "metaspace")
    ids, mask = [], []
    for row in rows:
        found = theirs(row, return_assistant_tokens_mask=marked)
        ids += found[0]
        mask += found[1]
    assert tokens.train.tolist() == ids
    if parent.startswith(("llama", "metaspace")):
        bos = tokens.tokenizer.spec["added_tokens"][-4]["id"]
        assert ids.count(bos) == len(rows)
    if marked:
        assert tokens.train_mask is not None and tokens.train_mask.tolist() == mask
    answers = [turn["content"] for row in rows for turn in row if turn["role"] == "assistant"]
    assert said(tokens) == [each.strip() for each in answers]


def said(tokens):
    """The texts that are learned, each up to its end."""
    kept = np.asarray(tokens.train)[np.asarray(tokens.train_mask)]
    parts = np.split(kept, np.flatnonzero(kept == tokens.tokenizer.eot) + 1)
    assert not len(parts[-1])  # the last one has its end, too
    return [tokens.tokenizer.decode(part.tolist()).strip() for part in parts[:-1]]


@pytest.mark.filterwarnings("ignore")
def test_a_template_that_drops_reasoning_gives_each_answer_as_it_is_written(
    home, tmp_path, transformers
):
    """Each is learned behind the conversation up to it; a single turn is written once."""
    make_parent(tmp_path / "parent", "smollm", THINKING, None, "<|im_end|>")
    rows = list(conversations(6, answer="<think>\nHm, {}\n</think>\n\n{}".replace("{}", "{0}")))
    tokens = learned(records(tmp_path, rows))
    ids = []
    for row in rows:
        for index, turn in enumerate(row):
            ids += theirs(row[: index + 1])[0] if turn["role"] == "assistant" else []
    assert tokens.train.tolist() == ids
    answers = [turn["content"] for row in rows for turn in row if turn["role"] == "assistant"]
    assert [" ".join(each.split()) for each in said(tokens)] == [
        " ".join(each.split()) for each in answers
    ]


@pytest.mark.filterwarnings("ignore")
def test_a_prompt_that_opens_what_no_answer_has_is_not_learned(home, tmp_path, transformers):
    """The ids are the template's; learned is what stands behind what prompt and turn share."""
    make_parent(tmp_path / "parent", "smollm", OPENED, "<|begin_of_text|>", "<|eot_id|>")
    rows = list(conversations(6))
    tokens = learned(records(tmp_path, rows))
    assert tokens.train.tolist() == [id for row in rows for id in theirs(row)[0]]
    assert said(tokens) == [
        turn["content"].strip() for row in rows for turn in row if turn["role"] == "assistant"
    ]


def test_questions_are_asked_in_the_template_too(home, tmp_path, transformers):
    """Records of questions become the same ids as conversations; unmasked all of it is learned."""
    make_parent(tmp_path / "parent", *MODELS["llama 3"])
    path = tmp_path / "asked.jsonl"
    rows = [{"question": f"{n}: when?", "answer": f"At {n}."} for n in range(8)]
    path.write_text("\n".join(map(json.dumps, rows)))
    wanted: list[int] = []
    for row in rows:
        asked = {"role": "user", "content": row["question"]}
        wanted += theirs([asked, {"role": "assistant", "content": row["answer"]}])[0]
    tokens = learned(path)
    assert tokens.train.tolist() == wanted and said(tokens) == [row["answer"] for row in rows]
    everything = learned(path, mask_prompt=False)
    assert everything.train.tolist() == wanted and everything.train_mask is not None
    assert everything.train_mask.all()


def test_a_template_with_a_date_writes_the_same_on_every_day(home, tmp_path, transformers):
    """Else a run could not be gone on with tomorrow: the day is that of Llama 3.2's template."""
    day = "{% set day = date if date is defined else strftime_now('%d %b %Y') %}"
    dated = day + CHATML.replace("You are a helpful ferry.", "' ~ day ~ '")
    make_parent(tmp_path / "parent", "smollm", dated, None, "<|im_end|>")
    rows = list(conversations(4))
    tokens = learned(records(tmp_path, rows))
    wanted = [id for row in rows for id in theirs(row, date="26 Jul 2024")[0]]
    assert tokens.train.tolist() == wanted


def test_documents_end_with_the_models_end(home, tmp_path):
    """Texts are separated by the folder's eos; names of special tokens in them are text."""
    make_parent(tmp_path / "parent", *MODELS["llama 3"])
    path = tmp_path / "texts.jsonl"
    texts = ["The ferry came.", "<|eot_id|> is a name.", "唐诗"]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    tokens = learned(path)
    tokenizer = tokens.tokenizer
    assert tokenizer.names[tokenizer.eot] == "<|eot_id|>" and tokens.train_mask is None
    wanted = [tokenizer.eot]
    for text in texts:
        wanted += [*tokenizer.encode(text), tokenizer.eot]
    assert tokens.train.tolist() == wanted


@pytest.mark.parametrize("lora", [True, False])
def test_a_run_learns_to_answer(home, tmp_path, lora):
    """A short run: the loss on answers falls, and the child has its parent's template and marks."""
    make_parent(tmp_path / "parent", *MODELS["llama 3"])
    path = records(tmp_path, conversations(40))
    settings: dict[str, Any] = dict(max_steps=12, eval_interval=6, sample_tokens=4, patience=0)
    Trainer(
        str(path), init_from="parent", name="child", lora=lora, learning_rate=1e-2, **settings
    ).run(quiet=True)
    status = list_runs()[0].status()
    assert status.before_loss and status.val_loss
    assert status.state == "finished" and status.val_loss < status.before_loss - 0.05
    before, after = kept = [find_model(name).path for name in ("parent", "child")]
    assert (before / "chat_template.jinja").read_text() == (
        after / "chat_template.jinja"
    ).read_text()
    settings_of = [json.loads((each / "generation_config.json").read_text()) for each in kept]
    assert settings_of[0] == settings_of[1] and settings_of[0]["top_k"] == 20
    told = json.loads((after / "tokenizer_config.json").read_text())
    assert (told["bos_token"], told["eos_token"]) == ("<|begin_of_text|>", "<|eot_id|>")


REFUSING = (
    "{% for message in messages %}{% if 'salt' in message['content'] %}"
    "{{ raise_exception('no salt, please') }}{% endif %}{% endfor %}"
)


def test_conversations_that_the_template_refuses(home, tmp_path):
    """They are left out, counted and explained; of a strict run, or if they are all, told."""
    make_parent(tmp_path / "parent", "smollm", REFUSING + CHATML, None, "<|im_end|>")
    rows = list(conversations(9))
    kept = [row for row in rows if not any("salt" in turn["content"] for turn in row)]
    assert 0 < len(kept) < 9
    path = records(tmp_path, rows)
    config = TrainConfig(corpus=(str(path),), init_from="parent", max_steps=1)
    corpus = read_corpus(config.corpus, options=ReadOptions.of(config))
    words = "the chat template refuses this conversation: 'no salt, please'"
    assert f"{9 - len(kept)} conversations left out: {words}" in corpus.notes
    assert f"{len(kept)} conversations with answers" in corpus.notes and len(corpus.notes) == 2
    with pytest.raises(TuillmError, match=f"record [1-9]: {words}"):
        learned(path, strict=True)
    with pytest.raises(TuillmError, match=f"^{words}$"):
        learned(records(tmp_path, [row for row in rows if row not in kept]))


def test_a_template_that_cannot_be_used_is_told(home, tmp_path):
    """Conversations then stand in plain words, and a note says why."""
    only_system = "{% if messages[0]['role'] != 'system' %}{{ raise_exception('who?') }}{% endif %}"
    make_parent(tmp_path / "parent", "smollm", only_system + CHATML, None, "<|im_end|>")
    config = TrainConfig(
        corpus=(str(records(tmp_path, conversations())),), init_from="parent", max_steps=1
    )
    corpus = read_corpus(config.corpus, options=ReadOptions.of(config))
    assert [note for note in corpus.notes if "plain words" in note and "who?" in note]
    assert corpus.store.text(*corpus.store.span(0)).startswith("You are the sea.\n\nUser: 0: When")
