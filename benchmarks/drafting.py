"""How many tokens a pass gives where likely ones ride along (kosmoscope/engine/drafts.py).

    python benchmarks/drafting.py [--captions FILE] [--pictures FILE ...] [--folder FOLDER]

Captions (one a line, plain or gzip): replayed as if a model wrote them, after so many others that
it wrote before. Pictures: described by the packaged model, briefly and in detail, one after the
other, with guesses and without; the texts must be the same, token for token, score for score.
With a folder (see full_size.py) the captions also go through a model of Kosmos-2's size, pass by
pass, with guesses and without, in turn: the time that they save.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import full_size
import kosmoscope
import machine
from kosmoscope.engine.drafts import BUDGETS, Budget, Drafts
from kosmoscope.engine.pack import Feed
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.scope import Scope
from kosmoscope.store.convert import convert, open_converted

REPLAYED = 600
WARM = (0, 1_000, 10_000)
BUDGET = BUDGETS["int8"]
LEAST = (0.1, 0.2, 0.3, 0.5)


def passes_of(ids: Sequence[int], drafts: Drafts, budget: Budget) -> list[tuple[int, int]]:
    """Return for each pass the tokens that it reads before guesses come, and the guesses."""
    found, done = [], 0
    while done < len(ids):
        history, guesses, sure = list(ids[:done]), [], 1.0
        while len(guesses) < budget.rows - 1:
            likely = drafts.likely(history)
            if likely is None or (sure := sure * likely[1]) < budget.least:
                break
            guesses.append(likely[0])
            history.append(likely[0])
        found.append((done, len(guesses)))
        right = 0
        while right < len(guesses) and ids[done : done + right + 1] == tuple(guesses[: right + 1]):
            right += 1
        done += right + 1
    return found


def replay(texts: Sequence[tuple[int, ...]], drafts: Drafts, budget: Budget) -> tuple[float, float]:
    """Return tokens a pass and rows a pass over texts that are learned one after the other."""
    tokens = passes = rows = 0
    for ids in texts:
        made = passes_of(ids, drafts, budget)
        tokens += len(ids)
        passes += len(made)
        rows += sum(1 + guesses for _, guesses in made)
        drafts.learn(ids)
    return tokens / passes, rows / passes


def texts_of(scope: Scope, path: Path, count: int) -> list[tuple[int, ...]]:
    """Return so many of a file's lines as token ids, shuffled, always the same way."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    random.Random(0).shuffle(lines)
    return [tuple(scope.tokenizer.encode(" " + line)) for line in lines[:count]]


def captions(scope: Scope, path: Path) -> None:
    texts = texts_of(scope, path, REPLAYED + max(WARM))
    print(f"\n{REPLAYED} captions: tokens a pass (rows a pass), by the least likelihood of a guess")
    print(" " * 14 + "".join(f"{least:>16}" for least in LEAST))
    for warm in WARM:
        cells = []
        for least in LEAST:
            drafts = Drafts(scope.tokenizer.tokens)
            for ids in texts[REPLAYED : REPLAYED + warm]:
                drafts.learn(ids)
            found = replay(texts[:REPLAYED], drafts, Budget(BUDGET.rows, least))
            cells.append(f"{found[0]:10.2f} ({found[1]:.2f})")
        print(f"{warm:>8} before" + "".join(cells), flush=True)


def pictures(scope: Scope, paths: Sequence[Path]) -> None:
    kept = scope.engine.drafts, scope.engine.budget
    encoded = [scope.encode(path) for path in paths]
    for prompt in ("brief", "detailed"):
        seconds: dict[bool, float] = {False: 0.0, True: 0.0}
        counts: dict[bool, list[int]] = {False: [0, 0], True: [0, 0]}
        scope.engine.drafts = Drafts(scope.tokenizer.tokens)
        for picture in encoded:
            said = []
            for guessing in (False, True):
                scope.engine.budget = BUDGET if guessing else None
                began = time.perf_counter()
                said.append(scope.describe(picture, prompt))
                seconds[guessing] += time.perf_counter() - began
                counts[guessing][0] += said[-1].timing.new_tokens
                counts[guessing][1] += said[-1].timing.passes
            assert said[0].token_ids == said[1].token_ids
            assert said[0].entities == said[1].entities
        plain, guessed = (tokens / passes for tokens, passes in (counts[False], counts[True]))
        print(
            f"{prompt}: {plain:.2f} tokens a pass without guesses, {guessed:.2f} with; "
            f"{seconds[False] / seconds[True]:.2f}x as fast"
        )
    scope.engine.drafts, scope.engine.budget = kept


def full(folder: Path, path: Path, count: int) -> None:
    source, target = full_size.ensure(folder), folder / "int8"
    if not (target / "kosmoscope.json").exists():
        convert(KOSMOS2, source, target, "int8")
    scope = Scope(open_converted(KOSMOS2, target), threads=os.cpu_count())
    engine: Any = scope.engine
    pocket = kosmoscope.load("pocket")
    texts = texts_of(pocket, path, count + 5_000)
    drafts = Drafts(pocket.tokenizer.tokens)
    for ids in texts[count:]:
        drafts.learn(ids)
    picture = scope.encode(full_size.photo())
    ratios, tokens, passes = [], 0, 0
    for ids in texts[:count]:
        spent = []
        made = passes_of(ids, drafts, BUDGET)
        for plan in ([(n, 0) for n in range(len(ids))], made):
            pack = engine.pack(256)
            slots = pack.arena.place(picture.state.prefix.keys, picture.state.prefix.values)
            rows = engine.embed((0, *ids, *([0] * BUDGET.rows)), len(slots))
            began = time.perf_counter()
            for at, guesses in plan:
                first = int(slots[-1]) + 1 - len(engine.prefix_ids)
                feed = Feed(slots, rows[first : at + 1 + guesses], 1 + guesses)
                hidden, (seen,) = pack.forward([feed])
                np.argmax(engine.logits(hidden), axis=1)
                slots = seen[: len(seen) - guesses]
                pack.arena.used = len(slots)
            spent.append(time.perf_counter() - began)
        ratios.append(spent[0] / spent[1])
        tokens, passes = tokens + len(ids), passes + len(made)
    print(
        f"\nat Kosmos-2's size, {count} captions after 5,000 others: {tokens / passes:.2f} tokens "
        f"a pass, {statistics.median(ratios):.2f}x as fast (median of texts)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--pictures", type=Path, nargs="*", default=[])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--count", type=int, default=30, help="captions at full size")
    args = parser.parse_args()
    print(machine.describe())
    scope = kosmoscope.load("pocket")
    if args.captions:
        captions(scope, args.captions)
    if args.pictures:
        print(f"\n{len(args.pictures)} pictures, described by pocket")
        pictures(scope, args.pictures)
    if args.folder and args.captions:
        full(args.folder, args.captions, args.count)


if __name__ == "__main__":
    main()
