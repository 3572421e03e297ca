"""Tasks that can be sent to a process; here, so that it need not import the tests."""

import os
import signal
import sys
import time
from dataclasses import dataclass

from orlop.spread import Told


@dataclass(frozen=True)
class Where:
    """Tells which process ran it, whether that imported what no helper needs, and how gentle it is."""

    bytes: int = 10

    def run(self, told: Told) -> tuple[int, bool, int]:
        told(self.bytes)
        return os.getpid(), bool(sys.modules.keys() & {"textual", "rich", "pytest", "orlop_tui"}), os.nice(0)


@dataclass(frozen=True)
class KillsOnce:
    """Tells half of its bytes, and kills its process the first time that it is run."""

    mark: str
    bytes: int = 10

    def run(self, told: Told) -> tuple[int, bool, int]:
        told(self.bytes // 2)
        try:
            os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            told(self.bytes // 2)
            return 1, False, 0
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True)
class KillsAlways:
    bytes: int = 10

    def run(self, told: Told) -> tuple[int, bool, int]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True)
class Faulty:
    bytes: int = 10

    def run(self, told: Told) -> tuple[int, bool, int]:
        raise ZeroDivisionError("a fault of the program")


@dataclass(frozen=True)
class Endless:
    """Writes down its process, and reads on until somebody stops it."""

    mark: str
    bytes: int = 1 << 40

    def run(self, told: Told) -> tuple[int, bool, int]:
        with open(self.mark, "a") as mark:
            mark.write(f"{os.getpid()}\n")
        while True:
            told(1)
            time.sleep(0.001)


def main() -> None:
    """What a test kills."""
    from orlop import workers
    from orlop.progress import Silent
    from tests.core import worker_tasks

    workers.fastest = lambda *_: workers.Where.PROCESSES
    task = worker_tasks.Endless(sys.argv[1])  # not of this main module, which no helper has
    list(workers.work_off([task, task], Silent(), what="", alone=0))


if __name__ == "__main__":
    main()
