"""Steps as their authors write them: what they are given, what they may return, what is refused and how it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from logging import Logger
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pandas as pd
import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from framework import (
    BasePlugin,
    Context,
    DataHub,
    DataSink,
    DataSource,
    OptionError,
    ParameterError,
    PluginException,
    StepError,
    plugin,
    run_step,
)
from framework.redact import redact
from framework.steps.base_plugin import ClassPlugin
from framework.steps.context import Wiring
from framework.steps.models import HIDDEN, hides, masked
from framework.steps.plugin import OURS, Plugin

if TYPE_CHECKING:
    from decimal import Decimal

PRICES = pd.DataFrame({"price": [1.0, 2.0, 3.0]})
Frames = ConfigDict(arbitrary_types_allowed=True)


def spec(function: Any) -> Plugin:
    made: Plugin = getattr(function, OURS)
    return made


class Config(BaseModel):
    model_config = Frames

    prices: Annotated[pd.DataFrame, DataSource(name="raw_prices")]
    doubled: Optional[Annotated[pd.DataFrame, DataSink(name="doubled_prices")]] = None  # noqa: UP045 - as specified
    factor: float = 2.0


@plugin(name="Doubler", default_config=Config, version="2", tags=("a", "b"))
def double(config: Config, logger: Logger) -> pd.DataFrame:
    """Twice as much."""
    logger.info("times %s", config.factor)
    return config.prices * config.factor


# --------------------------------------------------------------------------- what it is given


def test_a_function_stays_the_function_that_it_is() -> None:
    """It can be called directly, with a config that the test makes."""
    made = double(Config(prices=PRICES, factor=3.0), logging.getLogger())
    assert made["price"].tolist() == [3.0, 6.0, 9.0]
    assert double.__name__ == "double"


def test_a_step_is_run_with_plain_frames() -> None:
    """By the name of the config's field or of the data, with parameters beside it."""
    assert run_step(double, prices=PRICES)["price"].tolist() == [2.0, 4.0, 6.0]
    assert run_step(double, raw_prices=PRICES, factor=10)["price"].tolist() == [10.0, 20.0, 30.0]


def test_services_come_by_name() -> None:
    """config, logger, context, data_hub, and project_root and case_path as paths."""
    seen: dict[str, Any] = {}

    @plugin(default_config=Config)
    def look(
        config: Any,
        logger: Any,
        context: Any,
        data_hub: Any,
        project_root: Any,
        case_path: Any,
        factor: Any,
        prices: Any,
    ) -> None:
        seen.update(locals())

    run_step(look, prices=PRICES, factor=4)
    assert isinstance(seen["config"], Config)
    assert isinstance(seen["logger"], Logger)
    assert isinstance(seen["context"], Context)
    assert isinstance(seen["data_hub"], DataHub)
    assert isinstance(seen["project_root"], Path)
    assert isinstance(seen["case_path"], Path)
    assert seen["factor"] == 4.0
    assert seen["prices"] is seen["config"].prices
    context = seen["context"]
    assert (context.config, context.data_hub, context.logger) == (seen["config"], seen["data_hub"], seen["logger"])
    assert (context.project_root, context.case_path) == (seen["project_root"], seen["case_path"])


def test_services_come_by_type() -> None:
    """Whatever the parameter is called, and also when it is optional."""
    seen: dict[str, Any] = {}

    @plugin(default_config=Config)
    def look(settings: Config, log: Logger | None, hub: DataHub, around: Context, base: BaseModel) -> None:
        seen.update(locals())

    run_step(look, prices=PRICES)
    kinds = {name: type(value) for name, value in seen.items()}
    assert kinds["settings"] is Config
    assert issubclass(kinds["log"], Logger)
    assert kinds["hub"] is DataHub
    assert kinds["around"] is Context


def test_a_type_that_is_unknown_at_run_time_spoils_no_other() -> None:
    """`if TYPE_CHECKING:` is fine for whatever is not injected by its type."""

    @plugin(default_config=Config)
    def look(log: Logger, factor: Decimal) -> Decimal | None:
        assert isinstance(log, Logger)
        assert factor == 2.0
        return None

    run_step(look, prices=PRICES)


def test_data_comes_by_name_without_a_config() -> None:
    """A function without a config takes data by the names of its parameters, and has its defaults."""

    @plugin(name="sum")
    def add(left: pd.DataFrame, right: pd.DataFrame, scale: float = 2.0) -> None:
        assert ((left + right) * scale)["price"].tolist() == [4.0, 8.0, 12.0]

    run_step(add, left=PRICES, right=PRICES)
    with pytest.raises(ParameterError, match=r"takes no 'rigth'\. Did you mean 'right'"):
        run_step(add, left=PRICES, rigth=PRICES)


