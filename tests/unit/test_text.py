import msgspec
import pytest

from market.protocol.text import Line, one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("as it is", "as it is"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\u202eevil\u200b\x00 name\ufeff", "evil name"),
        ("lone \ud800 half", "lone half"),
        ("  wide   space \u2028 ", "wide space"),
        ("", ""),
    ],
)
def test_words_of_others_become_a_line_that_is_allowed(text: str, line: str):
    assert one_line(text, 100) == line
    assert msgspec.convert(line or "x", Line)


def test_a_line_is_cut_at_its_limit():
    assert one_line("abcdef", 3) == "abc"
