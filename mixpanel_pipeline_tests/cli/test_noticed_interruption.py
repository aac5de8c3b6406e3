"""A signal that somebody else took is noticed all the same, and only while it matters."""

import signal

import pytest

from mixpanel_pipeline.cli.interruption import noticed_interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_handler_forgot(number: signal.Signals) -> None:
    before = signal.signal(number, lambda _number, _frame: None)
    try:
        with noticed_interruption() as interruption:
            interruption.end_if_noticed()
            assert not interruption.noticed()
            signal.raise_signal(number)
            assert interruption.noticed()
            assert interruption.noticed()
            with pytest.raises(KeyboardInterrupt):
                interruption.end_if_noticed()
            interruption.end_if_noticed()
    finally:
        signal.signal(number, before)


def test_afterwards_signals_are_written_nowhere() -> None:
    with noticed_interruption():
        pass
    assert signal.set_wakeup_fd(-1) == -1
