"""The one generator at the core: prompts in, tokens out as they come; a batch of a closed list."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from kosmoscope.engine.batch import Batch
from kosmoscope.engine.batch import Clock as Clock
from kosmoscope.engine.batch import Request as Request
from kosmoscope.engine.branch import Token
from kosmoscope.engine.core import Engine


def generate(
    engine: Engine, requests: Sequence[Request], clock: Clock | None = None
) -> Generator[Token, None, None]:
    """Generate all requests together; tokens of different requests interleave.

    Closing the generator stops the work after the pass under way.

    Args:
        engine: the model.
        requests: of any pictures, prompts and options.
        clock: filled with what it cost.

    Raises:
        PromptError: a prompt is too long or its picture was encoded by another model.
    """
    waiting = list(requests)
    del requests
    together = [r for r in waiting if r.options.num_beams == 1]
    batch = Batch(engine, sum(len(r.prompt.ids) + 32 for r in together), clock)
    del together
    # Taken out one by one: where nobody else holds a picture, its keys and values are free before
    # the next one's are copied.
    waiting.reverse()
    while waiting:
        batch.insert(waiting.pop())
    while batch:
        yield from batch.step()
