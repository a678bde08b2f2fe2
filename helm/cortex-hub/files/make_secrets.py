"""Makes the hub's Secrets in its own namespace, once: what is there already stays. Runs in the gateway's image as the
Job of `secrets.by: job`, whose ServiceAccount may create Secrets and read those it names.

    python make_secrets.py WANTED.json

WANTED.json: a list of {"name", "labels", "kind"} and what the kind needs. Prints names, never contents.
"""

import json
import secrets
import ssl
import string
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVER = "https://kubernetes.default.svc"
ATTEMPTS = 30


def main(wanted: str) -> None:
    for each in json.loads(Path(wanted).read_text()):
        print(f"{each['name']}: {'made' if ensured(each) else 'is there, and stays'}")


def ensured(wanted: dict[str, Any]) -> bool:
    """Whether it had to be made."""
    place = f"/api/v1/namespaces/{(ACCOUNT / 'namespace').read_text().strip()}/secrets"
    if asked("GET", f"{place}/{wanted['name']}") != 404:
        return False
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": wanted["name"], "labels": wanted["labels"]},
        "stringData": CONTENTS[wanted["kind"]](wanted),
    }
    return asked("POST", place, secret) != 409


def asked(method: str, path: str, body: Any = None) -> int:
    """The status: 2xx, 404, or 409. Tries again while the API server is away; ends the process where it refuses."""
    request = urllib.request.Request(SERVER + path, method=method)
    request.add_header("Authorization", f"Bearer {(ACCOUNT / 'token').read_text().strip()}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    reason: object = None
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in {404, 409}:
                return error.code
            if error.code < 500:
                raise SystemExit(f"secrets: the API server refuses {method} {path}: {error.code}") from None
            reason = error.code
        except OSError as error:
            reason = error
        if attempt + 1 < ATTEMPTS:
            time.sleep(2)
    raise SystemExit(f"secrets: the API server cannot be asked: {reason}")


def text(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def internal_key(_: dict[str, Any]) -> dict[str, str]:
    """The gateway signs with the one; the services check with the other."""
    from joserfc.jwk import ECKey  # of the gateway's image

    key = ECKey.generate_key("P-256", private=True)
    return {"tls.key": key.as_pem(private=True).decode(), "tls.crt": key.as_pem(private=False).decode()}


def pepper(_: dict[str, Any]) -> dict[str, str]:
    return {"pepper": text(64)}


def token(_: dict[str, Any]) -> dict[str, str]:
    return {"token": f"st_{text(48)}"}


def redis(wanted: dict[str, Any]) -> dict[str, str]:
    password = text(40)
    return {
        "password": password,
        "url": f"redis://:{password}@{wanted['host']}:6379/0",
        "auth.conf": f"requirepass {password}\n",
    }


def database(wanted: dict[str, Any]) -> dict[str, str]:
    password, name = text(40), wanted["role"]
    return {"password": password, "url": f"postgresql://{name}:{password}@{wanted['host']}:5432/{name}"}


def superuser(_: dict[str, Any]) -> dict[str, str]:
    return {"password": text(40)}


CONTENTS = {
    "internal-key": internal_key,
    "pepper": pepper,
    "token": token,
    "redis": redis,
    "database": database,
    "superuser": superuser,
}


if __name__ == "__main__":
    main(*sys.argv[1:])
