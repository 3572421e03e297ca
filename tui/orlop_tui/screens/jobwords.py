"""What is said of a job: in the status line, in a row, and on the screen of jobs."""

from collections.abc import Iterable, Sequence

from orlop_tui import format as words
from orlop_tui.messages import Job, JobState
from orlop_tui.widgets.lines import Role

_VERBS = {"verify": "verify", "measure": "measure"}
ROLES = {
    JobState.FAILED: Role.BAD,
    JobState.PAUSED: Role.WARN,
    JobState.CANCELLED: Role.WARN,
    JobState.WAITING: Role.FAINT,
}


def title(job: Job) -> str:
    """What a job does, and about what."""
    what = _VERBS.get(job.what, job.what)
    if job.what == "measure":
        return f"{what} where the bytes are"
    about = "the whole store" if job.keys is None else words.count(len(job.keys), "row")
    return f"{what} {about}{', all of it again' if job.again else ''}"


def percent(job: Job) -> str:
    """``41%``; empty while nobody can tell."""
    return f"{100 * job.done // job.total}%" if job.total else ""


def standing(job: Job) -> str:
    """How it stands, in a word, or what came of it."""
    if job.state is JobState.DONE:
        return _done(job)
    if job.state is JobState.CANCELLED and job.what == "verify":
        return f"stopped{_at(job)}; what was verified is kept"
    if job.stopping:
        return "stopping"
    return str(job.state)


def _at(job: Job) -> str:
    return f" at {percent(job)}" if job.in_bytes and job.total else ""


def _done(job: Job) -> str:
    took = f"in {words.duration(job.worked)}"
    if job.what != "verify":
        return f"done {took}"
    found = words.count(job.found, "fault") if job.found else "no fault"
    if not job.hashed:
        return f"done: {found}, nothing was left to be hashed"
    fast = f", {words.size(round(job.hashed / job.worked))}/s" if job.worked >= 1 else ""
    return f"done: {found} in {words.size(job.hashed)}, {took}{fast}"


def numbers(job: Job, width: int) -> str:
    """How far it is, as much of it as fits: ``41%  12.1/29.4 GB  310 MB/s  56 s left``."""
    pieces = [percent(job), _amount(job), _rate(job), _left(job)]
    while len(pieces) > 1 and sum(len(piece) + 2 for piece in pieces if piece) - 2 > width:
        del pieces[2 if len(pieces) > 3 else -1]
    return "  ".join(piece for piece in pieces if piece)


def _amount(job: Job) -> str:
    if not job.in_bytes:
        return f"{job.phase} {job.done}/{job.total}" if job.total else f"{job.phase} {job.done or ''}".strip()
    done, of = words.size(job.done), words.size(job.total)
    number, _, unit = done.partition(" ")
    return f"{number if of.endswith(' ' + unit) else done}/{of}"


def _rate(job: Job) -> str:
    return f"{words.size(round(job.rate))}/s" if job.in_bytes and job.rate else ""


def _left(job: Job) -> str:
    return f"{words.duration(job.left)} left" if job.left is not None and job.in_bytes else ""


def short(jobs: Iterable[Job], width: int) -> str:
    """The jobs that are not over, for the end of the status line; empty where there are none."""
    going = under_way(jobs)
    if not going:
        return ""
    job = next((one for one in going if one.state is JobState.RUNNING), going[0])
    state = "" if job.state is JobState.RUNNING else f" {job.state}"
    more = f"  +{len(going) - 1}" if len(going) > 1 else ""
    room = width // 2 if width >= 100 else 0
    said = numbers(job, room) if room else percent(job)
    return f"{job.what}{state} {said}".rstrip() + more


def under_way(jobs: Iterable[Job]) -> Sequence[Job]:
    """Those that are not over."""
    return [job for job in jobs if not job.state.is_over]


def of_row(job: Job) -> str:
    """What the rows that it is about say of themselves meanwhile, in eight cells."""
    if job.state is not JobState.RUNNING:
        return str(job.state)
    if len(job.keys or ()) == 1 and job.in_bytes and job.total:
        return f"hash {min(99, 100 * job.done // job.total)}%"
    return "hashing"
