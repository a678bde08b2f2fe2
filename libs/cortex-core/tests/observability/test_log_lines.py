"""Log lines: their form, whom they belong to, and what never stands in them."""

import io
import json
import logging
import sys
import threading
from datetime import datetime
from typing import Any

import pytest

from cortex_core.kernel import TraceContext, use_context
from cortex_core.kernel.clock import parse_rfc3339
from cortex_core.observability import Logger, Status, configure_logging
from cortex_core.observability import logging as ours

CANARY = "canary-7f3a-must-not-be-seen"


def test_a_line_is_one_json_object_with_its_head_in_order(lines: Any) -> None:
    trace = TraceContext.new()
    with use_context(trace=trace, tenant="acme", request_id="req_1"):
        Logger.get("orders").info("order placed", order_id="ord_1", total=2500)

    line = lines.one()
    assert list(line.items())[1:] == [
        ("level", "info"),
        ("event", "order placed"),
        ("service", "order"),
        ("logger", "orders"),
        ("trace_id", trace.trace_id),
        ("span_id", trace.span_id),
        ("tenant", "acme"),
        ("request_id", "req_1"),
        ("order_id", "ord_1"),
        ("total", 2500),
    ]
    assert next(iter(line)) == "time"
    assert isinstance(parse_rfc3339(line["time"]), datetime)


def test_what_there_is_not_is_left_out(lines: Any) -> None:
    Logger.get("orders").info("started")

    assert list(lines.one()) == ["time", "level", "event", "service", "logger", "tenant"]


def test_bound_fields_are_on_each_line_and_on_no_other_loggers(lines: Any) -> None:
    log = Logger.get("orders")
    bound = log.bind(order_id="ord_1")

    bound.info("one")
    bound.info("two", order_id="ord_2")
    log.info("three")

    assert [line.get("order_id") for line in lines.all()] == ["ord_1", "ord_2", None]
    assert isinstance(bound, Logger)


def test_lines_below_the_level_are_not_written(lines: Any) -> None:
    log = Logger.get("orders")
    for level, expected in (("debug", 5), ("info", 4), ("warning", 3), ("error", 2), ("critical", 1)):
        lines.seek(0)
        lines.truncate()
        configure_logging(service="order", level=level, stream=lines)
        for say in (log.debug, log.info, log.warning, log.error, log.critical):
            say("something")
        assert len(lines.all()) == expected


def test_a_field_named_like_the_head_does_not_replace_it(lines: Any) -> None:
    Logger.get("orders").info("started", service="liar", time="yesterday", logger="other")

    line = lines.one()
    assert (line["service"], line["service_"], line["time_"]) == ("order", "liar", "yesterday")
    assert (line["logger"], line["logger_"]) == ("orders", "other")


def test_an_unknown_level_is_refused_and_named() -> None:
    with pytest.raises(ValueError, match="'loud'"):
        configure_logging(service="order", level="loud")


class TestExceptions:
    def test_an_exception_is_a_field_with_its_causes_on_one_line(self, lines: Any) -> None:
        def look_up() -> None:
            try:
                dict[str, str]()["inner"]
            except KeyError as error:
                raise RuntimeError("outer\nin two lines") from error

        try:
            look_up()
        except RuntimeError:
            Logger.get("orders").exception("it broke", order_id="ord_1")

        assert lines.getvalue().count("\n") == 1
        line = lines.one()
        assert line["level"] == "error"
        assert [(each["exc_type"], each["exc_value"]) for each in line["exception"]] == [
            ("RuntimeError", "outer\nin two lines"),
            ("KeyError", "'inner'"),
        ]
        assert [frame["name"] for frame in line["exception"][0]["frames"]][-1] == "look_up"

    def test_an_exception_can_be_handed_over(self, lines: Any) -> None:
        Logger.get("orders").warning("it broke", exc_info=ValueError("never raised"))

        assert lines.one()["exception"][0]["exc_value"] == "never raised"

    def test_without_an_exception_there_is_no_such_field(self, lines: Any) -> None:
        Logger.get("orders").exception("nothing broke")

        assert "exception" not in lines.one()

    def test_its_local_variables_are_not_shown(self, lines: Any) -> None:
        def sign_in(password: str) -> None:
            copied = {"nested": password}
            raise RuntimeError(f"refused, {len(copied)} reasons")

        try:
            sign_in(CANARY)
        except RuntimeError:
            Logger.get("orders").exception("sign-in failed")

        assert "sign_in" in lines.getvalue()
        assert CANARY not in lines.getvalue()


