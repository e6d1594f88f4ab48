"""Where in a TOML text a member stands, so that an error names its line.

The standard reader checks the syntax but keeps no lines; this scanner walks text that it has
already accepted, and checks nothing.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

Place = tuple[str | int, ...]

_GAP: Final = re.compile(r"(?:[\s,]|#[^\n]*)*")
_KEY: Final = re.compile(r"""[ \t]*(?:"((?:\\.|[^"\\])*)"|'([^']*)'|([\w-]+))[ \t]*""")
_TEXT: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'", re.DOTALL
)
_PLAIN: Final = re.compile(r"[^,\]}\n#]+")


def lines_of(text: str) -> dict[Place, int]:
    """Return the line, from 1, of every table, member and item of a TOML document.

    A list of tables, and a table that no header of its own opens, begin with their first part.
    """
    return _Scanner(text).scan()


def line_at(lines: Mapping[Place, int], path: Place) -> int:
    """Return the line of ``path``, or of the nearest table around it."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._places: dict[Place, int] = {(): 1}
        self._newest: dict[Place, int] = {}

    def scan(self) -> dict[Place, int]:
        table: Place = ()
        while self._skip() < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._member(table)
        return self._places

    def _header(self) -> Place:
        """Read ``[a.b]`` or ``[[a.b]]`` and return the path of the table that it opens."""
        is_array = self._text.startswith("[[", self._at)
        line = self._line()
        self._at += 1 + is_array
        keys = self._keys()
        self._at += 1 + is_array
        path: Place = ()
        for number, key in enumerate(keys, 1):
            path += (key,)
            self._places.setdefault(path, line)
            if is_array and number == len(keys):
                self._newest[path] = self._newest.get(path, -1) + 1
            if path in self._newest:
                path += (self._newest[path],)
        self._places.setdefault(path, line)
        return path

    def _member(self, table: Place) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path += (key,)
            self._places.setdefault(path, line)
        self._at = self._text.index("=", self._at) + 1
        self._value(path)

    def _value(self, path: Place) -> None:
        self._skip()
        opening = self._text[self._at]
        if opening == "{":
            self._at += 1
            while self._text[self._skip()] != "}":
                self._member(path)
            self._at += 1
        elif opening == "[":
            self._at += 1
            number = 0
            while self._text[self._skip()] != "]":
                self._places.setdefault((*path, number), self._line())
                self._value((*path, number))
                number += 1
            self._at += 1
        else:
            found = _TEXT.match(self._text, self._at) or _PLAIN.match(self._text, self._at)
            assert found is not None, "the text is TOML"
            self._at = found.end()

    def _keys(self) -> list[str]:
        """Read a dotted key."""
        keys: list[str] = []
        while found := _KEY.match(self._text, self._at):
            keys.append(next(part for part in found.groups() if part is not None))
            self._at = found.end()
            if self._text[self._at] != ".":
                break
            self._at += 1
        return keys

    def _skip(self) -> int:
        """Move past blanks, commas and comments."""
        found = _GAP.match(self._text, self._at)
        assert found is not None, "the pattern matches nothing, too"
        self._at = found.end()
        return self._at

    def _line(self) -> int:
        return bisect_right(self._ends, self._at - 1) + 1
