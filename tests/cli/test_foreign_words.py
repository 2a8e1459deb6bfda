"""What users of nanoGPT, Hugging Face, ollama and llama.cpp type: answered with ours, or why not.

A word gets a right pointer or none; a pointer to something else is worse than silence.
"""

import re
import subprocess
import sys
from typing import Any

import click
import pytest

import tuillm as package
from tuillm import Sampler, Trainer
from tuillm.chat.commands.settings import apply_set
from tuillm.chat.commands.slash_commands import command_of
from tuillm.cli.main import tuillm
from tuillm.cli.suggest import ALIASES
from tuillm.config import SamplingConfig, TrainConfig, build_sampling, build_train, settings_of
from tuillm.config.foreign_words import CHAT, NOT_HERE, OURS, PYTHON, VERBS
from tuillm.errors import TuillmError, UsageError, nearest

NO = "not here: "


def answer(*words):
    """The error that typed words get."""
    with pytest.raises((click.UsageError, UsageError)) as caught:
        tuillm.main(list(words), standalone_mode=False, prog_name="tuillm")
    told = caught.value
    return told.format_message() if isinstance(told, click.UsageError) else str(told)


# option -> what the answer points to; "" where there is nothing to point to
TRAIN = {
    # nanoGPT
    "--out_dir": "--name",
    "--eval_iters": NO,
    "--eval_only": NO + "tuillm eval",
    "--always_save_checkpoint": NO,
    "--init_from": "--from",
    "--wandb_log": NO,
    "--wandb-log": NO,
    "--wandb_project": NO,
    "--wandb_run_name": "--name",
    "--dataset": "TEXT",
    "--gradient_accumulation_steps": "--grad-accum-steps",
    "--max_iters": "--max-steps",
    "--lr_decay_iters": NO,
    "--decay_lr": "--schedule",
    "--warmup_iters": "--warmup-steps",
    "--backend": NO,
    "--torch_compile": "--compile",
    "--log_interval": NO,
    "--start": "-p of tuillm generate",
    # Hugging Face
    "--num_train_epochs": "--epochs",
    "--max-epochs": "--epochs",
    "--per_device_train_batch_size": "--batch-size",
    "--per_device_eval_batch_size": NO,
    "--output_dir": "--name",
    "--overwrite_output_dir": "--replace",
    "--save_steps": NO,
    "--save_total_limit": NO,
    "--logging_steps": NO,
    "--lr_scheduler_type": "--schedule",
    "--fp16": "--dtype",
    "--bf16": "--dtype",
    "--model_name_or_path": "--from",
    "--max_seq_length": "--block-size",
    "--warmup_ratio": "--warmup-steps",
    "--gradient_checkpointing": "--grad-checkpoint",
    "--max_grad_norm": "--grad-clip",
    "--optim": "--optimizer",
    "--adam_beta1": "--beta1",
    "--report_to": NO,
    "--push_to_hub": NO,
    "--resume_from_checkpoint": NO + "tuillm runs resume",
    "--train_file": "TEXT",
    "--validation_split_percentage": "--val-fraction",
    "--load_best_model_at_end": NO,
    "--lora_r": "--lora-rank",
    "--lora_dropout": NO,
    "--target_modules": "--lora-targets",
    "--num_hidden_layers": "--n-layer",
    "--hidden_size": "--n-embd",
    "--deepspeed": NO,
    "--dataloader_num_workers": NO,
    "--evaluation_strategy": "--eval-interval",
    "--early_stopping_patience": "--patience",
    "--trust_remote_code": NO,
    # everyone
    "--lr": "--learning-rate",
    "--wd": "--weight-decay",
    "--bs": "--batch-size",
    "--steps": "--max-steps",
    "--size": "--preset",
    "--gpu": "--device",
    "--layers": "--n-layer",
    "--heads": "--n-head",
    "--clip": "--grad-clip",
    "--workers": NO,
    "--resume": NO,
    "--temperature": "--temperature of tuillm generate",
    "--force": "--replace",
    "-m": "--from",
    "-b": "--batch-size",
    "-t": NO,
    "-ngl": "--device",
    "-o": "--name",
}
GENERATE = {
    # nanoGPT's sample.py
    "--start": "--prompt",
    "--out_dir": "--name of tuillm train",
    "--compile": "--compile of tuillm train",
    "--max_iters": "--max-steps of tuillm train",
    # Hugging Face
    "--max_length": "--max-new-tokens",
    "--do_sample": NO + "temperature 0",
    "--num_beams": NO,
    "--max_tokens": "--max-new-tokens",
    "--num_return_sequences": "--num-samples",
    "--no_repeat_ngram_size": "--repetition-penalty",
    "--eos_token_id": NO,
    "--torch_dtype": "--dtype",
    "--load_in_8bit": "--dtype",
    "--stop_strings": "--stop",
    "--pad_token_id": NO,
    "--device_map": "--device",
    "--streamer": NO,
    # ollama
    "--num_ctx": "--context",
    "--num_predict": "--max-new-tokens",
    "--keepalive": NO,
    "--verbose": "--stats",
    "--nowordwrap": NO,
    "--format": "--json",
    "--insecure": NO,
    "--system-prompt": NO,
    "--think": NO,
    # llama.cpp
    "-m": "NAME without an option",
    "--model": "NAME without an option",
    "-c": NO,
    "-t": NO,
    "--ctx-size": "--context",
    "--n-predict": "--max-new-tokens",
    "-ngl": "--device",
    "--n-gpu-layers": "--device",
    "--temp": "--temperature",
    "--repeat-penalty": "--repetition-penalty",
    "--threads": NO,
    "--mirostat": NO,
    "--mlock": NO,
    "-f": "--prompt",
    "-r": "--stop",
    "-s": "--seed",
    "--typical": NO,
    "--tfs": NO,
    "--grammar": NO,
    "-cnv": NO,
    "--file": "--prompt",
    "--flash-attn": NO,
    "--no-mmap": NO,
    "--port": NO,
    # everyone
    "--lr": "--learning-rate of tuillm train",
    "--topk": "--top-k",
    "--length": "--max-new-tokens",
    "--size": "--preset of tuillm train",
    "--num-epochs": "--epochs of tuillm train",
    "--output": NO + "the text goes to stdout",
    "--top": "--top-k' or '--top-p",
}
# near to a word of ours by letters, and meant for nothing of ours
NOWHERE = [
    "--bike",
    "--house",
    "--lorry",
    "--optics",
    "--sad",
    "--prism",
    "--xx",
    "--stork",
    "--tempest",
    "--decks",
    "--charts",
    "--q1",
]


