"""Work that hears nobody is waited for as long as it may take, and Ctrl-C ends the waiting."""
import _thread
import signal
import threading
import time

import pytest

from minillm.waiting import beside


def test_what_is_made_or_raised_comes_back():
    assert beside(lambda: 6 * 7) == 42
    with pytest.raises(KeyError, match="mine"):
        beside(lambda: {}["mine"])
    with pytest.raises(TimeoutError, match="its own"):
        beside(lambda: (_ for _ in ()).throw(TimeoutError("its own")))


def test_work_that_does_not_end_is_left_alone():
    end = threading.Event()
    with pytest.raises(TimeoutError, match=r"not done after 0\.05 s"):
        beside(end.wait, seconds=0.05)
    end.set()


def test_ctrl_c_is_heard_while_work_hears_nothing():
    end, begun = threading.Event(), []

    def work():
        begun.append(threading.current_thread())
        _thread.interrupt_main()  # as the system does at Ctrl-C
        end.wait(60)

    before = time.monotonic()
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin deaf to it
    try:
        with pytest.raises(KeyboardInterrupt):
            beside(work)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert begun[0].daemon and begun[0] is not threading.main_thread() and time.monotonic() - before < 50
    end.set()
