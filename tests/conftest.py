"""What every test may count on, however the suite was started."""

from __future__ import annotations

import signal

from hypothesis import settings

# A shell that starts a job in the background has it ignore Ctrl-C, and children inherit that: tests that send one to a
# child would wait in vain.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No example has a deadline: the first may compile or import, and a busy machine stalls any. What must be quick has a
# test that says so.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
