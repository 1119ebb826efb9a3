"""The formula language: what formulas mean, and what they may not be."""

from __future__ import annotations

import math

import pytest

from autoscaler.core.formula import Formula, compile_formula
from autoscaler.errors import FormulaError

NAMES = ("a", "b", "c")
VALUES = {"a": 2.0, "b": 3.0, "c": None}


def value(source: str) -> float | None:
    """Return what a formula gives."""
    return compile_formula(source, NAMES).evaluate(VALUES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3.5),
        ("7 % 4", 3),
        ("-7 % 4", -3),
        ("2 ** 3 ** 2", 512),
        ("2 ^ 3", 8),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("- -a", 2),
        ("+a", 2),
        ("1 - 2 - 3", -4),
        ("0x10 + 0b11 + 0o17", 34),
        ("1_000", 1000),
        (".5 + 1e3 + 1.5E-1", 1000.65),
        ("a + b /* both */ // the rest", 5),
        ("a | max(b)", 3),
        ("a | max(b) | int()", 3),
        ("3 | max(a) + 1", 4),
    ],
)
def test_arithmetic_follows_the_usual_precedence(source: str, expected: float) -> None:
    """Operators bind, associate and calculate as in expr-lang."""
    assert value(source) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b ? 1 : 0", 1),
        ("a <= 2 and b >= 3 ? 1 : 0", 1),
        ("a > b || !(a == b) ? 1 : 0", 1),
        ("not (a != b) && true ? 1 : 0", 0),
        ("1 < a < b ? 1 : 0", 1),
        ("1 < a < b < 3 ? 1 : 0", 0),
        ("a > 5 ? 1 : a > 1 ? 2 : 3", 2),
        ("if a > 5 { 1 } else if a > 1 { 2 } else { 3 }", 2),
        ("if a > 1 { 1 } else { 0 }", 1),
        ("a in [1, 2] ? 1 : 0", 1),
        ("a not in [1, 2,] ? 1 : 0", 0),
        ("a in 1..5 ? 1 : 0", 1),
        ('"x" in {"x": 1} ? 1 : 0', 1),
        ("1 in nil ?? [1] ? 1 : 0", 1),
        ("1 in first([nil, 1]) ? 1 : 0", 0),
        ('({} in {"x": 1}) or (1 in {"x": 1}) ? 1 : 0', 0),
        ('"a" <= "b" and not ("b" <= "a") and "b" >= "a" ? 1 : 0', 1),
        ('"abc" contains "b" ? 1 : 0', 1),
        ('"abc" startsWith "b" ? 1 : 0', 0),
        ('"abc" endsWith "bc" ? 1 : 0', 1),
        ('"abc" not contains "z" ? 1 : 0', 1),
        ("first([1, 'x']) <= 1 and first([2, 'x']) >= 1 ? 1 : 0", 1),
        ('"a" < "b" and "a" <= "a" ? 1 : 0', 1),
        ('"a" + "b" == "ab" ? 1 : 0', 1),
        ("[1, 2] == [1, 2] ? 1 : 0", 1),
        ("[1, 2] == [1, 3] or [1] == [1, 2] ? 1 : 0", 0),
        ("true == (1 == 1) ? 1 : 0", 1),
        ("a == nil ? 1 : 0", 0),
        ("c == nil ? 1 : 0", 1),
    ],
)
def test_conditions_choose_between_values(source: str, expected: float) -> None:
    """Comparisons, logic, membership and conditionals behave as in expr-lang."""
    assert value(source) == expected