def test_the_decorator_may_stand_bare() -> None:
    """`@plugin` alone is `@plugin()`."""

    @plugin
    def plain(x: int) -> None:
        """Nothing."""

    assert spec(plain).name == "plain"
    assert (spec(double).name, spec(double).version, spec(double).tags) == ("Doubler", "2", ("a", "b"))


def test_both_ways_to_say_optional_are_read() -> None:
    """`Optional[Annotated[...]]`, `Annotated[...] | None`, and the marker beside an optional type."""

    class Three(BaseModel):
        model_config = Frames
        one: Optional[Annotated[pd.DataFrame, DataSink(name="a")]] = None  # noqa: UP045 - as specified
        two: Annotated[pd.DataFrame, DataSink(name="b")] | None = None
        three: Annotated[pd.DataFrame | None, DataSink(name="c")] = None
        read: Annotated[pd.DataFrame, DataSource(name="d", must_exist=False)] | None = None

    @plugin(default_config=Three)
    def make(config: Three) -> tuple[pd.DataFrame, ...]:
        return (PRICES, PRICES * 2, PRICES * 3)

    assert {field: sink.name for field, sink in spec(make).sinks.items()} == {"one": "a", "two": "b", "three": "c"}
    assert list(spec(make).sources) == ["read"]
    assert [each["price"][0] for each in run_step(make).values()] == [1.0, 2.0, 3.0]


def test_an_optional_sink_without_a_default_holds_nothing_before() -> None:
    """The author need not write `= None`."""

    class Lazy(BaseModel):
        model_config = Frames
        made: Annotated[pd.DataFrame, DataSink(name="made")] | None

    @plugin(default_config=Lazy)
    def make(config: Lazy) -> pd.DataFrame:
        assert config.made is None
        return PRICES

    assert run_step(make) is not None


def test_aliases_name_fields_and_data_alike() -> None:
    """A parameter may be said by its alias or its own name; a source may have an alias too."""

    class Aliased(BaseModel):
        model_config = Frames
        prices: Annotated[pd.DataFrame, DataSource(name="raw")] = Field(alias="Prices")
        factor: float = Field(2.0, alias="theFactor")

    @plugin(default_config=Aliased)
    def use(config: Aliased, factor: float) -> None:
        assert factor == config.factor == 5.0
        assert len(config.prices) == 3

    run_step(use, prices=PRICES, factor=5)
    assert spec(use).spellings() == {"Prices": "prices", "theFactor": "factor"}


def test_a_model_that_takes_any_name_gives_it_on() -> None:
    """extra="allow": what it does not declare is a parameter as well; extra="forbid" and the rest refuse it."""

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")
        known: int = 1

    @plugin(default_config=Open)
    def take(config: Open, colour: str) -> None:
        assert (config.model_extra, colour) == ({"colour": "red"}, "red")

    @plugin(default_config=Closed)
    def refuse(config: Closed) -> None:
        """Nothing."""

    run_step(take, colour="red")
    assert spec(refuse).faults({"knwon": 2}) == [("knwon", "")]
    with pytest.raises(ParameterError, match="Did you mean 'known'"):
        run_step(refuse, knwon=2)


# --------------------------------------------------------------------------- what it returns


class Two(BaseModel):
    model_config = Frames
    low: Annotated[pd.DataFrame, DataSink(name="low_data")] | None = None
    high: Annotated[pd.DataFrame, DataSink(name="high_data")] | None = None


def returning(value: Any, model: type[BaseModel] = Two) -> Any:
    @plugin(name="Returner", default_config=model)
    def give(config: Any) -> Any:
        return value

    return give


LOW, HIGH = PRICES, PRICES + 10


