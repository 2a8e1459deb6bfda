"""Chat templates: the text that transformers makes of them, and one line for hostile ones."""

import resource
import time
from typing import Any

import pytest
from chat.templates import CHATML, STRICT, TEMPLATES, THINKING, letters_tokenizer, of_transformers
from jinja2.exceptions import TemplateError

from tuillm.errors import TuillmError
from tuillm.formats.jinja_chat import Message, render_chat
from tuillm.store.card import ModelCard
from tuillm.store.chat_template import mode_of
from tuillm.store.registry import Model

TALK: list[Message] = [
    {"role": "user", "content": "What is this?"},
    {"role": "assistant", "content": '<think>\nA "test".\n</think>\n\nIt is a test.\n'},
    {"role": "user", "content": "  Why, é & <b>?  "},
    {"role": "assistant", "content": " Because."},
    {"role": "user", "content": "{{ 7 * 7 }} </s>"},
]
SYSTEM: Message = {"role": "system", "content": "Be brief.\n"}
# what a template may do that ours above do not
OTHERS = {
    "join": "{{ messages | map(attribute='content') | join('|') }}",
    "items": "{% for key, value in messages[0].items() %}{{ key ~ '=' ~ value }};{% endfor %}",
    "json": "{{ messages | tojson(indent=2) }}{{ messages[0] | tojson }}",
    "namespace": "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% if loop.first %}{% continue %}{% endif %}{{ ns.n }}{{ loop.previtem.role[:1] | upper }}"
    "{% endfor %}",
    "macro": "{% macro turn(m, end='') -%}\n[{{ m.role | title }}] {{ m['content'] | trim }}"
    "{{ end }}"
    "{%- endmacro %}\n{% for m in messages %}{{ turn(m, end=eos_token) }}\n{% endfor %}",
    "tests": "{{ messages is iterable and messages[0] is mapping and nothing is not defined }}"
    "{{ messages[0].content is string }}{{ bos_token is none }}{{ messages | length % 2 }}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}",
    "methods": "{% for m in messages %}{{ m.content.strip().split(' ')[0].replace('W', 'V') }}"
    "{{ m.get('name', 'none') }}{{ 'a' in m.content }}{{ '%s!' % m.role }}{% endfor %}",
    "block": "{% set whole %}{% for m in messages %}{{ m.content }}{% endfor %}{% endset %}"
    "{{ whole | replace('a', 'b') | indent(2) }}{{ [1, 2.5] | sum }}{{ 'x' * 3 }}{{ 2 ** 5 }}",
    "filters": "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content')"
    " | list }}{{ (messages | first).role }}{{ messages | rejectattr('role', 'in', ['user'])"
    " | list | count }}{{ none | default('so', true) }}{{ ['b', 'a'] | sort | join }}",
}


def turns():
    """Conversations of one, three and five messages, with and without a system text."""
    for count in (1, 3, 5):
        yield TALK[:count]
        yield [SYSTEM, *TALK[:count]]
    yield TALK[:2]
    yield [*TALK[:2], TALK[1]]


@pytest.mark.parametrize("name", [*TEMPLATES, *OTHERS])
def test_the_text_is_that_of_transformers(name, tmp_path):
    """With a system text and without, some turns or one, with the reply begun and not."""
    template = (TEMPLATES | OTHERS)[name]
    theirs = of_transformers(letters_tokenizer(), tmp_path / "t", template)
    written = set()
    for messages in turns():
        for begun in (False, True):
            for more in ({}, {"enable_thinking": False}):
                options: dict[str, Any] = {"add_generation_prompt": begun} | more
                try:
                    text = theirs.apply_chat_template(messages, tokenize=False, **options)
                except TemplateError as error:
                    with pytest.raises(TuillmError, match=error.message):
                        render_chat(
                            template, messages, bos_token="<s>", eos_token="</s>", **options
                        )
                    continue
                ours = render_chat(template, messages, bos_token="<s>", eos_token="</s>", **options)
                assert ours == text
                written.add(text)
    assert written


