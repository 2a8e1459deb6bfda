"""ollama's template writes what the model's own Jinja template does, as transformers runs it."""

import random

import pytest
from convert.go_evaluator import conversation
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from tuillm.convert.go_template import go_literal, go_turns
from tuillm.text.chat_rendering import TEXT_TEMPLATE, TOKEN_TEMPLATE

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SMOL = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are \"SmolLM\", a {{ bot "
    "}}.<|im_end|>\n' }}{% endif %}" + CHATML
)
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + "
    "message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' "
    "+ message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
LLAMA3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA2 = (
    "{% set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' }}"
    "{% if system and loop.index0 == 1 %}{{ '<<SYS>>\n' + system + '\n<</SYS>>\n\n' }}{% endif %}"
    "{{ message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    "{% for message in messages %}{{ '<start_of_turn>' + "
    "('model' if message['role'] == 'assistant' else 'user') + '\n' + "
    "message['content'] + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
THINKS = (
    "{% for message in messages %}{% set said = message['content'].split('</think>')[-1] %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + said.lstrip('\n') + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# the template, bos, eos, whether llama.cpp puts bos before a text
TEMPLATES = {
    "chatml": (CHATML, "", "<|im_end|>", False),
    "default system": (SMOL, "<|im_start|>", "<|im_end|>", False),
    "zephyr": (ZEPHYR, "<s>", "</s>", True),
    "llama 3": (LLAMA3, "<|begin_of_text|>", "<|eot_id|>", True),
    "llama 2": (LLAMA2, "<s>", "</s>", True),
    "thinks": (THINKS, "", "<|im_end|>", False),
    "our tokens": (TOKEN_TEMPLATE, "<|endoftext|>", "<|endoftext|>", False),
}
NOTES = {
    "zephyr": ["begins with <s>, which its own chat template does not write"],
    "llama 3": ["blanks around a message"],
    "thinks": ["<think> parts of earlier replies"],
}


def written(template, bos, eos, messages):
    """The text that transformers makes of a conversation."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE()), bos_token=bos or None, eos_token=eos
    )
    text = tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=True
    )
    return str(text)


def conversations(gap=""):
    """Random ones of one to five questions, with texts that mean something to templates."""
    generator = random.Random(8)
    words = ["{{ .Prompt }}", '"""', "{%", "a", "b\n\nc", "😀", "}}", "Қ", "\\n", "'", "<|user|>"]
    for number in range(40):
        said = [
            "x" + " ".join(generator.choices(words, k=generator.randrange(6))) + "y"
            for _ in range(2 * generator.randrange(5) + 1)
        ]
        talk = [
            {"role": "assistant", "content": gap + text}
            if index % 2
            else {"role": "user", "content": text}
            for index, text in enumerate(said)
        ]
        yield [{"role": "system", "content": f"Be {said[0]}"}, *talk] if number % 2 else talk


@pytest.mark.parametrize("name", TEMPLATES)
def test_conversations_are_equal(name):
    """With a system text and without, of one turn and of several."""
    template, bos, eos, adds_bos = TEMPLATES[name]
    turns, notes = go_turns(template, bos, eos, adds_bos)
    assert turns is not None
    assert len(notes) == len(NOTES.get(name, []))
    assert all(part in note for part, note in zip(NOTES.get(name, []), notes, strict=True))
    assert bool(turns.default_system) == (name == "default system")
    for messages in conversations():
        wanted = written(template, bos, eos, messages).removeprefix(bos if adds_bos else "")
        assert conversation(turns.template, messages, turns.default_system) == wanted


def test_replies_that_begin_with_a_blank():
    """Those of our template without special tokens do by themselves, as they were learned."""
    turns, notes = go_turns(TEXT_TEMPLATE, "", "<|endoftext|>", False)
    assert turns is not None and notes == () and turns.gap == " "
    for messages in conversations(" "):
        plain = [each | {"content": each["content"].lstrip(" ")} for each in messages]
        wanted = written(TEXT_TEMPLATE, "", "<|endoftext|>", plain)
        assert conversation(turns.template, messages) == wanted


def test_a_template_without_a_system_text():
    """One that refuses it is translated without."""
    turns, notes = go_turns(GEMMA, "<bos>", "<eos>", True)
    assert turns is not None and not turns.takes_system and notes == ()
    for messages in conversations():
        if messages[0]["role"] != "system":
            wanted = written(GEMMA, "<bos>", "<eos>", messages).removeprefix("<bos>")
            assert conversation(turns.template, messages) == wanted


@pytest.mark.parametrize(
    "template",
    [
        "{{ strftime_now('%d') }}" + CHATML,
        "{{ bos_token }}" + CHATML,  # which llama.cpp is not told to put there
        "{{ messages | length }}" + CHATML,
        CHATML.replace("message['content']", "message['content'][::-1]"),
        CHATML.replace("message['content']", "message['content'] | upper"),
        CHATML.replace("message['content']", "message['content'] | replace('\"', '')"),
        "{% for message in messages %}{{ message.content }}\n{{ loop.index }}{% endfor %}",
        "{{ raise_exception('no') }}",
        "{% broken",
        "",
    ],
)
def test_what_does_not_fit_is_left_out(template):
    """Whatever writes more than texts around the turns has no Go template."""
    assert go_turns(template, "<s>", "</s>", False) == (None, ())


@pytest.mark.parametrize(
    "text",
    ["{{ .System }}", "{", "{{{", 'a """" b', "\u00a0\u200b\x07\r\n\tend", "\U000e0001", "{{}}{"],
)
def test_literals(text):
    """Braces, quotes and characters that cannot be printed stand there spelled."""
    spelled = go_literal(text)
    assert '"""' not in spelled and all(each.isprintable() or each in "\n\t" for each in spelled)
    asked = [{"role": "user", "content": "why"}]
    assert conversation(f"{spelled}{{{{ .Prompt }}}}", asked) == f"{text}why"