@pytest.mark.parametrize(
    "value",
    [
        {"low_data": LOW, "high_data": HIGH},
        {"low": LOW, "high": HIGH},
        {"high_data": HIGH, "low": LOW},
        (LOW, HIGH),
        [LOW, HIGH],
    ],
    ids=["names", "fields", "mixed", "tuple", "list"],
)
def test_several_sinks_take_a_mapping_or_a_tuple(value: Any) -> None:
    """By the data's names, the fields' names, or in the order of the fields."""
    made = run_step(returning(value))
    assert (made["low_data"]["price"][0], made["high_data"]["price"][0]) == (1.0, 11.0)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (LOW, "returned DataFrame for 2 sinks. Return a mapping with low_data, high_data"),
        ((LOW,), "returned 1 values for 2 sinks"),
        ((LOW, HIGH, HIGH), "returned 3 values for 2 sinks"),
        ({"low": LOW, "hihg": HIGH}, "returned 'hihg', which is none of its sinks. They are: low_data, high_data"),
        ({"low": LOW, "high": [1]}, "returned a list for 'high_data', which is declared as DataFrame"),
        ("ab", "returned str for 2 sinks"),
    ],
    ids=["one", "too few", "too many", "wrong name", "wrong type", "text"],
)
def test_a_wrong_return_is_an_error_that_says_what_to_return(value: Any, told: str) -> None:
    """A typed one, before anything is saved."""
    with pytest.raises(StepError) as caught:
        run_step(returning(value))
    assert told in str(caught.value)


class One(BaseModel):
    model_config = Frames
    made: Annotated[pd.DataFrame, DataSink(name="made_data")] | None = None


def test_one_sink_takes_the_value_or_a_mapping_of_it() -> None:
    """And refuses what is not of the declared type."""
    assert run_step(returning(PRICES, One)) is PRICES
    assert run_step(returning({"made_data": PRICES}, One)) is PRICES
    with pytest.raises(StepError, match="returned a dict for 'made_data', which is declared as DataFrame"):
        run_step(returning({"price": [1]}, One))


class Loose(BaseModel):
    number: Annotated[float, DataSink(name="number")] | None = None
    where: Annotated[Path, DataSink(name="where")] | None = None
    table: Annotated[dict[str, int], DataSink(name="table")] | None = None
    flag: Annotated[bool, DataSink(name="flag")] | None = None
    word: Annotated[Literal["a"], DataSink(name="word")] | None = None
    rest: Annotated[Any, DataSink(name="rest")] = None


def test_types_that_a_handler_takes_as_well_are_not_refused() -> None:
    """A whole number for a float, text for a path, a mapping for a mapping with types, anything for Any."""
    made = run_step(returning((3, "a/b", {"a": 1}, True, "b", object()), Loose))
    assert made["number"] == 3


def test_a_sink_that_is_a_mapping_keeps_it() -> None:
    """A mapping with the sink's own name as a key is not taken apart where the sink is a mapping."""

    class Table(BaseModel):
        table: Annotated[dict[str, int], DataSink(name="table")] | None = None

    assert run_step(returning({"table": 1}, Table)) == {"table": 1}


def test_pieces_may_be_returned_by_an_iterator() -> None:
    """An iterator is any type in pieces: its handler takes it."""
    pieces = iter([PRICES, PRICES])
    call = spec(returning(pieces, One)).step(wiring(DataHub("/nowhere"))).call
    assert call().outputs["made_data"] is pieces


def wiring(hub: DataHub, **params: Any) -> Wiring:
    context = Context(hub, logging.getLogger("test"), Path("/nowhere"), Path("/nowhere"))
    return Wiring("Step", context, params)


def test_none_for_a_sink_warns_and_names_it() -> None:
    """None leaves the sink untouched; one of several can be left out."""
    hub = DataHub("/nowhere")
    made = spec(returning({"low": LOW})).step(wiring(hub)).call()
    assert (made.outputs["low_data"] is LOW, made.outputs["high_data"]) == (True, None)
    assert made.warnings == ["'Step' made nothing for 'high_data', which stays as it was."]
    assert len(spec(returning(None)).step(wiring(hub)).call().warnings) == 2


def test_a_function_without_sinks_makes_what_the_case_calls_its_outputs() -> None:
    """`outputs: [a]` in the case, and the value is `a`; what it returns otherwise is nobody's."""

    @plugin
    def give() -> int:
        return 7

    base = wiring(DataHub("/nowhere"))
    named = Wiring("Step", base.context, {}, outputs=("a",))
    assert spec(give).step(named).call().outputs == {"a": 7}
    assert spec(give).step(base).call().outputs == {}


# --------------------------------------------------------------------------- what is refused


async def later() -> int:
    return 1


async def many_later() -> Any:
    yield 1


def pieces() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("function", [later, many_later, pieces], ids=["async", "async generator", "generator"])
def test_a_function_that_is_not_done_when_it_returns_is_refused(function: Any) -> None:
    """The message says what to write instead."""
    plugin(name="Late")(function)
    with pytest.raises(PluginException, match=r"'Late' is an? (async|generator) function.*(Write|Return)"):
        run_step(function)
    assert asyncio.run(later()) == 1


