"""Patterns of names: what they match, what is refused, and that none takes long."""

import time

import pytest

from registry.errors import RuleInvalid
from registry.patterns import MAX_PATTERN_LENGTH, MAX_PATTERNS, Patterns


@pytest.mark.parametrize(
    ("value", "yes", "no"),
    [
        (["v*"], ["v", "v1", "v1.2-rc"], ["1v", "V1", ""]),
        (["v?", "latest"], ["v1", "latest"], ["v", "v10", "latest2"]),
        (["[0-9]*", "[!a-z]"], ["1a", "A"], ["a", "ab"]),
        (["re:v[0-9]+"], ["v1", "v10"], ["v", "v1a", "av1"]),
        (["re:(?i)rc|beta"], ["RC", "beta"], ["rc1"]),
        ({"include": ["*"], "exclude": ["v*", "re:.*-keep"]}, ["latest"], ["v1", "a-keep"]),
        ({"exclude": ["v*"]}, ["latest"], ["v1"]),
    ],
)
def test_patterns_match_in_full(value, yes, no):
    patterns = Patterns.parse(value, "select")
    assert [name for name in yes + no if patterns.matches(name)] == yes


@pytest.mark.parametrize(
    ("value", "field", "said"),
    [
        ("v*", "select", "list of 1 to"),
        ([], "select", "list of 1 to"),
        (None, "select", "list of 1 to"),
        (["a"] * (MAX_PATTERNS + 1), "select", "list of 1 to"),
        ([1], "select", "text of 1 to"),
        ([""], "select", "text of 1 to"),
        (["a\x00"], "select", "printable"),
        (["\udcff"], "select", "printable"),
        (["a" * (MAX_PATTERN_LENGTH + 1)], "select", "text of 1 to"),
        ({"only": ["a"]}, "select.only", "no field 'only'"),
        ({"include": []}, "select.include", "list of 1 to"),
        ({"exclude": "a"}, "select.exclude", "list of 0 to"),
    ],
)
def test_what_is_no_list_of_patterns_is_refused_by_name(value, field, said):
    with pytest.raises(RuleInvalid, match=said) as refused:
        Patterns.parse(value, "select")
    assert refused.value.detail["field"] == field


@pytest.mark.parametrize("pattern", ["re:(", "re:(?=a)", "re:(a)\\1", "re:a{1001}", "re:((a{100}){100}){100}"])
def test_an_expression_that_cannot_be_bounded_is_refused_by_name(pattern):
    with pytest.raises(RuleInvalid, match="no regular expression") as refused:
        Patterns.parse([pattern], "select")
    assert refused.value.detail["pattern"] == pattern


@pytest.mark.parametrize(
    "pattern", ["re:(a+)+$", "re:(a|a)*b", "re:(.*)(.*)(.*)(.*)(.*)c", "*a" * 200 + "b", "[a]*" * 100]
)
def test_no_pattern_takes_long(pattern):
    patterns = Patterns.parse([pattern], "select")
    before = time.process_time()
    for _ in range(100):
        patterns.matches("a" * 127 + "!")
    assert time.process_time() - before < 0.5


def test_patterns_read_as_they_were_written():
    assert str(Patterns.parse(["v*", "re:x"], "select")) == "v*, re:x"
    assert str(Patterns.parse({"exclude": ["a", "b"]}, "select")) == "* without a, b"
