"""Proof of a session's log from its entries alone: what was altered, and where (promise P8).

``LogProof`` takes entries one by one, in the order in which they lie, and goes on behind whatever
does not fit. Entries vouch for those before them: whoever rewrites one must rewrite all that
follow. That, and a tail that was cut, shows against **anchors**: hashes at offsets that somebody
else vouches for (signed checkpoints, receipts, another reader's copy).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from market.protocol.canonical import sha256_text
from market.protocol.chain import Entry
from market.protocol.events import GENESIS, Event, Withheld
from market.protocol.logfile import NotAnEntry, read_entry, read_line, stored, text_of

MAX_FLAWS: Final = 100
"""Flaws of one log that are told, at most: those that were met first."""

MAX_RUNS: Final = 100
"""Ranges that a report lists, at most."""

FORKED: Final = "session.forked"


class Anchor(NamedTuple):
    """What somebody vouches for: the log has this hash at this offset."""

    offset: int
    hash: str


class Flaw(msgspec.Struct, frozen=True, kw_only=True):
    """A place where a log is not what it was.

    ``offset`` is the bad place. Where the chain alone cannot tell, it is the last that comes into
    question, and ``since`` the first.
    """

    offset: int
    since: int
    detail: str
    expected: str | None = None
    found: str | None = None


class Run(msgspec.Struct, kw_only=True):
    """Entries from ``first`` to ``last``."""

    first: int
    last: int


class LogReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is proven of a log, and what is not. ``flaws`` are in the order of offsets.

    ``intact``: ranges that hold together. ``vouched_to``: the last offset that an anchor vouches
    for, -1 without any. ``at_word``: withheld entries whose hash nothing confirms.
    """

    session_id: str | None
    entries: int
    withheld: int
    next_offset: int
    flaws: list[Flaw]
    intact: list[Run]
    vouched_to: int
    at_word: list[Run]


class _Seen(NamedTuple):
    """An entry that was taken. ``hashes``: what it says, and what it comes to; empty if unread.

    ``is_bad``: it is not what it should be. ``is_astray``: it is whole, and not in its place.
    """

    offset: int
    hashes: frozenset[str]
    is_bad: bool = False
    is_astray: bool = False
    is_withheld: bool = False