def test_a_class_whose_run_is_async_is_refused() -> None:
    """As a function is."""

    class Slow(BasePlugin):
        async def run(self, data_hub: Any) -> None:
            """Nothing."""

    with pytest.raises(PluginException, match="run of Slow is an async function"):
        run_step(Slow)


def test_a_parameter_by_place_alone_is_refused() -> None:
    """A step is given everything by name."""

    @plugin
    def placed(x: int, /) -> None:
        """Nothing."""

    with pytest.raises(PluginException, match="takes 'x' by its place alone"):
        run_step(placed, x=1)


def test_variable_parameters_are_given_nothing() -> None:
    """`*args` and `**kwargs` stand for no data."""

    @plugin
    def loose(x: int, *rest: Any, **more: Any) -> None:
        assert (x, rest, more) == (1, (), {})

    run_step(loose, x=1)


def test_a_required_sink_that_may_not_be_none_is_refused() -> None:
    """It holds nothing before the step runs; the message shows how to declare it."""

    class Strict(BaseModel):
        model_config = Frames
        made: Annotated[pd.DataFrame, DataSink(name="made")]

    @plugin(default_config=Strict)
    def make(config: Strict) -> None:
        """Nothing."""

    with pytest.raises(PluginException, match=r"made: Optional\[Annotated\[\.\.\., DataSink\(\.\.\.\)\]\] = None"):
        run_step(make)


def test_a_config_that_is_no_model_is_refused() -> None:
    """A dictionary of defaults is not a model."""

    @plugin(default_config={"a": 1})  # type: ignore[arg-type]
    def make(config: Any) -> None:
        """Nothing."""

    with pytest.raises(PluginException, match="no pydantic model"):
        run_step(make)


def test_a_type_of_a_config_that_is_unknown_at_run_time_is_told() -> None:
    """Else its data would silently not be seen."""

    class Forward(BaseModel):
        model_config = Frames
        prices: Annotated[Decimal, DataSource(name="raw")]

    @plugin(default_config=Forward)
    def make(config: Any) -> None:
        """Nothing."""

    with pytest.raises(PluginException, match=r"Forward names 'Decimal'.*TYPE_CHECKING"):
        run_step(make)


def test_what_is_no_step_is_refused() -> None:
    """A plain function, a plain class."""
    with pytest.raises(OptionError, match="is no step"):
        run_step(len, x=1)
    with pytest.raises(OptionError, match=r"reads 'raw_prices', which is not given\. Pass prices="):
        run_step(double)


# --------------------------------------------------------------------------- parameters


class Rules(BaseModel):
    """With rules of every kind."""

    model_config = Frames
    prices: Annotated[pd.DataFrame, DataSource(name="raw")]
    low: int = Field(1, ge=0)
    high: int = 5
    even: int = 2
    column: str = "price"

    @field_validator("even")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value

    @field_validator("low", mode="wrap")
    @classmethod
    def _is_small(cls, value: Any, handler: Any) -> int:
        if value == 999:
            raise ValueError("too much")
        return int(handler(value))

    @field_validator("column")
    @classmethod
    def _is_there(cls, value: str, info: Any) -> str:
        if value not in getattr(info.data["prices"], "columns", ()):
            raise ValueError("no such column")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Rules:
        if self.high > (0 if self.prices is None else len(self.prices) + 5):
            raise ValueError("more than there are")
        return self


@plugin(name="Ruled", default_config=Rules)
def ruled(config: Rules) -> None:
    """Nothing."""


def test_rules_over_one_field_are_checked_before_anything_runs() -> None:
    """Types, bounds and the author's own rules; all faults at once."""
    assert spec(ruled).faults({"low": -1, "even": 3, "high": "x", "nope": 1}) == [
        ("nope", ""),
        ("low", "Input should be greater than or equal to 0"),
        ("high", "Input should be a valid integer, unable to parse string as an integer"),
        ("even", "must be even"),
    ]


def test_a_rule_around_a_field_is_checked_before_too() -> None:
    """It sees the value alone, as the others do."""
    assert spec(ruled).faults({"low": 999}) == [("low", "too much")]