@pytest.mark.parametrize(
    ("verb", "option", "points"),
    [
        *(("train", *row) for row in TRAIN.items()),
        *(("generate", *row) for row in GENERATE.items()),
    ],
    ids=lambda value: str(value),
)
def test_an_option_of_another_program_is_answered(verb, option, points):
    """The answer names ours, or says that it is not here and why."""
    told = answer(verb, "x", option, "1")
    assert f"there is no option {option.replace('_', '-')} (" in told
    hint = told.partition(" (")[2]
    assert points in hint
    if points.startswith("--") and " of " not in points:
        assert " of tuillm" not in hint


@pytest.mark.parametrize("option", NOWHERE)
@pytest.mark.parametrize("verb", ["train", "generate", "list"])
def test_a_word_that_means_nothing_gets_no_pointer(option, verb):
    """Only where all options are listed is said then."""
    assert answer(verb, option, "1") == (
        f"there is no option {option} (tuillm {verb} --help lists them)"
    )


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        ("--lerning-rate", "--learning-rate"),
        ("--n-layers", "--n-layer"),
        ("--dropuot", "--dropout"),
        ("--nlayer", "--n-layer"),
        ("--warmup-step", "--warmup-steps"),
        ("--bathc-size", "--batch-size"),
        ("--patince", "--patience"),
        ("--vocab", "--vocab-size"),
        ("--preste", "--preset"),
    ],
)
def test_a_slip_is_still_recognised(typed, ours):
    """A letter more, less, other or swapped, and a beginning."""
    told = answer("train", typed, "1")
    assert repr(ours) in told or f"here it is {ours}" in told


def test_underscores_are_dashes():
    """nanoGPT's way to write an option is taken as it is, with = too."""
    for typed in (["--batch_size", "0"], ["--batch_size=0"]):
        assert answer("train", "x", *typed).startswith("batch_size cannot be 0 (")
    assert "top_k cannot be -1 (" in answer("generate", "x", "--top_k=-1")
    assert "no run named 'x'" in str(raised(["runs", "attach", "x", "--json_lines"]))


def raised(words):
    with pytest.raises(TuillmError) as caught:
        tuillm.main(words, standalone_mode=False, prog_name="tuillm")
    return caught.value


