"""What a person asked of the terminal's colours, and where faults are written down instead of on it."""

import logging
import logging.handlers
import os
import sys
import traceback
from collections.abc import Mapping

from orlop.text import visible

LOG_BYTES = 1024 * 1024
"""Size from which on the log file is begun anew; one old file is kept."""


def no_color(environ: Mapping[str, str]) -> bool:
    """Whether the person wants no colour: NO_COLOR is there and not empty (no-color.org)."""
    return bool(environ.get("NO_COLOR"))


def forget_lost_streams() -> None:
    """Let what is left in the buffers of a terminal that went away go nowhere; else it would spoil the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


# --- the log file


class _Visible(logging.Formatter):
    """Lines of a log that a person will show on a terminal some day."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(visible(line) for line in super().format(record).split("\n"))


def state_folder() -> str:
    """The folder in which this user's sessions keep what they remember; it need not be there."""
    import platformdirs

    return platformdirs.user_state_dir("orlop")


def log_path() -> str:
    """The log file of this user; it need not be there."""
    import platformdirs

    return os.path.join(platformdirs.user_log_dir("orlop"), "orlop.log")


def log_to_file(path: str | None = None) -> None:
    """Send everything that Orlop logs to a file, readable by this user only, and nothing to the terminal.

    Where no file can be written, the log goes nowhere. Calling it again changes nothing.
    """
    log = logging.getLogger("orlop")
    if any(isinstance(handler, logging.handlers.RotatingFileHandler) for handler in log.handlers):
        return
    log.propagate = False
    log.addHandler(logging.NullHandler())
    path = path or log_path()
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    except OSError:
        return  # a home that cannot be written to must not keep anybody from looking at a store
    handler.setFormatter(_Visible("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    log.addHandler(handler)


def report(error: BaseException) -> tuple[str, str]:
    """Write a fault down with its traceback, and give two lines for standard error.

    The traceback has no local variables: they hold parts of the store.
    """
    log = logging.getLogger("orlop")
    log.error("Orlop ended by a fault\n%s", "".join(traceback.format_exception(error)).rstrip())
    written = [h.baseFilename for h in log.handlers if isinstance(h, logging.handlers.RotatingFileHandler)]
    first = f"orlop: a fault of Orlop itself ended it: {type(error).__name__}: {str(error)[:200]}"
    second = f"orlop: the store was left as its journal says; details are in {written[0]}" if written else _NO_LOG
    return visible(first), visible(second)


_NO_LOG = "orlop: the store was left as its journal says; no log file could be written"