HOSTILE = {
    "a loop of loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
    "{% endfor %}",
    "a loop without an end": "{% for i in range(10**9) %}a{% endfor %}",
    "loops that skip": "{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}"
    "{% endfor %}",
    "a long text": "{{ 'a' * 10000000000 }}",
    "a long list": "{{ [1] * 10000000000 }}",
    "padding": "{{ 'a' | center(1000000000) }}",
    "padding by a method": "{{ 'a'.ljust(1000000000) }}",
    "a wide number": "{{ '%999999999d' % 1 }}",
    "a given width": "{{ '%*d' % (999999999, 1) }}",
    "a wide format": "{{ '{:>999999999}'.format(1) }}",
    "a nested width": "{{ '{:>{w}}'.format(1, w=999999999) }}",
    "a wide filter": "{{ '%999999999d' | format(1) }}",
    "a wide date": "{{ strftime_now('%999999999d') }}",
    "a deep indent": "{{ 'a\nb' | indent(1000000000) }}",
    "indented JSON": "{{ [1, [2]] | tojson(indent=1000000000) }}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "rounding": "{{ 1.5 | round(1000000000, 'ceil') }}",
    "doubling": "{% set ns = namespace(x='aa') %}{% for i in range(100) %}"
    "{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "doubling by a block": "{% set ns = namespace(x='aa') %}{% for i in range(100) %}{% set y %}"
    "{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}{{ ns.x }}",
    "replacing": "{% set ns = namespace(x='aa') %}{% for i in range(100) %}"
    "{% set ns.x = ns.x.replace('a', ns.x) %}{% endfor %}{{ ns.x }}",
    "joining": "{% set ns = namespace(x='aa') %}{% for i in range(100) %}"
    "{% set ns.x = ns.x.join([ns.x, ns.x, ns.x]) %}{% endfor %}{{ ns.x }}",
    "lists of lists": "{% set ns = namespace(x=['aa']) %}{% for i in range(60) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "dictionaries": "{% set ns = namespace(x={}) %}{% for i in range(60) %}"
    "{% set ns.x = dict(a=ns.x, b=ns.x) %}{% endfor %}{{ ns.x }}",
    "a macro in itself": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "a tree of macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}"
    "{% endmacro %}{{ m(100) }}",
    "a block in itself": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "attributes": "{{ ''.__class__.__mro__ }}",
    "attributes of globals": "{{ cycler.__init__.__globals__.os.system('touch pwned') }}",
    "attributes by a filter": "{{ '' | attr('__class__') }}",
    "attributes of a method": "{{ messages.append.__self__ }}",
    "a file": "{% include '/etc/passwd' %}",
    "a module": "{% import 'os' as os %}{{ os }}",
    "an object": "{{ namespace(a=1) }}",
    "nesting": "{% if 1 %}" * 2000 + "{% endif %}" * 2000,
    "a long sum": "{{ " + "1+" * 60_000 + "1 }}",
    "a long template": "a" * 300_000,
    "no template": "{% for %}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_one_line(name, tmp_path, monkeypatch):
    """Nothing is executed, and neither the time nor the memory of the machine is taken."""
    monkeypatch.chdir(tmp_path)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    with pytest.raises(TuillmError) as caught:
        render_chat(HOSTILE[name], TALK)
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)
    assert time.thread_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB
    assert not list(tmp_path.iterdir())


def test_what_is_out_of_reach_writes_nothing():
    """Where Jinja gives no error but nothing, as for a name with underscores in brackets."""
    assert render_chat("{{ ''['__class__'] }}{{ self._TemplateReference__context }}", TALK) == ""


def test_a_folder_with_a_hostile_template_continues_text(tmp_path):
    """The model opens, and says why its template is not used."""
    (tmp_path / "chat_template.jinja").write_text(HOSTILE["attributes"])
    mode = mode_of(Model("m", tmp_path, ModelCard(), {}, 0))
    assert not mode.turns and "access to attribute '__class__'" in mode.problem


@pytest.mark.parametrize(
    "template", [CHATML, THINKING, STRICT], ids=["chatml", "thinking", "strict"]
)
def test_an_ordinary_conversation_takes_about_a_millisecond(template):
    """Forty turns, of which nothing is long: the best of many, as a machine may be busy."""
    messages = [TALK[number % 2] for number in range(40)]
    render_chat(template, messages)
    times = []
    for _ in range(30):
        began = time.thread_time()
        render_chat(template, messages, add_generation_prompt=True)
        times.append(time.thread_time() - began)
    assert min(times) < 0.01


def test_a_long_conversation_is_no_hostile_one():
    """A text that grows by a turn at a time, as some templates write it, has room to."""
    template = (
        "{% set ns = namespace(x='') %}{% for m in messages %}"
        "{% set ns.x = ns.x ~ m.content %}{% endfor %}{{ ns.x }}"
    )
    message: Message = {"role": "user", "content": "a" * 10_000}
    messages = [message] * 300
    assert len(render_chat(template, messages)) == 3_000_000
