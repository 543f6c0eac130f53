"""What a server may be told."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from pathlib import Path

from kosmoscope.errors import OptionError
from kosmoscope.server.fetching import is_origin

PORT = 8428


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a server listens, and what its clients may cost.

    Raises:
        OptionError: a value out of its range.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    """0 takes a free one."""
    token: str | None = None
    """What every request has to bring, but for `/health`; None asks for nothing."""
    texts: int = 8
    """Texts under way at once."""
    queue: int = 32
    """Requests that wait beside them; one more is refused."""
    timeout: float = 300.0
    """Seconds from a request to the end of its answer."""
    cache_mb: int = 512
    """Encoded pictures that are kept, with their files."""
    max_body_mb: int = 32
    """A request's body, and a picture's file."""
    allow_urls: bool = False
    """Fetch pictures from public addresses."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call, such as "http://localhost:3000"."""
    label_studio_url: str | None = None
    """Where Label Studio is, whose pictures are fetched from there."""
    label_studio_key: str | None = None
    """What it knows us by."""
    segmenter: str = "classical"
    """What makes the masks that Label Studio is sent."""
    results: Path | None = None
    """A folder of results with an index, which `/api/v1/search` asks."""

    def __post_init__(self) -> None:
        ranges = {
            "port": (0, 65535), "texts": (1, 256), "queue": (0, 100_000),
            "cache_mb": (0, 2**20), "max_body_mb": (1, 2**12),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise OptionError(f"{name} is {value!r}; expected a whole number, {low} to {high}")
        if not (math.isfinite(self.timeout) and 0 < self.timeout <= 86_400):
            raise OptionError(f"timeout is {self.timeout!r}; expected seconds, up to 86400")
        for name in ("token", "label_studio_key"):
            secret: str | None = getattr(self, name)
            if secret is not None and not (secret.isascii() and secret.isprintable()):
                raise OptionError(f"{name}: expected printable ASCII characters")
            if secret is not None and (not secret or " " in secret):
                raise OptionError(f"{name}: expected at least one character, and no space")
        if self.label_studio_url is not None and not is_origin(self.label_studio_url):
            raise OptionError(
                f"label_studio_url is {self.label_studio_url!r}; expected an address such as "
                "http://localhost:8080"
            )

    @property
    def is_local(self) -> bool:
        """Nobody but this machine can reach the host."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
