"""What every test shares: no network, no user's cache, no transformers chatter."""

from __future__ import annotations

import os

# Before any hub library is imported.
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# Before NumPy and torch are: products of small matrices only lose by threads, and on a busy
# machine, where one waits for another that does not run, they lose a hundredfold.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
# What one test lets a model say should not be what the next begins with.
os.environ["KOSMOSCOPE_DRAFTS"] = "0"

import ctypes
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["gallery_tab", "server_process", "page_tab", "refusals"]

# No example has a time limit: a busy machine is no failure.
hypothesis.settings.register_profile(
    "kosmoscope", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("kosmoscope")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing is skipped: what a test needs is there, or the test has failed."""
    report = yield
    if report.skipped and os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(autouse=True, scope="session")
def _isolated_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep conversions out of the user's cache, and the user's models out of the tests."""
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("home")
    patch.setenv("KOSMOSCOPE_HOME", str(root / "kosmoscope"))
    patch.setenv("HF_HOME", str(root / "hub"))
    patch.delenv("HF_HUB_CACHE", raising=False)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def photos() -> Path:
    """The sample photos' folder."""
    return Path(__file__).parent.parent / "examples" / "photos"


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


@pytest.fixture
def permissions_count() -> Iterator[None]:
    """Permission bits hold in this thread and those that it starts, also for root (Linux).

    Root gives up, and takes back, the capabilities to read and write what the bits forbid.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = _CapabilityHeader(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    data = (_CapabilityData * 2)()
    assert libc.capget(ctypes.byref(header), data) == 0
    before = data[0].effective
    data[0].effective = before & ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(ctypes.byref(header), data) == 0
    try:
        yield
    finally:
        data[0].effective = before
        assert libc.capset(ctypes.byref(header), data) == 0
