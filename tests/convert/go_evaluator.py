"""Runs the few constructs of Go's templates that tuillm writes, as ollama runs a template.

Texts, `{{ "quoted" }}`, `{{ .Field }}`, and `{{ if .Field }}`, `{{ else }}`, `{{ end }}`; anything
else is an error. ollama's order of things is that of its `template/template.go`: a turn at a time,
the last one without what stands behind `.Response`.
"""

import json
import re

_ACTION = re.compile(r'\{\{ (?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<words>[^"{}]+)) \}\}')


def parsed(template):
    """The steps of a template: ('text', value), ('field', name), ('if', name), ('else',)..."""
    steps: list[tuple[str, ...]] = []
    at = 0
    while at < len(template):
        begin = template.find("{{", at)
        begin = len(template) if begin < 0 else begin
        if at < begin:
            steps.append(("text", template[at:begin]))
        if begin == len(template):
            break
        match = _ACTION.match(template, begin)
        assert match, f"no action of ours: {template[begin : begin + 30]!r}"
        at = match.end()
        if match["text"]:
            spelled = re.sub(
                r"\\U([0-9a-f]{8})", lambda found: chr(int(found[1], 16)), match["text"]
            )
            steps.append(("text", json.loads(spelled)))
        elif match["words"] in ("else", "end"):
            steps.append((match["words"],))
        else:
            name = re.fullmatch(r"(if )?\.(System|Prompt|Response)", match["words"])
            assert name, match["words"]
            steps.append(("if" if name[1] else "field", name[2]))
    return steps


def executed(steps, last=False, **fields):
    """What a template writes for one turn."""
    out, open_ifs = "", []
    for kind, *values in steps:
        if kind == "if":
            open_ifs.append(bool(fields[values[0]]))
        elif kind == "else":
            open_ifs[-1] = not open_ifs[-1]
        elif kind == "end":
            open_ifs.pop()
        elif all(open_ifs):
            out += values[0] if kind == "text" else fields[values[0]]
        if last and (kind, *values) == ("field", "Response"):
            assert not open_ifs
            return out
    assert not open_ifs
    return out


def conversation(template, messages, system=""):
    """What ollama makes of a conversation up to a question; `system` is its Modelfile's."""
    steps = parsed(template)
    if system and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system}, *messages]
    out, fields = "", dict.fromkeys(("System", "Prompt", "Response"), "")
    for message in messages:
        role, text = message["role"], message["content"]
        if role == "user" and fields["Response"]:
            out += executed(steps, **fields)
            fields = dict.fromkeys(fields, "")
        fields[{"system": "System", "user": "Prompt", "assistant": "Response"}[role]] = text
    return out + executed(steps, last=True, **fields)