class Opaque:
    def __repr__(self) -> str:
        return f"Opaque({CANARY})"


class TestAnyValueBecomesALine:
    def test_of_values_json_does_not_know(self, lines: Any) -> None:
        circle: dict[str, Any] = {}
        circle["again"] = circle

        Logger.get("orders").info(
            "odd",
            big=1 << 80,
            nan=float("nan"),
            surrogate="\ud800",
            keys={1: "a"},
            some={"b"},
            status=Status.UP,
            circle=circle,
        )

        line = lines.one()
        assert line["big"] == str(1 << 80)
        assert (line["keys"], line["some"], line["status"]) == ({"1": "a"}, ["b"], "up")
        assert line["surrogate"] == "\ud800"

    def test_an_object_is_its_class(self, lines: Any) -> None:
        Logger.get("orders").info("odd", thing=Opaque())

        assert lines.one()["thing"] == "<Opaque>"


class TestOtherLibraries:
    def test_their_lines_become_ours(self, lines: Any) -> None:
        with use_context(request_id="req_1"):
            logging.getLogger("uvicorn.error").warning("port %d is taken", 3000)

        line = lines.one()
        assert (line["level"], line["event"], line["logger"]) == ("warning", "port 3000 is taken", "uvicorn.error")
        assert (line["service"], line["request_id"]) == ("order", "req_1")

    def test_the_level_holds_for_them_too(self, lines: Any) -> None:
        logging.getLogger("chatty").debug("nobody cares")

        assert lines.all() == []

    def test_what_they_say_below_info_is_never_heard(self, lines: Any, caplog: pytest.LogCaptureFixture) -> None:
        """Debugging ours must not show what a driver is given: aiosqlite logs each statement with its parameters."""
        configure_logging(service="order", level="debug", stream=lines)

        logging.getLogger("driver").debug("executing %s", CANARY)
        logging.getLogger("aiosqlite").info("executing %s", CANARY)
        logging.getLogger("sqlalchemy.engine.Engine").info("executing %s", CANARY)
        logging.getLogger("driver").info("heard")
        logging.getLogger("aiosqlite").warning("heard")
        logging.getLogger("cortex_core.events").debug("heard")

        assert [line["event"] for line in lines.all()] == ["heard", "heard", "heard"]
        assert CANARY not in caplog.text

    def test_one_that_turns_its_own_debugging_on_is_not_heard_either(
        self, lines: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure_logging(service="order", level="debug", stream=lines)
        monkeypatch.setattr(logging.getLogger("stubborn"), "level", logging.DEBUG)

        logging.getLogger("stubborn").debug("executing %s", CANARY)

        assert lines.all() == []

    def test_a_higher_level_holds_for_ours_and_for_them(self, lines: Any) -> None:
        configure_logging(service="order", level="error", stream=lines)

        for name in ("driver", "aiosqlite", "cortex_core.events"):
            logging.getLogger(name).warning("nobody cares")

        assert lines.all() == []

    def test_a_line_whose_arguments_do_not_fit_is_still_written(
        self, lines: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = logging.getLogger()  # pytest's own handlers raise at such a line: only ours is under test
        monkeypatch.setattr(root, "handlers", [each for each in root.handlers if isinstance(each, ours._Bridge)])

        logging.getLogger("sloppy").error("%d orders", "many")

        assert lines.one()["event"] == "%d orders"

    def test_configuring_twice_does_not_double_them(self, lines: Any) -> None:
        configure_logging(service="order", stream=lines)

        logging.getLogger("uvicorn").info("once")

        assert len(lines.all()) == 1


class TestTheOutput:
    def test_a_reader_that_has_gone_costs_a_line_and_no_request(self, lines: Any) -> None:
        class Gone(io.StringIO):
            def write(self, text: str) -> int:
                raise BrokenPipeError

        configure_logging(service="order", stream=Gone())
        before = ours._output.lost

        Logger.get("orders").info("into the void")

        assert ours._output.lost == before + 1

    def test_before_any_configuration_lines_are_json_on_standard_output_without_secrets(
        self, lines: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        vars(ours._output).update(vars(ours._Output()))

        Logger.get("early").info("hello", token=CANARY)

        line = json.loads(capsys.readouterr().out)
        assert (line["event"], line["token"]) == ("hello", "[redacted]")

    def test_lines_of_several_threads_stay_whole(self, lines: Any) -> None:
        def talk() -> None:
            for _ in range(100):
                Logger.get("orders").info("tick", filler="x" * 500)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=talk) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)

        assert len(lines.all()) == 400
