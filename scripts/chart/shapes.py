"""What the API server takes for a name, a quantity, a peer …: the shapes of values that are Kubernetes' own.

It judges object by object, and refuses one when a part of a release is there already; the schema refuses before. Go's
regular expressions, which Helm's are, look neither ahead nor behind.
"""

from typing import Any, Final

Schema = dict[str, Any]

INT32: Final = 2**31 - 1

_PART: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_LAST: Final = "([0-9][0-9-]*)?[a-z]([a-z0-9-]{0,61}[a-z0-9])?"  # a letter in it: an address is no host's name
SUBDOMAIN: Final = f"{_PART}([.]{_PART})*"
HOST: Final = f"([*][.])?({_PART}[.])*{_LAST}"
KEY: Final = f"^({SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?$"
LABEL_VALUE: Final = "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"
_PORT_OF_URL: Final = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_AUTHORITY: Final = rf"([^\s/?#@]+@)?([^\s/?#@:\[\]]+|\[[0-9a-fA-F:.]+\])(:{_PORT_OF_URL})?"


def url(schemes: str) -> Schema:
    """One with a port that there is, for a NetworkPolicy has it too; or empty."""
    return {"type": "string", "pattern": rf"^({schemes}://{_AUTHORITY}([/?#][^\s]*)?)?$"}


def whole(least: int = 0, most: int = INT32) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def listed(item: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": item, **bounds}


def closed(properties: dict[str, Any], *required: str, **more: Any) -> Schema:
    """An object that has nothing else."""
    needs = {"required": list(required)} if required else {}
    return {"type": "object", "additionalProperties": False, "properties": properties, **needs, **more}


def mapped(patterns: dict[str, Any]) -> Schema:
    """By a pattern: of `propertyNames` Helm names a path at random."""
    return {"type": "object", "patternProperties": patterns, "additionalProperties": False}


ANNOTATIONS: Final = mapped({KEY: {"type": "string"}})
OF_AN_ACCOUNT: Final = mapped({KEY: {"type": "string"}, "^helm[.]sh/": False})  # that of migrations is a hook
LABELS: Final = mapped({KEY: {"type": "string", "pattern": LABEL_VALUE}})
OWN_LABELS: Final = mapped(
    {**LABELS["patternProperties"], "^(app[.]kubernetes[.]io|helm[.]sh)/": False}  # selectors are made of the chart's
)
NAME: Final[Schema] = {"type": "string", "maxLength": 253, "pattern": f"^({SUBDOMAIN})?$"}
NAMED: Final[Schema] = {"type": "string", "maxLength": 253, "pattern": f"^{SUBDOMAIN}$"}
DATA_KEY: Final[Schema] = {"type": "string", "maxLength": 253, "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"}
HOSTNAME: Final[Schema] = {"type": "string", "maxLength": 253, "pattern": f"^{HOST}$"}

_UNIT: Final = "([EPTGMK]i|[EPTGMkm])?"
QUANTITY: Final[Schema] = {"type": ["string", "number"], "minimum": 0, "pattern": f"^[0-9]+([.][0-9]+)?{_UNIT}$"}
SOME: Final[Schema] = {
    "type": ["string", "number"],
    "exclusiveMinimum": 0,
    "pattern": f"^(0*[1-9][0-9]*([.][0-9]+)?|0+[.]0*[1-9][0-9]*){_UNIT}$",
}
"""A quantity of which there is something: nobody makes a volume of none."""
PORT: Final = whole(1, 65535)
PORTS: Final = listed(PORT, minItems=1)
_PERCENT: Final = "(0|[1-9][0-9]?|100)%"
COUNT_OR_PERCENT: Final[Schema] = {**whole(), "type": ["integer", "string"], "pattern": f"^{_PERCENT}$"}
SURGE: Final[Schema] = {**COUNT_OR_PERCENT, "pattern": "^(0|[1-9][0-9]{0,2})%$"}
SOME_OR_PERCENT: Final[Schema] = {**COUNT_OR_PERCENT, "minimum": 1, "pattern": "^([1-9][0-9]?|100)%$"}

_AMOUNTS: Final[Schema] = closed(
    dict.fromkeys(("cpu", "memory", "ephemeral-storage"), QUANTITY),
    patternProperties={"^hugepages-[0-9]+[KMG]i$": QUANTITY},
)
RESOURCES: Final = closed({"requests": _AMOUNTS, "limits": _AMOUNTS})

_TIMES: Final = ("periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold")
READINESS: Final = closed({"initialDelaySeconds": whole(), **dict.fromkeys(_TIMES, whole(1))})
PROBE: Final = closed({**READINESS["properties"], "successThreshold": {"const": 1}})
"""Of startup and liveness: one success is all that either may ask for."""

_SELECTOR: Final = closed(
    {
        "matchLabels": LABELS,
        "matchExpressions": listed(
            closed(
                {
                    "key": {"type": "string", "pattern": KEY},
                    "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                    "values": listed({"type": "string", "pattern": LABEL_VALUE}),
                },
                "key",
                "operator",
            )
        ),
    }
)
_BLOCK: Final = "([0-9]{1,3}([.][0-9]{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)/[0-9]{1,3}"
_NETWORK: Final[Schema] = {"type": "string", "pattern": f"^{_BLOCK}$"}
PEERS: Final = listed(
    closed(
        {
            "ipBlock": closed({"cidr": _NETWORK, "except": listed(_NETWORK)}, "cidr"),
            "namespaceSelector": _SELECTOR,
            "podSelector": _SELECTOR,
        },
        minProperties=1,
        dependencies={"ipBlock": {"maxProperties": 1}},
    )
)
PULL_SECRETS: Final = listed(closed({"name": NAMED}, "name"))
PARENTS: Final = listed(
    closed(
        {
            "group": NAME,
            "kind": {"type": "string", "pattern": "^[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"},
            "namespace": {"type": "string", "pattern": f"^{_PART}$"},
            "name": NAMED,
            "sectionName": NAMED,
            "port": PORT,
        },
        "name",
    ),
    maxItems=32,
)
TOLERATIONS: Final = listed(
    closed(
        {
            "key": {"type": "string", "pattern": KEY},
            "operator": {"enum": ["Equal", "Exists"]},
            "value": {"type": "string", "pattern": LABEL_VALUE},
            "effect": {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
            "tolerationSeconds": {"type": "integer"},
        },
        **{
            "if": {"properties": {"operator": {"const": "Exists"}}, "required": ["operator"]},
            "then": {"properties": {"value": False}},
            "else": {"required": ["key"]},
        },
    )
)
AFFINITY: Final = closed({f"{each}Affinity": {"type": "object"} for each in ("node", "pod", "podAnti")})
"""What is in them is Kubernetes' to judge."""
METRIC: Final[Schema] = {"type": "string", "pattern": "^([A-Za-z_][A-Za-z0-9_.:-]*)?$"}
USER: Final[Schema] = {"type": ["integer", "null"], "minimum": 1, "maximum": INT32}
"""Null: whoever the cluster says. Never root."""
