"""The model card that goes out with a model; the hub's own library reads it."""

from huggingface_hub import ModelCard as HubCard

from tuillm.store.card import ModelCard
from tuillm.store.export_folder import export_model
from tuillm.store.model_card import README, model_readme
from tuillm.store.registry import get_model, read_model_entry


def test_the_hub_reads_it(model, tmp_path):
    """Exported, a model has a README.md whose front matter the hub understands."""
    export_model(model, tmp_path / "out")
    card = HubCard.load(tmp_path / "out" / README)
    assert (card.data.library_name, card.data.pipeline_tag) == ("transformers", "text-generation")
    assert "gpt2" in card.data.tags
    facts = get_model(model).card
    assert f"{facts.parameters:,}" in card.text and f"{facts.bits_per_byte:.4f}" in card.text
    assert "trained from scratch" in card.text and "AutoModelForCausalLM" in card.text
    assert "book.txt" in card.text and "held-out" in card.text


def test_a_card_of_its_own_is_kept(model, home, tmp_path):
    """A README.md that came with a model goes out as it came."""
    (home / "models" / "book" / README).write_text("theirs")
    export_model(model, tmp_path / "out")
    assert (tmp_path / "out" / README).read_text() == "theirs"


def test_what_is_not_known_is_not_said(add_model):
    """No figure is made up: a bare model gets no line for a loss, a text or a parent."""
    text = model_readme(read_model_entry(add_model("bare")))
    unknown = ("None", "loss", "bits", "fine-tuned from", "sha256", "steps")
    assert not [word for word in unknown if word in text]


def test_what_was_learned_by_heart_is_said(add_model):
    """Losses of the training text itself are told as that; the parent and the form too."""
    path = add_model(
        "heart",
        origin="fine-tuned",
        parent="gpt2",
        val_loss=0.1,
        held_out=False,
        template="Q: {question}\nA: {answer}",
        stop=("\nQ:",),
        mode="qa",
    )
    text = model_readme(read_model_entry(path))
    assert "none was held out" in text and "| fine-tuned from | gpt2 |" in text
    assert "    Q: {question}\n    A: {answer}" in text and r"`'\nQ:'`" in text


def test_names_cannot_break_out(add_model):
    """What stands in a card stays in its cell."""
    card = ModelCard(corpus="a|b\n\n# c")
    path = add_model("odd", **card.model_dump(exclude_defaults=True))
    assert "| a\\|b # c" in model_readme(read_model_entry(path))
