"""No run twice: what the model's files say, what a caller says, and what it means for boxes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import checkpoints
import small_models as small
from checkpoints import PROMPTS, Made
from cli_runner import POCKET, one_error, results, run
from kosmoscope.batch import FolderMismatchError, Task, run_batch
from kosmoscope.engine.choice import forbidden_repeats
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import CheckpointError
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.prompts import Prompt
from kosmoscope.scope import Scope, load
from kosmoscope.store.convert import convert, open_converted

NO_REPEAT = "no_repeat_ngram_size"


def transformers_4(**changes: Any) -> dict[str, Any]:
    """Return what transformers 4 wrote into the sections of a config.json: every default."""
    return {
        "_name_or_path": "", "add_cross_attention": False, "architectures": None,
        "bad_words_ids": None, "begin_suppress_tokens": None, "bos_token_id": None,
        "chunk_size_feed_forward": 0, "cross_attention_hidden_size": None,
        "decoder_start_token_id": None, "diversity_penalty": 0.0, "do_sample": False,
        "early_stopping": False, "encoder_no_repeat_ngram_size": 0, "eos_token_id": None,
        "exponential_decay_length_penalty": None, "finetuning_task": None,
        "forced_bos_token_id": None, "forced_eos_token_id": None,
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "is_decoder": False,
        "is_encoder_decoder": False, "label2id": {"LABEL_0": 0, "LABEL_1": 1},
        "length_penalty": 1.0, "max_length": 20, "min_length": 0, NO_REPEAT: 0,
        "num_beam_groups": 1, "num_beams": 1, "num_return_sequences": 1,
        "output_attentions": False, "output_hidden_states": False,
        "output_scores": False, "pad_token_id": None, "prefix": None, "problem_type": None,
        "pruned_heads": {}, "remove_invalid_values": False, "repetition_penalty": 1.0,
        "return_dict": True, "return_dict_in_generate": False, "sep_token_id": None,
        "suppress_tokens": None, "task_specific_params": None, "temperature": 1.0,
        "tf_legacy_loss": False, "tie_encoder_decoder": False, "tie_word_embeddings": True,
        "tokenizer_class": None, "top_k": 50, "top_p": 1.0, "torch_dtype": None,
        "torchscript": False, "typical_p": 1.0, "use_bfloat16": False, **changes,
    }  # fmt: skip


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    file = folder / "config.json"
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkpoint whose files say nothing of repeats."""
    return small.copy_of(small.made().folder, tmp_path / "source")


def says(folder: Path, name: str = "out") -> int:
    return convert(KOSMOS2, folder, folder.parent / name, "fp32").no_repeat_ngram_size


# The files