class LogProof:
    """Checks a log entry by entry; ``report`` says what came of it.

    Without ``session_id`` the log is of the session that its last event is of. ``hashes`` are
    those found at the offsets in ``wanted``; ``head`` is the one that the last entry says it has.
    """

    def __init__(
        self, session_id: str | None, *, wanted: Collection[int] = (), first_offset: int = 0
    ) -> None:
        self.session_id = session_id
        self.hashes: dict[int, frozenset[str]] = {}
        self.head: str | None = GENESIS
        self._wanted = frozenset(wanted)
        self._first = self._next = first_offset
        # Who starts midway cannot know what the first entry follows.
        start = frozenset({GENESIS}) if first_offset == 0 else frozenset[str]()
        self._last = _Seen(first_offset - 1, start)
        self._before = self._last
        self._flaws: list[Flaw] = []
        self._unlinked: set[int] = set()
        self._runs: list[Run] = []
        self._at_word: list[Run] = []
        self._entries = 0
        self._withheld = 0
        self._of: str | None = None
        self._of_since = first_offset

    def take_bytes(self, data: bytes, *, is_stored: bool = False) -> Event | None:
        """Check the next entry, as text; return it if it can be read as an event.

        A store holds exactly the market's bytes (``is_stored``); a file may have written the same
        members in another way.
        """
        try:
            entry = read_entry(data)
            text = text_of(entry)
            if data != stored(entry, text):
                if is_stored:
                    raise NotAnEntry("its bytes are not those that the market writes")
                read_line(data)
        except NotAnEntry as error:
            self._skip(str(error))
            return None
        return self._take(entry, text)

    def take(self, entry: Entry) -> Event | None:
        """Check the next entry; return it if it is an event."""
        try:
            text = text_of(entry)
        except NotAnEntry as error:
            self._skip(str(error))
            return None
        return self._take(entry, text)

    def report(self, anchors: Iterable[Anchor] = ()) -> LogReport:
        """Return what is proven, with every anchor held against the log.

        The offsets of anchors must have been ``wanted``.
        """
        given = sorted(anchors)
        holding = [one for one in given if one.hash in self.hashes.get(one.offset, ())]
        flaws = [self._narrowed(flaw, [one.offset for one in holding]) for flaw in self._flaws]
        flaws += self._against(given)
        if self.session_id is not None and self._of not in (None, self.session_id):
            flaws.append(_strange(self._of_since, self.session_id, self._of))
        flaws.sort(key=lambda flaw: (flaw.offset, flaw.since))
        return LogReport(
            session_id=self.session_id or self._of,
            entries=self._entries,
            withheld=self._withheld,
            next_offset=self._next,
            flaws=flaws[:MAX_FLAWS],
            intact=self._runs[:MAX_RUNS],
            vouched_to=holding[-1].offset if holding else -1,
            at_word=list(_without(self._at_word, {one.offset for one in holding}))[:MAX_RUNS],
        )

    def _take(self, entry: Entry, text: bytes) -> Event | None:
        self._entries += 1
        self.head = entry.hash
        hashes = frozenset({entry.hash})
        if isinstance(entry, Withheld):
            self._withheld += 1
            self._place(entry, hashes)
            return None
        made = sha256_text(text)
        if made != entry.hash:
            self._flaw("the event is not what its hash says", expected=entry.hash, found=made)
            self._go_on(_Seen(self._next, hashes | {made}, is_bad=True))
        else:
            self._place(entry, hashes)
        return entry

    def _skip(self, detail: str) -> None:
        """Go on behind something that cannot be read."""
        self._entries += 1
        self.head = None
        self._flaw(detail)
        self._go_on(_Seen(self._next, frozenset(), is_bad=True))

    def _place(self, entry: Entry, hashes: frozenset[str]) -> None:
        """Hold an entry that is whole in itself against those before it."""
        last, before = self._last, self._before
        is_withheld, is_astray = isinstance(entry, Withheld), False
        if entry.offset == self._next and _follows(entry, last):
            if last.is_withheld and not is_withheld:
                _shrink(self._at_word)
            self._check_session(entry)
        elif hashes == last.hashes and entry.offset == last.offset:
            is_astray = True
            self._misplaced(entry, "the entry stands here twice")
        elif entry.offset == before.offset + 1 and before.hashes and _follows(entry, before):
            if not (last.is_bad or last.is_astray):
                self._flaw("it was put in: the next entry follows the one before it", at=-1)
        elif entry.offset == before.offset + 2 and (last.is_bad or last.is_astray):
            # Another entry lay in the place of the one before; the log goes on from there.
            self._runs = [run for run in self._runs if run.first != last.offset]
        elif entry.offset != self._next:
            is_astray = True
            is_early = entry.offset > self._next
            what = "entries are missing before this one" if is_early else "an earlier entry is here"
            self._misplaced(entry, what)
        else:
            self._does_not_follow(entry)
        self._go_on(_Seen(entry.offset, hashes, False, is_astray, is_withheld))

    def _misplaced(self, entry: Entry, what: str) -> None:
        self._flaw(what, expected=f"offset {self._next}", found=f"offset {entry.offset}")

    def _does_not_follow(self, entry: Entry) -> None:
        """One of the two was changed, and its hash made anew: the chain cannot tell which."""
        self._unlinked.add(entry.offset)
        is_strange = isinstance(entry, Event) and self._of not in (None, entry.session_id)
        if is_strange and not self._last.is_withheld:
            self._check_session(entry)
            return
        self._flaw(
            "the event does not follow the one before",
            since=self._next if self._last.is_bad or self._last.is_astray else self._first,
            expected=min(self._last.hashes),
            found=entry.prev_hash if isinstance(entry, Event) else None,
        )

    def _check_session(self, entry: Entry) -> None:
        """A log is of one session; a fork begins with what it shares with its source."""
        if not isinstance(entry, Event) or entry.session_id == self._of:
            return
        # The source that it names may share these events with a source of its own.
        branch = (entry.body.get("source_offset"), entry.body.get("source_hash"))
        is_branch = entry.kind == FORKED and branch == (entry.offset - 1, entry.prev_hash)
        if not is_branch:
            if self._of is not None and not self._last.is_withheld:
                self._flaws.append(_strange(entry.offset, self._of, entry.session_id))
            self._of_since = entry.offset
        self._of = entry.session_id

    def _flaw(
        self,
        detail: str,
        *,
        at: int = 0,
        since: int | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        if len(self._flaws) < MAX_FLAWS:
            place = self._next + at
            flaw = Flaw(
                offset=place,
                since=place if since is None else since,
                detail=detail,
                expected=expected,
                found=found,
            )
            self._flaws.append(flaw)

    def _go_on(self, seen: _Seen) -> None:
        if seen.is_withheld:
            _extend(self._at_word, seen.offset)
        if seen.offset in self._wanted:
            self.hashes[seen.offset] = self.hashes.get(seen.offset, frozenset()) | seen.hashes
        is_back = seen.is_astray and seen.offset < self._next
        if not (seen.is_bad or is_back):
            is_new = seen.offset in self._unlinked or self._last.is_bad
            _extend(self._runs, seen.offset, is_new=is_new)
        self._before, self._last = self._last, seen
        self._next = seen.offset + 1

    def _narrowed(self, flaw: Flaw, sure: Sequence[int]) -> Flaw:
        """Return a flaw with what anchors say about it: what leads to one is as it was."""
        if flaw.offset not in self._unlinked:
            return flaw
        run = next((run for run in self._runs if run.first == flaw.offset), None)
        is_sure = run is not None and any(run.first <= at <= run.last for at in sure)
        offset = flaw.offset - 1 if is_sure and flaw.since < flaw.offset else flaw.offset
        known = max((at + 1 for at in sure if at < offset), default=self._first)
        return msgspec.structs.replace(flaw, offset=offset, since=max(flaw.since, known))

    def _against(self, given: Sequence[Anchor]) -> Iterator[Flaw]:
        """Yield where anchors and the log part, and the end if it was cut."""
        known, has_parted = self._first - 1, False
        for anchor in given:
            found = self.hashes.get(anchor.offset)
            if anchor.offset >= self._next or not found:
                continue
            if anchor.hash in found:
                known, has_parted = anchor.offset, False
            elif not has_parted:
                has_parted = True
                yield Flaw(
                    offset=anchor.offset,
                    since=known + 1,
                    detail="the log was written anew: another hash was vouched for",
                    expected=anchor.hash,
                    found=min(found),
                )
        if given and given[-1].offset >= self._next:
            yield Flaw(
                offset=self._next,
                since=self._next,
                detail=f"the log ends before this: it was vouched for up to #{given[-1].offset}",
                expected=f"offset {given[-1].offset}",
                found=f"offset {self._next - 1}",
            )


def _follows(entry: Entry, last: _Seen) -> bool:
    """Whether an entry can come after ``last``. A stub does not say what it follows."""
    return isinstance(entry, Withheld) or not last.hashes or entry.prev_hash in last.hashes


def _strange(offset: int, expected: str, found: str | None) -> Flaw:
    detail = "the event is of another session"
    return Flaw(offset=offset, since=offset, detail=detail, expected=expected, found=found)


def _extend(runs: list[Run], offset: int, *, is_new: bool = False) -> None:
    """Let the last range go on to ``offset``, or begin one there."""
    if runs and not is_new and runs[-1].last == offset - 1:
        runs[-1].last = offset
    elif is_new or not runs or runs[-1].last != offset:
        runs.append(Run(first=offset, last=offset))


def _shrink(runs: list[Run]) -> None:
    """Take the last place out of the last range."""
    if runs[-1].first == runs[-1].last:
        runs.pop()
    else:
        runs[-1].last -= 1


def _without(runs: Iterable[Run], places: Collection[int]) -> Iterator[Run]:
    """Yield the ranges but for these places."""
    for run in runs:
        first = run.first
        for place in sorted(place for place in places if run.first <= place <= run.last):
            if first < place:
                yield Run(first=first, last=place - 1)
            first = place + 1
        if first <= run.last:
            yield Run(first=first, last=run.last)
