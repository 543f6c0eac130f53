"""The server that one would write in an afternoon: FastAPI, the same engine, and a lock around it.

    python benchmarks/server_locked.py MODEL PORT

What benchmarks/server.py measures beside `kosmoscope serve`.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, File, Form

import kosmoscope


def application(model: str) -> FastAPI:
    """Return it, with the model loaded."""
    app = FastAPI()
    scope = kosmoscope.load(model)
    lock = threading.Lock()

    @app.post("/api/v1/describe")
    def describe(
        image: Annotated[bytes, File()],
        prompt: Annotated[str, Form()] = "brief",
        options: Annotated[str, Form()] = "{}",
    ) -> dict[str, Any]:
        with lock:
            return scope.describe(image, prompt=prompt, **json.loads(options)).to_dict()

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1]), port=int(sys.argv[2]), log_level="error")
