"""Who a process that works on a trial is, and whether it still lives."""

import socket

from psutil import Process

from study.sweep.trials import process


def test_of_this_machine_a_process_is_known_to_live_or_not_and_nothing_is_of_another():
    assert process.is_alive(process.current())
    assert process.is_alive({**process.current(), "born": 0.0}) is False
    assert process.is_alive({**process.current(), "pid": 2**22 + 1}) is False
    for other in ("elsewhere", process.machine().replace("pid:", "pid:1")):  # a container has numbers of its own
        assert process.is_alive({**process.current(), "machine": other, "pid": 1}) is None
    before = {"host": socket.gethostname(), "pid": 1, "born": 1.7e9}  # as earlier versions signed
    assert process.is_alive(before) is None


def test_a_clock_that_is_set_makes_nobody_another_process(monkeypatch):
    """Psutil counts from 1970, by the start of the machine that follows from the clock of now."""
    me = process.current()
    real = Process.create_time
    monkeypatch.setattr(Process, "create_time", lambda self: real(self) + 1.0)
    assert process.is_alive(me)
