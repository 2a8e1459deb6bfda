"""Token dropout changes what is read, and nothing else."""

from typing import Any

import numpy as np
import pytest
import torch

from tuillm import Trainer
from tuillm.config import PRESETS, TrainConfig, build_train
from tuillm.training.auto_settings import dropout_for, token_dropout_for
from tuillm.training.batches import Batches
from tuillm.training.token_dropout import TokenDropout

CPU = torch.device("cpu")
T, ENTRIES, EOT = 16, 100, 7


def batches(share=0.0):
    """Batches of 8 windows over random ids, among them ends of text."""
    tokens = np.random.default_rng(1).integers(0, ENTRIES, 4000).astype(np.uint16)
    dropout = TokenDropout(share, ENTRIES, {EOT})
    return Batches(tokens, T, 8, 1, EOT, token_dropout=dropout)


def test_only_the_share_of_what_is_read_changes():
    """Targets stay, ends of text stay and none is put in; about the share of the rest changes."""
    plain, noisy = batches(), batches(0.3)
    changed = count = 0
    for _ in range(100):
        (idx, targets), (read, predicted) = plain.next(CPU), noisy.next(CPU)
        assert torch.equal(targets, predicted)
        assert torch.equal(idx == EOT, read == EOT)
        changed += int((idx != read).sum())
        count += int((idx != EOT).sum())
        assert 0 <= int(read.min()) and int(read.max()) < ENTRIES
    assert changed / count == pytest.approx(0.3, abs=0.02)


def test_replacements_follow_from_the_position():
    """Whoever goes to a position reads what was read there the first time; an epoch on, others."""
    first, again = batches(0.5), batches(0.5)
    for _ in range(3):
        first.next(CPU)
    there = first.epoch, first.position
    wanted = first.next(CPU)[0]
    again.seek(*there)
    assert torch.equal(again.next(CPU)[0], wanted)
    windows = [set(map(tuple, batch.tolist())) for batch in (wanted, first.next(CPU)[0])]
    assert not windows[0] & windows[1]


def test_a_text_is_known_by_heart_later(book):
    """With replaced tokens the training loss stays higher, with the same model, data and steps."""
    settings: dict[str, Any] = dict(preset="nano", tokenizer="char", max_steps=60, sample_tokens=0)
    losses = [
        list(Trainer(book, token_dropout=share, **settings).steps())[-1].train_loss
        for share in (0.0, 0.5)
    ]
    assert losses[0] < losses[1]


def test_a_share_out_of_range_is_refused(book):
    """One line says what is allowed."""
    with pytest.raises(Exception, match=r"token_dropout.*1"):
        Trainer(book, token_dropout=1.0)


@pytest.mark.parametrize(
    ("parameters", "tokens", "share"),
    [(1_000_000, 3_000_000, 0.0), (1_060_000, 347_000, 0.1), (3_100_000, 347_000, 0.1)]
    + [(860_000, 21_500, 0.2)],
)
def test_more_is_replaced_the_more_parameters_there_are(parameters, tokens, share):
    """By the parameters for each token, unless a share is set; a note says what is unusual."""
    config = build_train({"preset": "tiny"})
    found, note = token_dropout_for(config, parameters, tokens)
    assert found == share and bool(note) == (share > 0.1)
    fixed = config.model_copy(update={"token_dropout": 0.05})
    assert token_dropout_for(fixed, parameters, tokens) == (0.05, "")


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"tiny", "small", "best"}))
def test_only_presets_for_a_book_replace_tokens_by_themselves(preset):
    """What is to be learned by heart, fine-tuned or read a few times is read as it is."""
    assert not PRESETS[preset].settings.get("token_dropout", 0.0)


def test_a_run_from_before_goes_on_without():
    """Its settings know nothing of it, and nor did its first steps; its dropout stays, too."""
    kept = build_train({"preset": "tiny"}).model_dump(mode="json")
    del kept["token_dropout"], kept["ema"], kept["teachers"]
    before = TrainConfig.model_validate(kept)
    assert token_dropout_for(before, 860_000, 21_500) == (0.0, "")
    assert dropout_for(before, 21_500)[0] == 0.3 and not before.ema


def test_dropout_of_activations_makes_room():
    """A short text has less of it where tokens are replaced as well."""
    beside = build_train({"preset": "tiny"})
    alone = beside.model_copy(update={"token_dropout": 0.0})
    assert dropout_for(beside, 20_000)[0] < dropout_for(alone, 20_000)[0]