def test_a_config_as_transformers_4_wrote_the_released_one(source: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        for section, more in (("text_config", {NO_REPEAT: 3}), ("vision_config", {})):
            config[section] = transformers_4() | config[section] | more
        config["torch_dtype"] = "float32"
        config["transformers_version"] = "4.36.0.dev0"

    assert says(edited(source, change)) == 3


def test_generation_config_goes_before_config(source: Path) -> None:
    assert says(source, "neither") == 0
    edited(source, lambda c: c["text_config"].update({NO_REPEAT: 3}))
    assert says(source, "config") == 3
    file = source / "generation_config.json"
    says_nothing: list[dict[str, Any]] = [{"eos_token_id": 2}, {NO_REPEAT: None}]
    for n, (data, wanted) in enumerate(
        [*((d, 3) for d in says_nothing), ({NO_REPEAT: 0}, 0), ({NO_REPEAT: 5}, 5)]
    ):
        file.write_text(json.dumps(data))
        assert says(source, f"generation {n}") == wanted
    # What is at the top of config.json is the whole model's, which does not generate.
    file.unlink()
    assert says(edited(source, lambda c: c.update({NO_REPEAT: 7})), "top") == 3


@pytest.mark.parametrize("value", [-1, 1025, 2.0, True, "3", [3]], ids=str)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_nonsense_in_the_files_is_refused(source: Path, name: str, value: Any) -> None:
    if name == "config.json":
        edited(source, lambda c: c["text_config"].update({NO_REPEAT: value}))
    else:
        (source / name).write_text(json.dumps({NO_REPEAT: value}))
    words = f"{source / name}: {NO_REPEAT} is {value!r}; expected a whole number from 0 to 1024"
    for attempt in (lambda: says(source), lambda: load(source, "fp32", threads=1)):
        with pytest.raises(CheckpointError) as caught:
            attempt()
        assert str(caught.value) == words


def test_a_conversion_carries_it(source: Path, tmp_path: Path) -> None:
    edited(source, lambda c: c["text_config"].update({NO_REPEAT: 3}))
    convert(KOSMOS2, source, tmp_path / "int8", "int8")
    scope = load((tmp_path / "int8").rename(tmp_path / "moved"), threads=1)
    assert scope.engine.no_repeat_ngram_size == 3
    assert scope.settled(GenerationOptions()).no_repeat_ngram_size == 3
    assert scope.settled(GenerationOptions(no_repeat_ngram_size=0)).no_repeat_ngram_size == 0


def test_pocket_says_nothing() -> None:
    assert load("pocket", threads=1).engine.no_repeat_ngram_size == 0


# Unconstrained: transformers' processor, which transformers 5 has to be told of


@pytest.fixture(scope="module", params=["base", "deep"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """transformers' model and ours, of a checkpoint that says 3."""
    root = tmp_path_factory.mktemp("three")
    made = small.made(request.param)
    folder = small.copy_of(made.folder, root / "source")
    edited(folder, lambda c: c["text_config"].update({NO_REPEAT: 3}))
    scope = Scope(convert(KOSMOS2, folder, root / "fp32", "fp32"), threads=1)
    return Made(folder, made.shape), scope


@pytest.mark.parametrize("beams", [1, 3])
def test_unconstrained_the_default_is_transformers_option(pair: Any, beams: int) -> None:
    made, scope = pair
    differ = 0
    for name, text in PROMPTS.items():
        image = checkpoints.picture(4)
        prompt = [Prompt().image(image).tagged(text)]
        three = made.generate(text, image, 32, num_beams=beams, no_repeat_ngram_size=3)
        free = made.generate(text, image, 32, num_beams=beams)  # the file is not read there
        for given, theirs in (({}, three), ({NO_REPEAT: 3}, three), ({NO_REPEAT: 0}, free)):
            (ours,) = scope.complete(
                prompt, constrained=False, max_new_tokens=32, num_beams=beams, **given
            )
            assert list(ours.token_ids) == theirs, (name, given)
        differ += free != three
    assert differ, "a text without repeats shows nothing"


# Constrained: of words only


def words_of(scope: Scope, ids: Sequence[int]) -> list[int]:
    return [i for i in ids if scope.tokenizer.tokens.is_text(i)]


def runs(ids: Sequence[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(ids[n : n + size]) for n in range(len(ids) - size + 1)]


def parrot() -> Scope:
    """Return a model that says one phrase with one box for ever: the same scores at each step."""
    model = small.scope()
    engine, other, tokens = copy.copy(model.engine), copy.copy(model), model.tokenizer.tokens
    scores = np.zeros(tokens.vocab_size, np.float32)
    wishes = [tokens.phrase_open, tokens.phrase_close, tokens.object_close, *WORDS,
              tokens.location_id(37), tokens.location_id(740)]  # fmt: skip
    scores[wishes] = np.arange(3 * len(wishes), 0, -3)
    first, last = tokens.first_location, tokens.first_location + tokens.location_count
    structure = [*scores[first:last], scores[tokens.object_close], scores[tokens.delimiter]]
    engine.logits = lambda hidden: np.tile(scores, (len(hidden), 1))  # type: ignore[method-assign]
    engine.structure_logits = lambda hidden: np.tile(  # type: ignore[method-assign]
        np.array(structure, np.float32), (len(hidden), 1)
    )
    other.engine = engine
    return other


WORDS = (70, 71, 72, 73)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("beams", [1, 2])
def test_no_run_of_words_comes_twice_and_boxes_may(size: int, beams: int) -> None:
    scope = parrot()
    tokens = scope.tokenizer.tokens
    prompt = [small.tagged_prompt(small.encoded(), "brief")]

    def said(**options: Any) -> tuple[int, ...]:
        return scope.complete(prompt, max_new_tokens=60, num_beams=beams, **options)[0].token_ids

    entity = (
        tokens.phrase_open, WORDS[0], tokens.phrase_close, tokens.object_open,
        tokens.location_id(37), tokens.location_id(37), tokens.object_close,
    )  # fmt: skip
    free, ids = said(), said(no_repeat_ngram_size=size)
    assert free == (entity * 9)[:60]
    words = words_of(scope, ids)
    assert words[0] == WORDS[0]
    assert len(words) > 6
    assert len(set(runs(words, size))) == len(runs(words, size))
    # The same box, phrase by phrase, in the same tags.
    assert runs(ids, 4).count(entity[3:]) > 4
    raw = said(no_repeat_ngram_size=size, constrained=False)
    assert len(set(runs(raw, size))) == len(runs(raw, size)), "unconstrained, of all tokens"


def test_what_is_forbidden_after_what() -> None:
    scope = small.talkative()
    t, engine = scope.tokenizer.tokens, scope.engine
    a, dog, cat, box = 70, 71, 72, [t.object_open, t.location_id(3), t.location_id(99)]
    said = [t.phrase_open, a, dog, t.phrase_close, *box, t.object_close]
    options = GenerationOptions(no_repeat_ngram_size=3)

    def after(*ids: int, words_only: bool = True) -> set[int]:
        return set(forbidden_repeats(engine, options, ids, words_only=words_only))

    # Tags neither part a run of words nor are part of one.
    assert after(*said, cat, *said[:2]) == set()
    assert after(*said, cat, *said, cat, t.phrase_open, a) == {dog}
    assert after(*said, cat, *said, cat, a) == {dog}
    assert after(*said, *box) == set()
    # transformers' option counts all tokens: here it wants another box.
    assert after(*said, *box[:2], words_only=False) == {box[2]}
    assert after(*said, cat, *said, cat, t.phrase_open, a, words_only=False) == {dog}
    # A picture's slots hold words that nobody said.
    slots = [t.bos, t.image_open, *engine.slot_ids, t.image_close]
    one, two, three = engine.slot_ids[:3]
    assert after(*slots, one, two) == set()
    assert after(*slots, one, two, words_only=False) == {three}
    assert after(*slots, one, two, three, *slots, one, two) == {three}


# Commands and folders


def test_the_command_line(photos: Path, tmp_path: Path) -> None:
    hills = photos / "aitzgorri_by_Aitzol_Berasategi.jpg"
    told = [*POCKET, hills, "-f", "json", "-n", "40", "--prompt", "detailed"]
    (plain,), (off,) = (
        results(run("describe", *told, *more).stdout) for more in ((), ("--no-repeat-ngram", "0"))
    )
    assert plain.token_ids == off.token_ids  # pocket's files say nothing
    (single,) = results(run("describe", *told, "--no-repeat-ngram", "1").stdout)
    scope = load("pocket", threads=1)
    said = words_of(scope, single.token_ids)
    assert len(set(said)) == len(said)
    assert len(single.token_ids) > len(set(single.token_ids)), "tags repeat"
    error = one_error(run("describe", "x", "--no-repeat-ngram", "2000"), 2)
    assert error == "--no-repeat-ngram is 2000; expected a whole number, 0 to 1024"


def test_a_folder_says_what_held(pair: Any, photos: Path, tmp_path: Path) -> None:
    _, three = pair
    quiet = small.scope()
    photo, out = [photos / "china.jpg"], tmp_path / "out"

    def again(scope: Scope, folder: Path = out, **changes: Any) -> int:
        chosen = GenerationOptions(max_new_tokens=4, **changes)
        return run_batch(scope, photo, [Task.describe()], folder, chosen).described

    assert again(three) == 1
    assert json.loads((out / "run.json").read_text())["options"][NO_REPEAT] == 3
    assert (again(three), again(three, no_repeat_ngram_size=3)) == (0, 0)
    with pytest.raises(FolderMismatchError, match=f"{NO_REPEAT} was 3, is now 0"):
        again(three, no_repeat_ngram_size=0)
    # As older versions wrote it: off, whatever the model's files said.
    old = tmp_path / "old"
    assert again(quiet, old) == 1
    assert json.loads((old / "run.json").read_text())["options"][NO_REPEAT] == 0
    assert again(quiet, old) == 0
    assert again(three, tmp_path / "off", no_repeat_ngram_size=0) == 1
    with pytest.raises(FolderMismatchError, match=f"{NO_REPEAT} was 0, is now 3"):
        again(three, tmp_path / "off")


def test_converted_folders_of_before_have_it_too(source: Path) -> None:
    """The value is read from the copies of the files, not from the manifest."""
    edited(source, lambda c: c["text_config"].update({NO_REPEAT: 3}))
    folder = convert(KOSMOS2, source, source.parent / "out", "fp32").folder
    assert NO_REPEAT not in (folder / "kosmoscope.json").read_text()
    assert open_converted(KOSMOS2, folder).no_repeat_ngram_size == 3