def test_a_short_ternary_repeats_its_condition() -> None:
    """``x ?: y`` means ``x ? x : y``, so its condition must be a truth value and the result too."""
    with pytest.raises(FormulaError, match="truth value, not a number"):
        value("a > 1 ?: b > 1")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("abs(-3)", 3),
        ("ceil(a + 0.2) + floor(2.8) + round(2.5) + round(-2.5)", 5),
        ("round(2.4)", 2),
        ("int(3.7) + int(-3.7) + int('12') + int(b)", 15),
        ('float("3.5") + float(1)', 4.5),
        ("len([a, b]) + len('abc') + len({x: 1})", 6),
        ("max(a, b) + max([a, b], 7)", 10),
        ("min(a, b) + min([a, b], 1)", 3),
        ("mean([a, b]) + mean([])", 2.5),
        ("median([a, b]) + median([3, 1, 2]) + median([])", 4.5),
        ("sum([a, b])", 5),
        ("first([a, b]) + last([a, b])", 5),
        ("(first([]) ?? 7) + (last([]) ?? 8)", 15),
        ("get([1, 2], 1) + get({x: 5}, 'x')", 7),
        ("get([1], 9) ?? 4", 4),
        ("len(take([1, 2, 3], 2)) + reverse([1, 2])[0]", 4),
        ("len(uniq([1, 1, 2]))", 2),
        ("sort([3, 1])[0] + sort([3, 1], 'desc')[0]", 4),
        ("len(sort(['b', 'a'])[0])", 1),
        ("sum(concat([1], [2, 3]))", 6),
        ("bitand(5, 3) + bitor(4, 1) + bitxor(6, 3) + bitnand(7, 2)", 16),
        ("bitnot(0) + bitshl(1, 3) + bitshr(16, 2) + bitushr(-1, 63)", 12),
        ("bitshl(1, 63)", -(2.0**63)),
        ("[1, 2, 3][-1] + [1, 2, 3][0]", 4),
        ("len([1, 2, 3][1:]) + len([1, 2, 3][:-1]) + len('abcd'[1:3])", 6),
        ("{x: a, 'y': b, 3: 1}.x + {y: b}['y']", 5),
        ("{x: 1}.z ?? 9", 9),
        ("{x: 1}[a > 1 ? 1 : 'x'] ?? 9", 9),
        ("$env['a'] + $env.b", 5),
        ("let x = a * 2; let y = x + 1; x + y", 9),
        ("sum(1..4)", 10),
        ("len(3..1)", 0),
    ],
)
def test_functions_and_containers(source: str, expected: float) -> None:
    """Every function, list, map and variable gives what it says."""
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("count([a, b, 4], {# > 2})", 2),
        ("count([true, false, true])", 2),
        ("sum([a, b], {# * 2}) + sum([1, 2], # + 1)", 15),
        ("sum(map([a, b], {# * 2}))", 10),
        ("filter([1, 5, 9], # > 2)[0]", 5),
        ("all([a, b], {# > 0}) and any([a, b], {# > 2}) ? 1 : 0", 1),
        ("none([a, b], {# > 9}) and one([a, b], {# > 2}) ? 1 : 0", 1),
        ("find([1, 5, 9], # > 2) + findLast([1, 5, 9], # > 2)", 14),
        ("findIndex([1, 5, 9], # > 2) + findLastIndex([1, 5, 9], # > 2)", 3),
        ("findIndex([1], # > 2) + findLastIndex([1], # > 2)", -2),
        ("find([1], # > 2) ?? 7", 7),
        ("sortBy([3, 1, 2], -#)[0] + sortBy([3, 1], #, 'desc')[0]", 6),
        ("reduce([a, b], #acc + #) + reduce(1..3, #acc * #, 1)", 11),
        ("reduce([5, 6], #acc + #index, 0)", 1),
        ("sum([1, 2], {sum([10, 20], {# + 1})})", 64),
        ("[1, 5] | filter(# > 2) | len()", 1),
        ("let n = 3; count([1, 5], # > n)", 1),
    ],
)
def test_predicates_see_one_element_at_a_time(source: str, expected: float) -> None:
    """Functions with a predicate evaluate it once per element, nested ones included."""
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("string(2.5)", "2.5"),
        ("string(1000000.0)", "1e+06"),
        ("string(-0.00001)", "-1e-05"),
        ("string(123456.0)", "123456"),
        ("string(1.25e7)", "1.25e+07"),
        ("string(true) + string(false) + string(nil)", "truefalsenil"),
        ("string([1, 'x'])", "[1 x]"),
        ("string({b: 1, a: 2})", "{a:2 b:1}"),
        ("string(1/0) + string(-1/0) + string(0/0)", "+Inf-InfNaN"),
        ("toJSON(1000000.0)", "1000000"),
        ("toJSON([1, 'x', true, nil])", '[1,"x",true,null]'),
        ("toJSON({b: 1, a: 2})", '{"a":2,"b":1}'),
        ("`raw\\n`", "raw\\n"),
        ("'it\\'s\\n'", "it's\n"),
    ],
)
def test_texts_look_as_in_expr_lang(source: str, text: str) -> None:
    """Values turn into the text expr-lang makes of them."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert value(f'({source}) == "{quoted}" ? 1 : 0') == 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("c ?? 5", 5),
        ("a ?? 5", 2),
        ("c ?? c ?? 4", 4),
        ("(c ?? 1) + a", 3),
        ("c ?? nil", None),
        ("a > 1 ? (c ?? nil) : 1", None),
        ("max(c ?? 0, a)", 2),
        ("c ?? 5 | max(9)", 9),
    ],
)
def test_nil_is_what_a_failed_trigger_is(source: str, expected: float | None) -> None:
    """``??`` replaces nil, and only formulas with ``??`` may yield it."""
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "problem", "position"),
    [
        ("a +", "unexpected end of formula", 3),
        ("", "unexpected end of formula", 0),
        ("(a", "expected “)”, found end of formula", 2),
        ("a b", "unexpected “b”", 2),
        ("a; b", "unexpected “;”", 1),
        ("a if true", "unexpected “if”", 2),
        ("a | float", "expected “(”", 9),
        ("a | 3", "unexpected “3”", 4),
        ("a ?? 1 + 2", "need parentheses", 7),
        ("a @ b", "unexpected '@'", 2),
        ('"abc', "a string is not closed", 0),
        ("a /* b", "a comment is not closed", 2),
        ("9223372036854775808", "the integer is too large", 0),
        ("1e999", "the number is too large", 0),
        ("0x_", "is no number", 0),
        ("# + 1", "only works in a predicate", 0),
        ("a.1", "unexpected “.1”", 1),
        ("{}.(1)", "expected a name after “.”", 3),
        ("{(1): 2}", "a map key must be", 1),
        ("let 1 = 2; 3", "unexpected “1”", 4),
        ("a ? 1", "expected “:”", 5),
        ("not", "unexpected end of formula", 3),
        ("a not b", "unexpected “not”", 2),
        ("x + 1", "unknown trigger “x”", 0),
        ("ax + 1", "unknown trigger “ax”, did you mean “a”", 0),
        ("mx(a)", "unknown function “mx”, did you mean “max”?", 0),
        ("zzz(a)", "unknown function “zzz”", 0),
        ("now()", "a formula depends on triggers only", 0),
        ("$env", "“$env” needs a name", 0),
        ("$env[1]", "“$env” needs a name", 4),
        ("$env['x']", "unknown trigger “x”", 5),
        ("let a = 1; a", "already has a meaning", 4),
        ("let max = 1; 2", "already has a meaning", 4),
        ("a > 1", "the formula gives a truth value, not a number", 0),
        ("nil", "the formula gives nil, not a number", 0),
        ("1..3", "the formula gives a list, not a number", 0),
        ("a % 2", "“%” does not work on a number and an integer", 2),
        ('a + "x"', "“+” does not work on a number and a text", 2),
        ('a == "x" ? 1 : 0', "“==” does not work on", 2),
        ("a in 3 ? 1 : 0", "“in” does not work on", 2),
        ("a and true ? 1 : 0", "“and” does not work on", 2),
        ('"a" matches "b" ? 1 : 0', "“matches” is not available", 4),
        ("!a ? 1 : 0", "“not” does not work on a number", 0),
        ("-true", "“-” does not work on a truth value", 0),
        ("a ? 1 : 0", "a condition must be true or false, not a number", 2),
        ("a[0]", "a number has no element under an integer", 1),
        ("[1]['x']", "a list has no element under a text", 3),
        ("a[1:2]", "a number has no parts", 1),
        ("[1]['x':]", "the ends of a part must be integers", 3),
        ("max()", "“max” takes at least 1 argument, not 0", 0),
        ("abs(a, b)", "“abs” takes 1 argument, not 2", 0),
        ("abs(true)", "as argument 1 of 1, not a truth value", 0),
        ("sortBy([1])", "“sortBy” takes 2 to 3 arguments, not 1", 0),
        ("count(a, # > 1)", "“count” works on a list, not on a number", 0),
        ("count([a], {#})", "needs a truth value per element, not a number", 0),
        ("count([a], {#acc})", "unknown pointer “#acc”", 12),
        ("filter([a])", "“filter” takes 2 arguments", 0),
        ("[a, [b]][0]", "cannot be inside a list or map", 0),
        ("{x: [1]}.x[0]", "cannot be inside a list or map", 0),
        ("len(map([1], [#]))", "cannot be inside a list or map", 4),
    ],
)
def test_errors_point_at_what_is_wrong(source: str, problem: str, position: int) -> None:
    """A formula that cannot work is refused with the place in it."""
    with pytest.raises(FormulaError) as caught:
        compile_formula(source, NAMES)
    assert problem in str(caught.value)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("a + c", "a trigger without a value (nil)"),
        ("c > 1 ? 1 : 0", "a trigger without a value (nil)"),
        ("a / c", "a number is needed, not nil"),
        ("max(a, c)", "a number is needed, not nil"),
        ("-c", "a number is needed, not nil"),
        ("c", "the formula gives no number: a number is needed, not nil"),
        ("a / 0", "gives +Inf, not a finite number"),
        ("-a / 0", "gives -Inf, not a finite number"),
        ("(a - a) / (b - b)", "gives NaN, not a finite number"),
        ('a > 1 ? "x" : 1', "“x” is no number"),
        ('a > 1 ? "1_0" : 1', "“1_0” is no number"),
        ("a > 1 ? true : 1", "a number is needed, not a truth value"),
        ("a > 1 ? [1][9] : 1", "index 9 is outside a list of 1"),
        ("a > 1 ? 1 % 0 : 1", "division by zero"),
        ("a > 1 ? int('x') : 1", "“x” is no integer"),
        ("a > 1 ? int(1/0) : 1", "infinity and NaN have no integer"),
        ("a > 1 ? 9223372036854775807 + 1 : 1", "does not fit in 64 bits"),
        ("a > 1 ? len(toJSON(1/0)) : 1", "have no JSON"),
        ("a > 1 ? sum(1..20000) : 1", "more than 10000 elements"),
        ("a > 1 ? sum(concat(1..9000, 1..9000)) : 1", "more than 10000 elements"),
        ("a > 1 ? bitshl(1, -1) : 1", "the shift is negative"),
        ("a > 1 ? bitushr(1, -1) : 1", "the shift is negative"),
        ("a > 1 ? len(take([1], -1)) : 1", "the count is negative"),
        ("a > 1 ? sort([1], 'up')[0] : 1", "the order is “asc” or “desc”, not up"),
        ("a > 1 ? sortBy([1], #, 'up')[0] : 1", "the order is “asc” or “desc”, not up"),
        ("a > 1 ? sort([1, 'x'])[0] : 1", "a number is needed, not a text"),
        ("a > 1 ? reduce([], #acc + #) : 1", "needs a start value"),
        ("a > 1 ? len(first([1, 'x'])) : 1", "a number has no length"),
        ("a > 1 ? first([true, 1]) % 2 : 1", "an integer is needed, not a truth value true"),
        ("a > 1 ? (first([1, 'x']) contains 'y' ? 1 : 0) : 1", "a text is needed, not a number"),
        ("a > 1 ? ('y' contains first([1, 'x']) ? 1 : 0) : 1", "a text is needed, not a number"),
        ("a > 1 ? (first([1, true]) and true ? 1 : 0) : 1", "true or false is needed"),
        ("a > 1 ? sum(first([1, 'x'])) : 1", "a list is needed, not a number"),
        ("a > 1 ? (first([1, 'x']) in first([2, 'x']) ? 1 : 0) : 1", "a list is needed"),
        ("let x = 1..1000; a > 1 ? sum(x, sum(x, #)) : 1", "more than 100000 times"),
    ],
)
def test_some_problems_only_show_when_evaluated(source: str, problem: str) -> None:
    """What the trial run cannot see fails the evaluation, and never becomes a number."""
    formula = compile_formula(source, NAMES)
    with pytest.raises(FormulaError) as caught:
        formula.evaluate(VALUES)
    assert problem in str(caught.value)


def test_a_formula_that_fails_on_the_trial_values_is_refused() -> None:
    """As in KEDA, a formula must give a number when every trigger is worth -1."""
    with pytest.raises(FormulaError, match="outside a list of 0"):
        compile_formula("filter([a, b], {# > 3})[0]", NAMES)
    with pytest.raises(FormulaError, match="gives no number"):
        compile_formula("max([])", NAMES)


def test_division_by_zero_may_be_harmless_inside() -> None:
    """An infinity inside a formula is fine as long as the result is finite."""
    assert value("min(a / 0, 5)") == 5


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("0.0 ** -1", math.inf),
        ("(-0.0) ** -3", -math.inf),
        ("(-0.0) ** -2", math.inf),
        ("(-8) ** 0.5", math.nan),
        ("10.0 ** 400", math.inf),
        ("(-10.0) ** 401", -math.inf),
        ("(-10.0) ** 400", math.inf),
        ("1 / -0.0", -math.inf),
        ("(1/0) / 0", math.inf),
        ("(0/0) / 0", math.nan),
        ("ceil(1/0)", math.inf),
        ("round(-1/0)", -math.inf),
    ],
)
def test_powers_and_quotients_follow_ieee_754(source: str, expected: float) -> None:
    """Overflow and division by zero give infinities and NaN, as in Go."""
    found = compile_formula(source, ()).run({})
    assert found is not None
    assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_a_missing_trigger_is_an_error() -> None:
    """A trigger nobody gave a value for is not zero."""
    with pytest.raises(FormulaError, match="no value for trigger “b”"):
        compile_formula("a + b", NAMES).evaluate({"a": 1.0})


def test_formulas_are_bounded() -> None:
    """A formula is limited in length and depth, so that nobody can exhaust the service."""
    with pytest.raises(FormulaError, match="longer than 4096"):
        compile_formula("1" + " " * 5000, ())
    with pytest.raises(FormulaError, match="nested more than 100"):
        compile_formula("(" * 200 + "1" + ")" * 200, ())
    assert compile_formula("(" * 90 + "1" + ")" * 90, ()).evaluate({}) == 1


@pytest.mark.parametrize(
    "source",
    [
        "+".join("a" * 800),
        "a" + "|abs()" * 500,
        "a" + "[0]" * 1000,
        "if a > 1 {1} else " * 200 + "{1}",
        "a < " * 500 + "a",
    ],
)
def test_chains_are_bounded_as_nesting_is(source: str) -> None:
    """What would need more of Python's stack than there is, is refused when it is written."""
    with pytest.raises(FormulaError, match="more than 200 operations deep"):
        compile_formula(source, ("a",))


def test_long_chains_work() -> None:
    """A sum of 199 triggers is no trouble."""
    assert compile_formula("+".join("a" * 199), ("a",)).evaluate({"a": 1.0}) == 199


@pytest.mark.parametrize(
    ("inner", "step"), [("a > 1", "({} ?: a > 2)"), ("a", "(a < {} < 5 ? 1 : 2)")]
)
def test_shorthands_that_multiply_are_bounded(inner: str, step: str) -> None:
    """Operands that are used twice double with each level; forty levels would never end."""
    source = inner
    for _ in range(40):
        source = step.format(source)
    with pytest.raises(FormulaError, match="takes more than 10000 operations"):
        compile_formula(source, ("a",))


def test_formulas_are_compared_by_what_they_say() -> None:
    """Policies are compared to find out whether something changed; formulas must be comparable."""
    first, same = compile_formula("a + b", NAMES), compile_formula("a + b", NAMES)
    assert first == same
    assert hash(first) == hash(same)
    assert first != compile_formula("a - b", NAMES)
    assert first != "a + b"
    assert repr(first) == "Formula('a + b')"
    assert isinstance(first, Formula)
    assert first.names == NAMES
    assert not first.keeps_nil
