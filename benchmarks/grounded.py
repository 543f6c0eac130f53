"""What the form of grounded text saves: forced tokens, and few rows of the head inside <object>.

    python benchmarks/grounded.py FOLDER [--precision int8] [--rounds 5]

Replays the published example of Kosmos-2 ("a snowman warming himself by a fire") on a checkpoint
of the real size: once as plain decoding would (a pass and the whole head for each token), once as
the engine does it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np

import full_size
import machine
from kosmoscope.engine.choice import score_rows
from kosmoscope.engine.core import Engine
from kosmoscope.engine.pack import Feed
from kosmoscope.grammar import Grammar
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.prompts import describe_prompt
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.store.convert import convert, open_converted

TEXT = (
    "<phrase> a snowman</phrase><object><patch_index_0044><patch_index_0863></object> warming"
    " himself by<phrase> a fire</phrase><object><patch_index_0005><patch_index_0911></object>."
)


def replay(scope: Scope, picture: EncodedImage, clever: bool) -> tuple[float, int, int]:
    """Return seconds, passes and rows of the head computed."""
    engine: Engine = scope.engine
    compiled = describe_prompt(picture).compile(scope.tokenizer, engine.slot_ids)
    ids = [*scope.tokenizer.encode_tagged(TEXT), engine.tokens.eos]
    grammar = Grammar(engine.tokens)
    state = grammar.state_after(compiled.ids)
    pack = engine.pack(len(compiled.ids) + len(ids))
    known, prefix = len(engine.prefix_ids), picture.state.prefix
    assert prefix is not None
    slots = pack.arena.place(prefix.keys, prefix.values)
    pending, head_rows, done = list(compiled.ids[known:]), 0, known
    began = time.perf_counter()
    for n, token in enumerate(ids):
        if clever and grammar.forced(state) is not None:
            pending.append(token)
        else:
            rows = engine.embed(tuple(pending), done)
            hidden, (slots,) = pack.forward([Feed(slots, rows)])
            done += len(pending)
            (scores,) = score_rows(engine, hidden, [(grammar, state) if clever else None])
            head_rows += len(scores.logits)
            np.argmax(scores.logits)
            pending = [token]
        following = grammar.advance(state, token)
        assert following is not None or n == len(ids) - 1
        state = following or state
    return time.perf_counter() - began, pack.passes, head_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    source = full_size.ensure(args.folder)
    target = args.folder / args.precision
    if not (target / "kosmoscope.json").exists():
        convert(KOSMOS2, source, target, args.precision)
    scope = Scope(open_converted(KOSMOS2, target), threads=os.cpu_count())
    picture = scope.encode(full_size.photo())
    print(machine.describe())
    found: dict[bool, list[tuple[float, int, int]]] = {False: [], True: []}
    for _ in range(args.rounds):
        for clever in (False, True):
            found[clever].append(replay(scope, picture, clever))
    for clever, label in ((False, "plain"), (True, "with the grammar")):
        seconds = statistics.median(s for s, _, _ in found[clever])
        _, passes, rows = found[clever][0]
        print(f"{label:18s} {seconds:.3f} s, {passes} passes, {rows:,} rows of the head")
    ratio = statistics.median(a[0] / b[0] for a, b in zip(found[False], found[True], strict=True))
    print(f"saves {1 - 1 / ratio:.0%} of the time ({ratio:.2f}x)")


if __name__ == "__main__":
    main()