@pytest.mark.parametrize(
    ("words", "points"),
    [
        (["serve"], "there is no server"),
        (["create"], "tuillm train TEXT"),
        (["stop"], "tuillm runs"),
        (["delete"], "tuillm rm NAME"),
        (["mv"], "tuillm rename"),
        (["sample"], "tuillm generate"),
        (["finetune"], "--from MODEL"),
        (["trian"], "'train'"),
        (["download"], "tuillm pull"),
        (["runs", "kill"], "tuillm runs stop ID"),
        (["runs", "logs"], "tuillm runs attach ID"),
        (["runs", "atach"], "'attach'"),
        (["xyzzy"], "tuillm --help lists them"),
        (["runs", "xyzzy"], "tuillm runs --help lists them"),
        (["x" * 500], "tuillm --help"),
    ],
)
def test_a_verb_of_another_program_is_answered(words, points):
    """With the command that does it here."""
    told = answer(*words)
    assert told.startswith("there is no command '") and points in told and len(told) < 250


@pytest.mark.parametrize(("alias", "verb"), ALIASES["tuillm"].items())
def test_aliases_are_the_verbs_they_stand_for(alias, verb, capsys):
    """`run`, `ls` and `ps` do what ollama's users expect, and the help says that they exist."""
    helps = []
    for word in (alias, verb):
        tuillm.main([word, "--help"], standalone_mode=False, prog_name="tuillm")
        helps.append(capsys.readouterr().out)
    assert helps[0] == helps[1]
    tuillm.main(["--help"], standalone_mode=False, prog_name="tuillm")
    assert f"(also: {alias})" in capsys.readouterr().out


def test_a_prompt_behind_the_name_is_told_where_it_goes():
    """`ollama run NAME "text"` is `tuillm generate NAME -p TEXT` here."""
    assert "tuillm generate NAME -p TEXT" in answer("run", "book", "Once upon")
    assert "tuillm generate NAME -p TEXT" in answer("generate", "book", "Once upon")


@pytest.mark.parametrize(
    ("key", "points"),
    [
        ("out_dir", "name"),
        ("dataset", "corpus"),
        ("lr", "learning_rate"),
        ("torch_compile", "compile"),
        ("num_epochs", "epochs"),
        ("max_iters", "max_steps"),
        ("temperature", "Sampler"),
        ("wandb_log", NO),
        ("per_device_train_batch_size", "batch_size"),
        ("n_embed", "n_embd"),
        ("size", "preset"),
        ("lerning_rate", "'learning_rate'"),
        ("zzzzzz", "--help lists them all"),
    ],
)
@pytest.mark.parametrize("layer", ["typed", "file", "Trainer"])
def test_keys_and_keywords_are_answered_alike(key, points, layer):
    """In a TOML file and as a keyword of Trainer."""
    with pytest.raises(UsageError, match=f"unknown setting '{key}'") as caught:
        if layer == "Trainer":
            settings: dict[str, Any] = {key: 1}
            Trainer("x.txt", **settings)
        else:
            build_train(*(({key: 1}, None) if layer == "typed" else ({}, {key: 1})))
    assert points in caught.value.hint


@pytest.mark.parametrize(
    ("key", "points"),
    [
        ("max_tokens", "here it is max_new_tokens"),
        ("temp", "temperature"),
        ("do_sample", NO),
        ("num_return_sequences", "num_samples"),
        ("n_layer", "Trainer"),
        ("prompt", "first argument"),
        ("stop_strings", "stop"),
        ("max_length", "max_new_tokens"),
        ("threads", NO),
    ],
)
def test_keywords_of_generate_are_answered(key, points):
    """As `Sampler.generate(max_tokens=...)`."""
    with pytest.raises(UsageError, match=f"unknown setting '{key}'") as caught:
        build_sampling({key: 1})
    assert points in caught.value.hint


@pytest.mark.parametrize(
    ("owner", "name", "points"),
    [
        (Sampler, "generate_text", "here it is generate"),
        (Sampler, "from_pretrained", "Sampler("),
        (Sampler, "genrate", "'generate'"),
        (Trainer, "train", "here it is run"),
        (Trainer, "fit", "here it is run"),
        (Trainer("x.txt"), "evalute", "'evaluate'"),
        (Trainer("x.txt"), "train", "here it is run"),
        (package, "Samplr", "'Sampler'"),
        (package, "generate", "Sampler("),
        (package, "TrainingArguments", "TrainConfig"),
    ],
)
def test_attributes_of_other_libraries_are_answered(owner, name, points):
    """The AttributeError names ours."""
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    assert points in str(caught.value) and repr(name) in str(caught.value)
    assert not hasattr(owner, name) and getattr(owner, name, 3) == 3