def test_rules_that_look_at_the_data_are_left_for_the_run() -> None:
    """They are no fault before, and the step's error then."""
    assert spec(ruled).faults({"column": "nope", "high": 100}) == []
    run_step(ruled, prices=PRICES)
    with pytest.raises(ParameterError, match="'Ruled': column: no such column"):
        run_step(ruled, prices=PRICES, column="nope")
    with pytest.raises(ParameterError, match="'Ruled': its config: more than there are"):
        run_step(ruled, prices=PRICES, high=100)


def test_a_rule_over_fields_is_checked_before_where_there_is_no_data() -> None:
    """Nothing that it could look at is missing."""

    class Span(BaseModel):
        start: int = 0
        end: int = 1

        @model_validator(mode="after")
        def _ordered(self) -> Span:
            if self.end < self.start:
                raise ValueError("ends before it starts")
            return self

    @plugin(default_config=Span)
    def span(config: Span) -> None:
        """Nothing."""

    assert spec(span).faults({"start": 5}) == [("", "ends before it starts")]


def test_a_rule_that_changes_what_is_given_is_left_for_the_run() -> None:
    """Before it, nobody knows what the parameters are."""

    class Old(BaseModel):
        model_config = Frames
        prices: Annotated[pd.DataFrame, DataSource(name="raw")]
        rate: float

        @model_validator(mode="before")
        @classmethod
        def _default(cls, values: Any) -> Any:
            return {"rate": 1.0, **values}

    @plugin(default_config=Old)
    def old(config: Old) -> None:
        """Nothing."""

    assert spec(old).faults({}) == []
    run_step(old, prices=PRICES)


def test_data_is_no_parameter() -> None:
    """Whoever sets a source in a case means the case's data table."""
    assert spec(double).faults({"prices": "a.csv"})[0][1].startswith("is data, which the case names")


def test_data_of_a_wrong_type_says_which_data() -> None:
    """By the name that the case gives it."""
    with pytest.raises(ParameterError, match=r"the data 'raw_prices' is not what the step wants: .*DataFrame"):
        run_step(double, prices=[1, 2])


def test_nested_models_are_read_and_checked() -> None:
    """A fault in one says the way to it."""

    class Server(BaseModel):
        host: str = "a"
        port: int = 1

    class Nested(BaseModel):
        server: Server = Server()
        others: list[Server] = []

    @plugin(default_config=Nested)
    def use(config: Nested) -> None:
        assert config.server.port == 5

    run_step(use, server={"port": 5})
    faults = spec(use).faults({"server": {"port": "x"}, "others": [{"port": "y"}]})
    assert [name for name, _ in faults] == ["server.port", "others.0.port"]


# --------------------------------------------------------------------------- secrets


class Login(BaseModel):
    key: SecretStr
    account: SecretStr | None = None
    user: str = "me"


class Hidden(BaseModel):
    login: Login
    logins: list[Login] = []
    auth: SecretStr = SecretStr("from the code")
    db_password: str = ""
    url: str = ""
    rate: float = 1.0


@plugin(default_config=Hidden)
def hidden(config: Hidden) -> None:
    assert config.login.key.get_secret_value() == "deep-secret-1"


def test_secrets_are_masked_wherever_they_lie() -> None:
    """By their type at any depth, by their name, and a URL's password; the rest is shown."""
    login = {"key": "deep-secret-1", "account": "deep-secret-6", "user": "you"}
    given = {
        "login": login,
        "logins": [login],
        "auth": "plain-secret-2",
        "db_password": "plain-secret-3",
        "url": "postgres://me:plain-secret-4@host/db",
        "rate": 2.0,
    }
    shown = spec(hidden).shown(given)
    assert "secret" not in str(shown)
    assert shown["login"] == {"key": HIDDEN, "account": HIDDEN, "user": "you"}
    assert shown["rate"] == 2.0
    assert [name for name, value in shown.items() if hides(value)] == ["login", "logins", "auth", "db_password", "url"]
    assert spec(hidden).shown({"auth": SecretStr("x-secret-5"), "login": Login(key=SecretStr("y-secret"))}) == {
        "auth": HIDDEN,
        "login": {"key": HIDDEN, "account": None, "user": "me"},
    }
    run_step(hidden, login=login)


def test_a_fault_does_not_show_the_secret() -> None:
    """Not even where the author's own rule repeats what it was given."""

    class Loud(BaseModel):
        api_key: SecretStr

        @field_validator("api_key")
        @classmethod
        def _check(cls, value: SecretStr) -> SecretStr:
            raise ValueError(f"{value.get_secret_value()} is wrong")

    @plugin(default_config=Loud)
    def loud(config: Loud) -> None:
        """Nothing."""

    given = {"api_key": "hush-hush-hush"}
    spec(loud).shown(given)
    assert spec(loud).faults(given) == [("api_key", "*** is wrong")]


