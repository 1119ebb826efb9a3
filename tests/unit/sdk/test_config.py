"""Trigger parameters: lookup, conversion, all problems at once, descriptions."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr

from autoscaler.errors import TriggerConfigError
from autoscaler.sdk.config import (
    AUTH,
    ENV,
    METADATA,
    Param,
    Problem,
    Seconds,
    TriggerConfig,
)
from autoscaler.sdk.scaler import TriggerContext


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Login(TriggerConfig):
    token: Annotated[SecretStr | None, Param("token", "bearerToken", order=(AUTH,))] = None
    user: Annotated[str, Param("user", order=(METADATA, AUTH))] = ""


class Extra(TriggerConfig):
    depth: Annotated[int, Param("depth")]


class QueueConfig(TriggerConfig):
    address: Annotated[str, Param("address", "host", order=(METADATA, ENV, AUTH))]
    length: Annotated[int, Param("length"), Field(gt=0, le=100)] = 5
    ratio: Annotated[float, Param("ratio")] = 0.5
    timeout: Annotated[Seconds, Param("timeout")] = Seconds(3.0)
    is_fast: Annotated[bool, Param("fast")] = False
    parts: Annotated[tuple[int, ...], Param("parts", range_separator="-")] = ()
    names: Annotated[tuple[str, ...], Param("names", separator=";")] = ()
    colours: Annotated[tuple[Colour, ...], Param("colours")] = ()
    labels: Annotated[dict[str, str] | None, Param("labels")] = None
    form: Annotated[dict[str, str] | None, Param("form", url_encoded=True)] = None
    format: Annotated[Literal["json", "xml"], Param("format")] = "json"
    old: Annotated[str | None, Param("old", removed="use address")] = None
    ancient: Annotated[str | None, Param("ancient", deprecated="use length")] = None
    secret: Annotated[SecretStr | None, Param("secret", order=(ENV, AUTH))] = None
    number: Annotated[int | None, Param("number", order=(AUTH,))] = None
    login: Login
    extra: Extra | None = None

    def check(self, context: TriggerContext) -> Iterable[Problem]:
        if self.length == 13 and not context.is_metric_source:
            yield "length", "is unlucky"


def parse(metadata: dict[str, str], auth: dict[str, str] | None = None, **env: str) -> QueueConfig:
    """Parse a configuration whose required parameter is given."""
    return QueueConfig.parse({"address": "here", **metadata}, auth or {}, env)


def problems(metadata: dict[str, str], auth: dict[str, str] | None = None) -> dict[str, str]:
    """Return the problems of a configuration that must not parse."""
    with pytest.raises(TriggerConfigError) as caught:
        QueueConfig.parse(metadata, auth or {}, {})
    return dict(caught.value.problems)


def test_the_first_source_that_says_something_wins() -> None:
    """Metadata before environment before authentication; blanks say nothing."""
    everywhere = {"address": " here ", "addressFromEnv": "ADDRESS"}
    env, auth = {"ADDRESS": "from env"}, {"address": "from auth"}
    assert QueueConfig.parse(everywhere, auth, env).address == "here"
    assert QueueConfig.parse(everywhere | {"address": " \t"}, auth, env).address == "from env"
    assert QueueConfig.parse(everywhere | {"address": ""}, auth, {}).address == "from auth"


def test_sources_are_asked_before_other_spellings() -> None:
    """A later spelling in the metadata wins over the first one in the authentication."""
    assert QueueConfig.parse({"host": "alias"}, {"address": "auth"}, {}).address == "alias"


def test_a_source_that_is_not_declared_is_not_asked() -> None:
    """A parameter for the metadata cannot come from elsewhere."""
    assert parse({"lengthFromEnv": "N"}, {"length": "7"}, N="9").length == 5


@pytest.mark.parametrize(
    ("metadata", "field", "value"),
    [
        ({"length": "7"}, "length", 7),
        ({"ratio": "1e3"}, "ratio", 1000.0),
        ({"ratio": "-0.25"}, "ratio", -0.25),
        ({"timeout": "1500"}, "timeout", 1.5),
        ({"timeout": "1m30s"}, "timeout", 90.0),
        ({"timeout": "250ms"}, "timeout", 0.25),
        ({"timeout": "1.5h"}, "timeout", 5400.0),
        ({"timeout": "0"}, "timeout", 0.0),
        ({"fast": "T"}, "is_fast", True),
        ({"fast": "False"}, "is_fast", False),
        ({"parts": "1, 3-5,9"}, "parts", (1, 3, 4, 5, 9)),
        ({"parts": "5-3"}, "parts", ()),
        ({"names": "a ; b,c"}, "names", ("a", "b,c")),
        ({"colours": "blue, red"}, "colours", (Colour.BLUE, Colour.RED)),
        ({"labels": "a=1, b = x y"}, "labels", {"a": "1", "b": "x y"}),
        ({"form": "a=1%202&b=&a=3"}, "form", {"a": "1 2", "b": ""}),
        ({"format": "xml"}, "format", "xml"),
    ],
)
def test_text_becomes_the_declared_type(
    metadata: dict[str, str], field: str, value: object
) -> None:
    """Each kind of parameter accepts what KEDA accepts."""
    assert getattr(parse(metadata), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("length", "+3"),
        ("length", "1.5"),
        ("length", "1e3"),
        ("length", "0x10"),
        ("length", "007"),
        ("length", "99999999999999999999"),
        ("length", "0"),
        ("length", "101"),
        ("ratio", "inf"),
        ("ratio", "NaN"),
        ("ratio", "1e400"),
        ("ratio", "1_000"),
        ("timeout", "-1"),
        ("timeout", "3 s"),
        ("timeout", "1e3"),
        ("fast", "yes"),
        ("parts", "1 - 3"),
        ("parts", "1-2-3"),
        ("parts", "1,,2"),
        ("parts", "0-9999999"),
        ("parts", "2147483648"),
        ("parts", "-1"),
        ("colours", "red,green"),
        ("labels", "a=1,b"),
        ("labels", "a=b=c"),
        ("form", "a=%zz"),
        ("format", "JSON"),
        ("old", "anything"),
    ],
)
def test_text_that_does_not_fit_is_refused_by_name(name: str, text: str) -> None:
    """A bad value is a problem of its parameter, with the value in the message."""
    found = problems({"address": "here", name: text})
    assert set(found) == {name}
    assert name == "old" or text in found[name]


def test_every_problem_is_reported_at_once() -> None:
    """One attempt shows everything there is to repair, nested blocks included."""
    found = problems({"length": "x", "format": "yml", "old": "1", "depth": "deep"})
    assert set(found) == {"address", "length", "format", "old", "depth"}


def test_a_secret_value_is_never_shown() -> None:
    """The message about a bad authentication parameter repeats no secret."""
    config = parse({}, {"secret": "hunter-22", "token": "tok-333"})
    assert "hunter-22" not in repr(config)
    assert "tok-333" not in str(config)
    assert config.secret is not None
    assert config.secret.get_secret_value() == "hunter-22"


def test_checks_across_fields_see_the_context() -> None:
    """The hook runs on a valid configuration and may look at where the trigger stands."""
    assert problems({"address": "here", "length": "13"}) == {"length": "is unlucky"}
    context = TriggerContext(is_metric_source=True)
    assert QueueConfig.parse({"address": "here", "length": "13"}, context=context).length == 13


def test_an_optional_block_is_absent_until_one_of_its_parameters_is_given() -> None:
    """A block with required parameters stays None when nobody uses it."""
    assert parse({}).extra is None
    assert parse({"depth": "3"}).extra == Extra(depth=3)


@pytest.mark.parametrize("metric_type", ["Utilization", "averageValue", "bogus"])
def test_an_unknown_metric_type_is_refused(metric_type: str) -> None:
    """External metrics know AverageValue and Value only, spelled exactly."""
    with pytest.raises(TriggerConfigError, match="metricType"):
        QueueConfig.parse({"address": "x"}, context=TriggerContext(metric_type=metric_type))


def test_unknown_parameters_are_guessed() -> None:
    """A misspelt parameter is ignored, but a warning says what was probably meant."""
    warnings = QueueConfig.warnings({"address": "x", "lenght": "5", "ancient": "1"})
    assert warnings == (
        'parameter "ancient" is deprecated: use length',
        'parameter "lenght" is not known; did you mean "length"?',
    )


def test_the_description_says_what_a_user_needs() -> None:
    """Names, type, default, bounds and sources come from the declaration itself."""
    described = {p.name: p for p in QueueConfig.describe()}
    assert described["address"].required
    assert described["address"].aliases == ("host",)
    assert described["address"].sources == ("metadata", "env", "auth")
    assert (described["length"].default, described["length"].accepted) == ("5", "> 0, <= 100")
    assert described["timeout"].default == "3s"
    assert described["format"].accepted == "json | xml"
    assert described["token"].secret
    assert described["depth"].type == "whole number"
