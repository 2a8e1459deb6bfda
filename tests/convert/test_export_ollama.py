"""The folder for ollama: a GGUF file, and a Modelfile that means what the chat would do."""

import re

import pytest
from gguf import GGUFReader

from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.export_model import export
from tuillm.convert.ollama import chat_of_mode, modelfile
from tuillm.store.card import ModelCard
from tuillm.store.chat_template import card_mode
from tuillm.store.files import write_json
from tuillm.store.registry import get_model

SHAPE = GPTConfig(300, 128, 2, 2, 32)
# an instruction, the name of a parameter, and a value that may be quoted over several lines
_COMMAND = re.compile(
    r'(FROM|TEMPLATE|SYSTEM|PARAMETER (\w+)) (?:"""(.*?)"""|([^"\n]+))\n', re.DOTALL
)


def parsed(text):
    """A Modelfile as its instructions: {name: [values]}; nothing may be left over."""
    found, end = {}, 0
    for match in _COMMAND.finditer(text):
        assert match.start() == end, text[end : match.start()]
        value = match[4] if match[3] is None else match[3]
        found.setdefault(match[2] or match[1], []).append(value)
        end = match.end()
    assert end == len(text), text[end:]
    return found


def filled(template, turns):
    """What ollama makes of a template and turns, the last of them without an answer."""
    out = ""
    for question, answer in turns:
        text = template if answer is not None else template.partition("{{ .Response }}")[0]
        text = text.replace('{{ "{{" }}', "\0").replace("{{ .Prompt }}", question)
        out += text.replace("{{ .Response }}", answer or "").replace("\0", "{{")
    return out


def test_a_model_that_continues(model, tmp_path):
    """A completion model gets the words as they are, and the context and sampling of the chat."""
    done = export(model, tmp_path / "out", "ollama")
    assert done.path == tmp_path / "out"
    assert sorted(path.name for path in done.path.iterdir()) == ["Modelfile", "book.gguf"]
    found = parsed((done.path / "Modelfile").read_text(encoding="utf-8"))
    assert found["FROM"] == ["./book.gguf"]
    assert filled(found["TEMPLATE"][0], [("The road", " went"), ("on", None)]) == (
        "The road went\non"
    )
    block_size = get_model(model).config["n_positions"]
    assert (found["num_ctx"], found["num_predict"]) == ([str(block_size)], [str(block_size // 2)])
    assert found["temperature"] == ["0.8"] and found["repeat_penalty"] == ["1.0"]
    assert "stop" not in found
    assert GGUFReader(done.path / "book.gguf").fields["general.name"].contents() == "book"


@pytest.mark.parametrize(
    "card",
    [
        ModelCard(mode="qa", template="Question: {question}\nAnswer: {answer}\n"),
        ModelCard(mode="qa", template="Q: {question}\nA:", stop=("\nQ:", "###")),
        ModelCard(mode="qa"),
        ModelCard(template="<{{user}}> {question}\n<{{bot}}> {answer}"),
    ],
    ids=str,
)
def test_a_model_that_takes_turns(card):
    """The dialogue that ollama builds is the one the chat builds, with the same stop strings."""
    mode = card_mode(card)
    found = parsed(modelfile(chat_of_mode(card_mode(card)), "m.gguf", SHAPE))
    turns = [("Who are you?", " A model."), ("Why?", None)]
    chat = mode.apply("Who are you?", True) + " A model." + mode.apply("Why?", False)
    assert filled(found["TEMPLATE"][0], turns).split() == chat.split()
    assert filled(found["TEMPLATE"][0], turns[1:]) == mode.apply("Why?", True)
    assert tuple(found["stop"]) == mode.stop


def test_quotes_end_nothing():
    """Quotes in a template stay inside it; a stop string that cannot be quoted is left out."""
    card = ModelCard(template='Say """{question}""" now: {answer}', stop=('"""', 'an "end" of'))
    found = parsed(modelfile(chat_of_mode(card_mode(card)), "m.gguf", SHAPE))
    quote = r'{{ "\"\"\"" }}'
    assert found["TEMPLATE"] == [f"Say {quote}{{{{ .Prompt }}}}{quote} now: {{{{ .Response }}}}\n"]
    assert found["stop"] == ['an "end" of']


def test_the_card_of_the_model_decides(model, home, tmp_path):
    """What a folder's own card says of its form is what its Modelfile says."""
    card = ModelCard(mode="qa", template="Q: {question}\nA:", stop=("\nQ:",))
    write_json(home / "models" / "book" / "tuillm.json", card.model_dump(mode="json"))
    done = export(model, tmp_path / "out", "ollama", "f16")
    found = parsed((done.path / "Modelfile").read_text(encoding="utf-8"))
    assert found["stop"] == ["\nQ:"] and found["TEMPLATE"][0].startswith("Q: {{ .Prompt }}\nA:")