# --------------------------------------------------------------------------- classes


class Scale(BasePlugin):
    """Scales."""

    version = "3"

    class Params(BaseModel):
        by: float = 2.0

    def run(self, data_hub: Any) -> None:
        super().run(data_hub)
        data_hub.register("scaled", data_hub.get("prices") * self.config["by"])

    def step(self) -> None:
        """A method of that name is the author's own."""


def test_a_class_asks_the_hub_and_registers() -> None:
    """What it registers is what a test gets back."""
    assert run_step(Scale, prices=PRICES)["price"].tolist() == [2.0, 4.0, 6.0]


def test_a_class_with_params_reads_them_typed_and_with_their_defaults() -> None:
    """Also what comes as text from the environment."""
    assert run_step(Scale, prices=PRICES, by="3")["price"].tolist() == [3.0, 6.0, 9.0]
    with pytest.raises(ParameterError, match="by: Input should be a valid number"):
        run_step(Scale, prices=PRICES, by="x")


def test_a_class_without_params_reads_what_it_was_given() -> None:
    """Its config is a plain dictionary, with its inputs and outputs."""

    class Plain(BasePlugin):
        def run(self, data_hub: Any) -> None:
            assert self.config["my_param"] == 42
            assert {"inputs", "outputs"} <= set(self.config)
            data_hub.register("out", data_hub.get("data") + self.config["my_param"])

    assert run_step(Plain, data=1, my_param=42) == 43


def test_a_class_stands_alone() -> None:
    """Its constructor takes nothing, and its run does nothing."""
    made = BasePlugin()
    made.run(DataHub("/nowhere"))
    assert (made.config, made.logger.name) == ({}, "millpond.step.BasePlugin")


def test_a_class_may_have_a_constructor_of_its_own() -> None:
    """It is given what it asks for; one that demands more is refused."""

    class Own(BasePlugin):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.ready = True

        def run(self, data_hub: Any) -> None:
            data_hub.register("ready", self.ready)

    class Demanding(BasePlugin):
        def __init__(self, database: Any) -> None:
            super().__init__()

    assert run_step(Own) is True
    with pytest.raises(PluginException, match="Demanding cannot be made without 'database'"):
        run_step(Demanding)


def test_a_class_as_a_step_says_what_the_case_says() -> None:
    """Its inputs and outputs are the case's; its version and its file are its own."""
    base = wiring(DataHub("/nowhere"))
    step = ClassPlugin(Scale).step(Wiring("My scale", base.context, {"by": 2}, ("prices",), ("scaled",)))
    assert (step.name, step.version, step.inputs, step.outputs) == ("My scale", "3", ("prices",), ("scaled",))
    assert step.source == Path(__file__)


def test_a_class_hides_what_looks_secret_and_shows_the_rest() -> None:
    """With and without a model of its parameters; an alias of one names it too."""

    class Aliased(BasePlugin):
        class Params(BaseModel):
            size: int = Field(1, alias="howMany")

        def run(self, data_hub: Any) -> None:
            data_hub.register("size", self.config["size"])

    assert ClassPlugin(Scale).shown({"by": 2}) == {"by": 2}
    assert ClassPlugin(BasePlugin).shown({"a": [1, "b"], "api_token": "t-secret-7"}) == {
        "a": [1, "b"],
        "api_token": HIDDEN,
    }
    assert ClassPlugin(Aliased).spellings() == {"howMany": "size"}
    assert ClassPlugin(BasePlugin).spellings() == {}
    assert run_step(Aliased, size=5) == 5


def test_what_opens_a_door_is_shown_to_nobody() -> None:
    """Headers and options of file systems are held back whole; those of them that are keys are masked elsewhere too."""
    said = {
        "storage_options": {
            "account_key": "plain-secret-11",
            "client_kwargs": {"headers": {"Cookie": "plain-secret-12"}},
        },
        "headers": {"Authorization": "Bearer plain-secret-13", "Accept": "text/csv"},
        "params": {"sig": "plain-secret-14", "page": "2"},
    }
    shown = masked(said, None)
    assert shown == {"storage_options": "***", "headers": "***", "params": {"sig": "***", "page": "2"}}
    for number in range(11, 15):
        assert f"plain-secret-{number}" not in redact(f"it said plain-secret-{number}")
    assert redact("text/csv") == "text/csv"
