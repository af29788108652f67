"""Devices: the priors are where they are said to come from, none of it is a run that the table of hours checks."""

from __future__ import annotations

import pytest

from compiler.cost.boards import PEAKS
from compiler.cost.devices import DEVICES, GPUS, HOUSE, SMALL, speed
from compiler.cost.interval import Interval

HOUR = 3600.0


def reached(device: str, parameters: float, layers: int, width: int, length: int, tokens: float, hours: float) -> float:
    """The share of a device's peak: 6 for each parameter, and attention with half of it masked."""
    flops = (6 * parameters + 6 * layers * width * length) * tokens
    return flops / (hours * HOUR * DEVICES[device].peak)


ANCHORS = {
    "MPT-1.3B": ("A100", reached("A100", 1.3e9, 24, 2048, 2048, 300e9, 7_920)),
    "Pythia-1.0B": ("A100", reached("A100", 1.01e9, 16, 2048, 2048, 300e9, 4_830)),
    "TinyLlama-1.1B": ("A100", reached("A100", 1.1e9, 22, 2048, 2048, 300e9, 3_456)),
    "BLOOM-176B": ("A100", reached("A100", 176e9, 70, 14_336, 2048, 366e9, 1_082_990)),
    "MPT-7B": ("A100", reached("A100", 6.65e9, 32, 4096, 2048, 1e12, 440 * 9.5 * 24)),
    "DeepSeek 67B": ("H800", reached("H800", 67e9, 95, 8192, 4096, 1e12, 300_600)),
    "DeepSeek-V2": ("H800", reached("H800", 21e9, 0, 0, 0, 1e12, 172_800)),
}


@pytest.mark.parametrize("run", ANCHORS)
def test_a_prior_holds_what_it_comes_from(run: str) -> None:
    """By the hours that were reported, of whole runs and of two that were scaled."""
    device, share = ANCHORS[run]
    assert round(share, 2) in DEVICES[device].utilization


@pytest.mark.parametrize("device", ["A100", "H800"])
def test_a_prior_is_no_wider_than_that(device: str) -> None:
    """Its bounds are those of the slowest and the fastest."""
    shares = [share for of, share in ANCHORS.values() if of == device]
    assert DEVICES[device].utilization.low == pytest.approx(min(shares), abs=0.006)
    assert DEVICES[device].utilization.high == pytest.approx(max(shares), abs=0.006)


def test_a_board_of_no_published_run_has_a_wide_prior() -> None:
    """Wider than that of every other; and a plan on a device that is not named does not count on it."""
    for name in PEAKS:
        assert DEVICES[name].peak == PEAKS[name].bf16
        assert HOUSE.low <= DEVICES[name].utilization.low and DEVICES[name].utilization.high <= HOUSE.high
        assert (DEVICES[name].utilization == HOUSE) == (name not in GPUS)
    assert HOUSE.low == min(DEVICES[name].utilization.low for name in GPUS) / 2
    assert speed("L40S", SMALL).high < speed("H100", SMALL).high


def test_an_unknown_device_may_be_any() -> None:
    """Of those that are known, and processors are none of them."""
    anywhere = speed(None, SMALL)
    for name in GPUS:
        assert anywhere.low <= speed(name, SMALL).low
        assert speed(name, SMALL).high <= anywhere.high


def test_a_small_model_may_be_slower_than_any_prior() -> None:
    """On a GPU; on a processor it is what was measured."""
    assert speed("H100", SMALL - 1).low == 0
    assert speed("H100", SMALL - 1).high == speed("H100", SMALL).high
    assert speed("cpu", SMALL - 1) == speed("cpu", SMALL)


def test_what_was_measured_goes_before_the_prior() -> None:
    """Also of a small model."""
    assert speed("H100", 1, Interval.exact(0.01)) == Interval.exact(0.01 * DEVICES["H100"].peak)
