"""What a connection is allowed, as settings: `ORDER_HEAD_TIMEOUT=5`. Every service has them; `Config` inherits them."""

import re
from typing import Annotated, Any, Final

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from cortex_core.chassis.http_protocol.limits import ConnectionLimits
from cortex_core.chassis.setting_files import FromEnvironment

_ALLOWED: Final = ConnectionLimits()
_HOST: Final = re.compile(r"[a-z0-9._~-]+|\[[0-9a-f:.]+\]", re.ASCII)


class GuardSettings(FromEnvironment):
    """Times in seconds, sizes in bytes. docs/blocks/server-guards.md says what each is for."""

    head_timeout: float = Field(default=_ALLOWED.head_timeout, gt=0, description="Seconds for a request's head.")
    keep_alive_timeout: float = Field(
        default=_ALLOWED.keep_alive, gt=0, description="Seconds that a connection may be idle between requests."
    )
    body_silence_timeout: float = Field(
        default=_ALLOWED.body_silence, gt=0, description="Seconds without a byte of a body that is waited for."
    )
    body_grace: float = Field(
        default=_ALLOWED.body_grace, gt=0, description="Seconds before a body must have had its rate."
    )
    body_min_rate: float = Field(default=_ALLOWED.body_rate, gt=0, description="Bytes a second, on average.")
    write_silence_timeout: float = Field(
        default=_ALLOWED.write_silence, gt=0, description="Seconds that a client may leave an answer untaken."
    )
    head_limit: int = Field(default=_ALLOWED.head_size, gt=0, description="Bytes a request's head may have.")
    header_count_limit: int = Field(default=_ALLOWED.header_count, gt=0, description="Header lines of a request.")
    target_limit: int = Field(default=_ALLOWED.target_size, gt=0, description="Bytes a request's target may have.")
    pipeline_limit: int = Field(default=_ALLOWED.pipelined, gt=0, description="Requests waiting on a connection.")
    connection_limit: int = Field(default=_ALLOWED.connections, gt=0, description="Connections of this process.")
    hosts: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Hosts answered for, by commas, without ports; none named: all. Where anonymous callers are served:"
        " these, addresses and names without a dot.",
    )

    @field_validator("hosts", mode="before")
    @classmethod
    def _hosts_by_commas(cls, value: Any) -> Any:
        return [part.strip().lower() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, value: frozenset[str]) -> frozenset[str]:
        if not all(_HOST.fullmatch(host) for host in value):
            raise ValueError("a host is a name, an IPv4 address or an IPv6 address in brackets, without a port")
        return value

    @property
    def connection_limits(self) -> ConnectionLimits:
        return ConnectionLimits(
            head_timeout=self.head_timeout,
            keep_alive=self.keep_alive_timeout,
            body_silence=self.body_silence_timeout,
            body_grace=self.body_grace,
            body_rate=self.body_min_rate,
            write_silence=self.write_silence_timeout,
            head_size=self.head_limit,
            header_count=self.header_count_limit,
            target_size=self.target_limit,
            pipelined=self.pipeline_limit,
            connections=self.connection_limit,
            hosts=self.hosts,
        )
