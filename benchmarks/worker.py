"""One engine in one process, told what to do line by line on standard input.

    python benchmarks/worker.py transformers|int8|int4|fp32 FOLDER THREADS

Each line is a task as JSON; each answer is {"seconds": ...} or {"peak_gb": ...}.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import full_size
import machine

QUESTIONS = [
    "What is this?",
    "Where was it taken?",
    "How many people are there?",
    "What colour is the sky?",
    "Is there a dog?",
    "What time of day is it?",
    "What is in front?",
    "Is it raining?",
    "What is the weather like?",
    "What stands behind?",
]


class Ours:
    """kosmoscope at one precision."""

    def __init__(self, precision: str, folder: Path, threads: int) -> None:
        from kosmoscope.model.kind import KOSMOS2
        from kosmoscope.scope import Scope
        from kosmoscope.store.convert import convert, open_converted

        target = folder / precision
        if not (target / "kosmoscope.json").exists():
            convert(KOSMOS2, folder / "source", target, precision)  # type: ignore[arg-type]
        began = time.perf_counter()
        self.scope = Scope(open_converted(KOSMOS2, target), threads=threads)
        self.scope.engine.budget = (
            None  # random weights always say the same: guesses would be right
        )
        self.load_seconds = time.perf_counter() - began

    def generate(self, count: int, batch: int) -> None:
        from kosmoscope.prompts import describe_prompt

        prompts = [describe_prompt(full_size.photo()) for _ in range(batch)]
        self._complete(prompts, count)

    def questions(self, count: int) -> None:
        from kosmoscope.prompts import ask_prompt

        picture = self.scope.encode(full_size.photo())
        self._complete([ask_prompt(picture, q) for q in QUESTIONS], count)

    def vision(self) -> None:
        import numpy as np

        size = self.scope.pixel_spec.size_wh[0]
        self.scope.engine.look(np.zeros((3, size, size), np.float32))

    def _complete(self, prompts: Any, count: int) -> None:
        found = self.scope.complete(
            prompts, max_new_tokens=count, min_new_tokens=count, constrained=False
        )
        assert all(len(d.token_ids) == count for d in found)


class Theirs:
    """transformers at fp32, as its documentation has it."""

    def __init__(self, folder: Path, threads: int) -> None:
        import torch
        from transformers import (
            Kosmos2ForConditionalGeneration,
            Kosmos2Processor,
            XLMRobertaTokenizer,
        )
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        source = folder / "source"
        began = time.perf_counter()
        self.model = Kosmos2ForConditionalGeneration.from_pretrained(source).eval()
        self.processor = Kosmos2Processor(
            CLIPImageProcessorPil.from_pretrained(source),
            XLMRobertaTokenizer.from_pretrained(source),
        )
        self.load_seconds = time.perf_counter() - began

    def generate(self, count: int, batch: int) -> None:
        self._run([full_size.PROMPT] * batch, count)

    def questions(self, count: int) -> None:
        # One after the other: a padded batch of prompts of different lengths is wrong in
        # transformers 5.23 (positions count the pads), and a picture's part cannot be shared.
        for question in QUESTIONS:
            self._run([f"<grounding> Question: {question} Answer:"], count)

    def vision(self) -> None:
        import torch

        self.model.vision_model(torch.zeros(1, 3, 224, 224))

    def _run(self, prompts: list[str], count: int) -> None:
        images = [full_size.photo() for _ in prompts]
        inputs = self.processor(text=prompts, images=images, return_tensors="pt")
        ids = self.model.generate(
            pixel_values=inputs["pixel_values"],
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            image_embeds_position_mask=inputs["image_embeds_position_mask"],
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
        )
        assert ids.shape[1] == inputs["input_ids"].shape[1] + count


def main() -> None:
    kind, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    engine: Any = Theirs(folder, threads) if kind == "transformers" else Ours(kind, folder, threads)
    print(json.dumps({"load": engine.load_seconds}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        name = task.pop("task")
        if name == "peak":
            print(json.dumps({"peak_gb": machine.peak_gb()}), flush=True)
            continue
        began = time.perf_counter()
        getattr(engine, name)(**task)
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    main()
