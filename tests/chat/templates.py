"""Chat templates in the ways of the small open models, and a model of letters that takes turns."""

import copy

import torch
import transformers

from tuillm import Sampler
from tuillm.model import GPT, GPTConfig, write_model
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz .:\n"
MARKS = ("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")

# a system text of its own where none is given, as SmolLM2 has it
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nbe kind<|im_end|>\\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# headers, a date, and stripped texts, as Llama 3 has it
HEADERS = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set told = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set told = "" %}
{%- endif %}
{{- '<|im_start|>system<|im_end|>\\n\\n' }}
{{- 'today: ' + strftime_now('%d %b %Y') + '\\n\\n' + told + '</s>' }}
{%- for message in messages %}
    {%- if not (message.role == 'user' or message.role == 'assistant') %}
        {{- raise_exception('no such role') }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '<|im_end|>\\n\\n' }}
    {{- message['content'] | trim + '</s>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant<|im_end|>\\n\\n' }}
{%- endif %}
"""
# words instead of tokens before a turn, a token behind it, as Zephyr and TinyLlama have it
ZEPHYR = (
    (
        "{% for message in messages %}\\n{% if message['role'] == 'user' %}\\n"
        "{{ '<|user|>\\n' + message['content'] + eos_token }}\\n"
        "{% elif message['role'] == 'system' %}\\n"
        "{{ '<|system|>\\n' + message['content'] + eos_token }}\\n"
        "{% elif message['role'] == 'assistant' %}\\n"
        "{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\\n{% endif %}\\n"
        "{% if loop.last and add_generation_prompt %}\\n{{ '<|assistant|>' }}\\n{% endif %}\\n"
        "{% endfor %}"
    )
    .replace("\\n{", "\n{")
    .replace("}\\n", "}\n")
)
# tools that nobody gives, and thoughts that are left out of earlier turns, as Qwen3 has it
THINKING = """{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n' }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last=messages | length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and message.content is string %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set content, thought = message.content, '' %}
        {%- if '</think>' in content %}
            {%- set before = content.split('</think>')[0].rstrip('\\n') %}
            {%- set thought = before.split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thought + '\\n</think>\\n\\n' + content }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
# a person and a model by turns, and nobody else
STRICT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system texts') }}{% endif %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "headers": HEADERS,
    "zephyr": ZEPHYR,
    "thinking": THINKING,
    "strict": STRICT,
}


def letters_tokenizer(ends=("</s>", "<|im_end|>")):
    """A tokenizer of letters and bytes, with marks beside them; thoughts are no special tokens."""
    spec = copy.deepcopy(make_tokenizer("char", [LETTERS + LETTERS.upper() + "<|>/[]"]).spec)
    first = 1 + max(spec["model"]["vocab"].values())
    spec["added_tokens"] = [
        {
            "id": first + index,
            "content": mark,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": "think" not in mark,
        }
        for index, mark in enumerate(MARKS)
    ]
    return TiktokenTokenizer(spec, [first + MARKS.index(end) for end in ends])


def letters_model(tokenizer, block_size=256, seed=0, ends=("<|im_end|>",), odds=0.0, layers=1):
    """A random model that says letters, and now and then one of the `ends`."""
    size = tokenizer.vocab_size
    shape = dict(block_size=block_size, n_layer=layers, n_head=2, n_embd=16, bias=True)
    model = GPT(GPTConfig(vocab_size=size, tie_weights=False, **shape))
    generator = torch.Generator().manual_seed(seed)
    said = tokenizer.encode(LETTERS)
    ended = [id for id, name in tokenizer.names.items() if name in ends]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.35, generator=generator)
        model.ln_f.weight[0], model.get_parameter("ln_f.bias")[0] = 0, 1
        head = model.get_parameter("lm_head.weight")
        head[:, 0] = -40
        head[said, 0] = 0
        head[ended, 0] = odds
    return model.eval()


def letters_sampler(block_size=256, **more):
    """A Sampler of such a model in memory."""
    tokenizer = letters_tokenizer()
    return Sampler.of(letters_model(tokenizer, block_size, **more), tokenizer)


def of_transformers(tokenizer, folder, template, bos="<s>", eos="</s>"):
    """The same tokenizer as transformers has it, with a chat template."""
    folder.mkdir(exist_ok=True)
    tokenizer.save(folder, 256)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        bos_token=bos,
        eos_token=eos,
        chat_template=template,
    )


def letters_folder(folder, template, generation=None, model=None, **more):
    """The folder of such a model, with a chat template and what `generation_config.json` adds."""
    tokenizer = letters_tokenizer()
    folder.mkdir()
    model = model or letters_model(tokenizer, **more)
    write_model(model, folder, tokenizer.eot, tokenizer.ends, sampling=generation)
    tokenizer.with_template(template).save(folder, model.config.block_size)
    return folder


def chain_model(said, block_size=256):
    """A model that says these texts, names of tokens included, behind a line end, and ends."""
    tokenizer = letters_tokenizer()
    ids = tokenizer.encode_special("\n" + said + "<|im_end|>")
    assert len(set(ids)) == len(ids), "each token must tell its successor"
    size = tokenizer.vocab_size
    shape = dict(n_layer=0, n_head=1, n_embd=size, block_size=block_size)
    model = GPT(GPTConfig(vocab_size=size, tie_weights=False, bias=True, **shape))
    with torch.no_grad():
        model.wte.weight.copy_(torch.eye(size))
        model.wpe.weight.zero_()
        head = model.get_parameter("lm_head.weight").zero_()
        for token, successor in zip(ids, ids[1:], strict=False):
            head[successor, token] = 1
    return model.eval()
