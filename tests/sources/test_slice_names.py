"""Names of the files of a stack; cases that fuzzing found."""

from __future__ import annotations

from voxarium.spec.slice_names import missing_numbers


def test_a_name_with_a_hash_is_not_taken_for_a_number():
    assert missing_numbers(["a#.png", "a1.png"]) == []
    assert missing_numbers(["a#1.png", "a#3.png", "a#4.png"]) == [2]
