"""What training reached tells of a job that is like it: as large a model, and not much more to do."""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import floats

from compiler.cost.calibration import Calibration, Reached, Scored
from compiler.cost.interval import Interval

LARGE, PILOT = 8_000_000_000, 30_000_000


def reached(share: float, flops: float, parameters: int) -> Reached:
    return Reached(share=Interval.exact(share), flops=flops, parameters=parameters)


def test_the_share_of_a_pilot_is_not_that_of_a_large_model() -> None:
    """Nor is that of a job which was over after a hundredth of the work; no past run at all leaves the prior."""
    runs = (reached(0.02, 1e23, PILOT), reached(0.1, 1e21, LARGE))
    learnt = Calibration(utilization={"H100/megatron": runs})
    assert learnt.reached("H100", "megatron", 1e23, LARGE) is None
    assert learnt.reached("H100", "megatron", 1e23, PILOT) == Interval.exact(0.02)
    assert learnt.reached("H100", "torch", 1e23, PILOT) is None
    assert Calibration().reached("H100", "megatron", 1e23, LARGE) is None


def test_all_that_are_alike_bound_it() -> None:
    """A tenth of the work, or more than all of it, by a model of half to twice the size."""
    runs = (reached(0.3, 1e22, LARGE), reached(0.4, 1e24, LARGE // 2), reached(0.35, 1e23, 2 * LARGE))
    learnt = Calibration(utilization={"H100/megatron": runs})
    assert learnt.reached("H100", "megatron", 1e23, LARGE) == Interval(0.3, 0.4)


@given(start=floats(0, 2), speed=floats(1e6, 1e15), before=floats(1e6, 1e18), now=floats(1e6, 1e18), less=floats(0, 1))
def test_other_work_takes_what_its_share_says_whatever_of_it_is_start(
    start: float, speed: float, before: float, now: float, less: float
) -> None:
    """The same work takes the same; of more or less the truth lies between, also where not all of it may be done."""
    past = Scored(seconds=start + before / speed, flops=before, parameters=1)
    same = past.again(Interval.exact(before), 2.0)
    assert same == Interval.exact(past.seconds)
    found = past.again(Interval(less * now, now), 2.0)
    for work in (now, less * now):
        truth = start + work / speed
        assert found.low * 0.999999 - 1e-9 <= truth <= found.high * 1.000001 + 1e-9
