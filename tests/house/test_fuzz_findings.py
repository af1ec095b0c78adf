"""Inputs that fuzzing found; each was once answered with an error of another kind than ours."""

from __future__ import annotations

from voxarium.spec.matlab import is_image_class
from voxarium.spec.slice_names import missing_numbers


def test_a_name_with_a_hash_is_not_taken_for_a_number():
    assert missing_numbers(["a#.png", "a1.png"]) == []
    assert missing_numbers(["a#1.png", "a#3.png", "a#4.png"]) == [2]


def test_a_class_of_matlab_that_is_a_list_is_no_image():
    assert not is_image_class({"MATLAB_class": ["double"]})
    assert not is_image_class({"MATLAB_class": {}})
    assert is_image_class({"MATLAB_class": "uint8"})
