from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polyseme.infer.continuation import StopFinder

SMALL = st.text("ab", min_size=1, max_size=4)


@given(st.lists(st.text("ab", max_size=5)), st.lists(SMALL, max_size=3))
def test_pieces_end_before_the_first_stop_string_wherever_it_is_cut(
    pieces: list[str], stops: list[str]
) -> None:
    finder = StopFinder(stops)
    given_out = "".join([finder.push(piece) for piece in pieces])
    whole = "".join(pieces)
    ends = [(whole.index(s) + len(s), whole.index(s)) for s in stops if s in whole]
    assert finder.found == bool(ends)
    given_out += finder.flush()
    assert not any(s in given_out for s in stops)
    assert whole.startswith(given_out)
    if not ends:
        assert given_out == whole


def test_nothing_is_held_back_without_need() -> None:
    finder = StopFinder(["\n\nQ:"])
    assert finder.push("yes\n") == "yes"
    assert finder.push("\nA") == "\n\nA"
    assert finder.push("\n\nQ") == ""
    assert finder.push(": x") == ""
    assert finder.found
    assert finder.flush() == ""