def test_nothing_but_the_words_of_an_attribute_error_changes():
    """What is nowhere is said as ever, and what Python asks for itself finds nothing."""
    with pytest.raises(AttributeError, match=r"^'Trainer' has no attribute 'zzzzzz'$"):
        getattr(Trainer("x.txt"), "zzzzzz")  # noqa: B009  (mypy knows that there is none)
    assert not hasattr(Trainer, "__deepcopy__") and not hasattr(Trainer("x.txt"), "__len__")


@pytest.mark.slow
def test_imports_of_other_names_are_answered():
    """`from tuillm import X` says what X is here; modules of ours are imported as ever."""
    code = """
import pkgutil, tuillm
for found in pkgutil.iter_modules(tuillm.__path__):
    if found.name != "__main__":
        exec(f"from tuillm import {found.name}")
for name in ("GPT", "generate_text", "zzzzzz"):
    try:
        exec(f"from tuillm import {name}")
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second, third = done.stdout.splitlines()
    assert 'Sampler("NAME")' in first and 'Sampler("NAME").generate("TEXT")' in second
    assert third.startswith("cannot import name 'zzzzzz'")


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("temp 0.3", {"temperature": 0.3}),
        ("topk 4", {"top_k": 4}),
        ("TEMPERATURE 1", {"temperature": 1.0}),
        ("parameter temperature 0.2", {"temperature": 0.2}),
        ("rep 1.2", {"repetition_penalty": 1.2}),
        ("num_predict 5", {"max_new_tokens": 5}),
        ("top-p 0.5", {"top_p": 0.5}),
        (r"stop \n\n", {"stop": ("\n\n",)}),
    ],
)
def test_set_takes_short_and_other_names(words, changed):
    """Beginnings that only one name has, and the words of other programs."""
    usual = SamplingConfig()
    assert apply_set(words, usual) == usual.model_copy(update=changed)


@pytest.mark.parametrize(
    ("words", "points"),
    [
        ("top 3", "'top_k' or 'top_p'"),
        ("parameter num_ctx 99", "--context of tuillm chat"),
        ("system be kind", NO),
        ("temprature 1", "'temperature'"),
        ("num_thread 4", NO),
        ("lr 3", "temperature, top_k"),
        ("verbose", "the line below"),
        ("n 3", "/retry N"),
    ],
)
def test_set_answers_what_it_does_not_take(words, points):
    """As options do."""
    with pytest.raises(UsageError) as caught:
        apply_set(words, SamplingConfig())
    assert points in str(caught.value)


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("temp", "/set temperature VALUE"),
        ("sys", "/system TEXT"),
        ("redo", "/regen"),
        ("hlp", "'help'"),
        ("zzzzzz", "/help lists all"),
    ],
)
def test_slash_commands_are_answered(name, points):
    """With what the chat has for it."""
    with pytest.raises(UsageError) as caught:
        command_of(name)
    assert points in str(caught.value)
    assert command_of("?").name == "help" and command_of("reset").name == "clear"


def test_the_table_points_to_what_there_is():
    """Each of ours is a setting, or an option or argument of a command; each command is one."""
    known = {each.name for config in (TrainConfig, SamplingConfig) for each in settings_of(config)}
    known |= {"model", "corpus"}
    commands: dict[str, Any] = {}
    with click.Context(tuillm, info_name="tuillm") as ctx:
        for name in tuillm.list_commands(ctx):
            command = commands[name] = tuillm.get_command(ctx, name)
            known |= {each.name for each in command.params}
    assert {ours for row in OURS.values() for ours in row.split()} <= known
    runs = commands["runs"].commands
    groups = [*VERBS.values(), *PYTHON.values(), NOT_HERE, CHAT]
    for sentence in (sentence for rows in groups for sentence in rows.values()):
        for verb, below in re.findall(r"\btuillm ([a-z]+)(?: ([a-z]+))?", sentence):
            assert verb in commands, sentence
            assert verb != "runs" or below in (*runs, ""), sentence
    for words in (*OURS, *NOT_HERE, *CHAT):
        assert words == words.lower() and "-" not in words


def test_a_slip_is_near():
    """What difflib thought alike is told apart, and real slips are found."""
    flags = ["optimizer", "lora", "stats", "seed", "echo", "stop"]
    assert not any(nearest(word, flags) for word in ("compile", "lr", "start", "size", "epochs"))
    assert nearest("Othr", ["other", "book"]) == "other"
    assert nearest("bok", ["book"]) == "book" and nearest("book", ["book.txt"]) == "book.txt"
    assert nearest("top", ["top_k", "top_p", "stop"]) == ""
    assert nearest("", ["a"]) == nearest("zz", []) == ""
