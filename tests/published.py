"""A tiny checkpoint that was taught two texts by heart, and what transformers publishes of it.

Random weights say nothing that has the form of grounded text. Here the texts of two prompts about
one picture are learned until greedy decoding says them, so that the published results of the
large model have a small likeness: ids, scores, captions and boxes, all by transformers.
"""

from __future__ import annotations

import atexit
import functools
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import checkpoints
from checkpoints import SHAPES, Made
from kosmoscope.tokens import Tokenizer

PICTURE = "snowman.png"
SIZE = 3
TEXTS = {
    "<grounding>An image of": (
        "<phrase> a snowman</phrase><object><patch_index_0044><patch_index_0863></object> warming "
        "himself by<phrase> a fire</phrase><object><patch_index_0005><patch_index_0911></object>."
    ),
    "<grounding>Describe this image in detail:": (
        "<phrase> two dog</phrase><object><patch_index_0079><patch_index_1016>"
        "</delimiter_of_multi_objects/><patch_index_0135><patch_index_1008></object> and<phrase> a "
        "red tree</phrase><object><patch_index_0480><patch_index_1023></object> in the forest."
    ),
}
_TOKENIZED = (
    "<grounding> a dog in a forest.",
    "<grounding> <phrase> two dog </phrase> <object> <patch_index_0079> <patch_index_1016> "
    "</delimiter_of_multi_objects/> <patch_index_0135> <patch_index_1008> </object> in a forest.",
)


def picture() -> Image.Image:
    """Return the picture as transformers' test opens it: saved as JPEG once."""
    saved = io.BytesIO()
    checkpoints.picture(5, (120, 90)).save(saved, "JPEG")
    return Image.open(saved)


@functools.cache
def taught() -> Made:
    """Return the checkpoint, with the picture beside it. Shared: never write into its folder."""
    root = Path(tempfile.mkdtemp(prefix="kosmoscope-taught-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    made = checkpoints.make(root / "taught", SHAPES[0], seed=3)
    config = made.folder / "config.json"
    data = json.loads(config.read_text())
    data["text_config"]["no_repeat_ngram_size"] = SIZE
    config.write_text(json.dumps(data))
    tokenizer = Tokenizer.from_file(made.folder / "tokenizer.json")
    lessons = []
    for prompt, text in TEXTS.items():
        inputs = made.inputs(prompt, picture())
        ids = torch.tensor([[*tokenizer.encode_tagged(text), 2]])
        lessons.append((inputs, ids))
    model = made.model
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(400):
        loss = torch.zeros(())
        for inputs, ids in lessons:
            length = inputs["input_ids"].shape[1]
            whole = torch.cat([inputs["input_ids"], ids], 1)
            places = torch.nn.functional.pad(
                inputs["image_embeds_position_mask"], (0, ids.shape[1])
            )
            logits = model(
                pixel_values=inputs["pixel_values"],
                input_ids=whole,
                attention_mask=torch.ones_like(whole),
                image_embeds_position_mask=places,
            ).logits
            loss = loss + torch.nn.functional.cross_entropy(logits[0, length - 1 : -1], ids[0])
        if loss.item() < 0.05:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(made.folder)
    config.write_text(json.dumps(data))  # as transformers 4 wrote it
    checkpoints.picture(5, (120, 90)).save(made.folder / PICTURE)
    return Made(made.folder, made.shape)


@functools.cache
def _goldens() -> str:
    made = taught()
    texts = []
    for prompt in TEXTS:
        inputs = made.inputs(prompt, picture())
        length = inputs["input_ids"].shape[1]
        with torch.no_grad():
            found = made.model.generate(
                **inputs, max_new_tokens=64, do_sample=False, no_repeat_ngram_size=SIZE,
                output_scores=True, return_dict_in_generate=True,
            )  # fmt: skip
        (text,) = made.processor.batch_decode(found.sequences, skip_special_tokens=True)
        caption, entities = made.processor.post_process_generation(text)
        ids = found.sequences[0].tolist()
        scores = torch.cat(found.scores)
        count, vocabulary = scores.shape
        prefix = ids.index(_picture_close(made)) + 1
        texts.append({
            "prompt": prompt,
            "prompt_ids": ids[prefix:length],
            "ids": ids[length:],
            "caption": caption,
            "entities": [{"phrase": p, "span": s, "boxes": b} for p, s, b in entities],
            "logits": [
                {"token": token, "first_id": first, "values": scores[token, first:][:3].tolist()}
                for token, first in [(1, 0), (2, 0), (3, 0),
                                     *((count - n, vocabulary - 3) for n in (3, 2, 1))]
            ],
        })  # fmt: skip
    return json.dumps({
        "format": 1,
        "source": "transformers, of a checkpoint that was made for this test",
        "picture": PICTURE,
        "max_new_tokens": 64,
        "no_repeat_ngram_size": SIZE,
        "prefix_ids": ids[:prefix],
        "tokenized": [
            {"text": t, "ids": made.processor.tokenizer(t)["input_ids"]} for t in _TOKENIZED
        ],
        "texts": texts,
    })  # fmt: skip


def _picture_close(made: Made) -> int:
    """Return the id of ``</image>``."""
    return int(made.processor.tokenizer.convert_tokens_to_ids("</image>"))


def goldens() -> dict[str, Any]:
    """Return what transformers publishes of the checkpoint; a copy, to be changed."""
    data: dict[str, Any] = json.loads(_goldens())
    return data
