"""Run the page in this process."""

import socket
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from serving.errors import AddressError, MissingExtraError
from serving.served import ServedPolicies, served_from

# Streamlit sends no telemetry, shows no developer's menu or traceback, and does not watch our source files.
OPTIONS = {
    "browser_gatherUsageStats": False,
    "client_showErrorDetails": "none",  # the terminal has them
    "client_toolbarMode": "minimal",
    "global_developmentMode": False,
    "server_fileWatcherType": "none",
    "server_headless": True,
}


class PageSettings(BaseModel):
    """What the page shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    where: str = Field(description="Where policies are published, or the folder of one policy.")
    policies: tuple[str, ...] = Field(min_length=1, description="policy@<alias or digest>; the first is the default.")
    baselines: tuple[str, ...] = Field((), description="Baselines to fit on the first policy's dataset.")
    items: Path | None = Field(None, description="A file of new items that may be recommended, too.")
    posters: Path | None = Field(None, description="A folder of pictures named by item id, such as 318.jpg.")


@lru_cache(maxsize=1)
def opened_policies(settings: PageSettings) -> ServedPolicies:
    """The policies of a page, loaded once in a process; they follow their aliases as those of the HTTP API do.

    Raises:
        MarqueeError, LearnerError: a policy does not exist or is not valid, or the object store does not answer.
    """
    served = served_from(settings.where, settings.policies, settings.baselines, settings.items)
    for one in served:
        one.refresh()
    policies = ServedPolicies(served)
    policies.start()
    return policies


def run_page(settings: PageSettings, host: str, port: int) -> None:
    """Load the policies, then show the page until a signal ends the process.

    Raises:
        MissingExtraError: Streamlit is not installed.
        AddressError: the page cannot listen on this address.
        MarqueeError, LearnerError: see `opened_policies`.
    """
    try:
        from streamlit.web import bootstrap
    except ImportError as error:
        raise MissingExtraError(
            "marquee app: expected Streamlit; found that it is not installed. Install it with: pip install 'marquee[app]'"
        ) from error
    require_free(host, port)
    opened_policies(settings)
    options = OPTIONS | {"server_address": host, "server_port": port}
    script = str(Path(__file__).with_name("show.py"))
    bootstrap.load_config_options(flag_options=options)
    bootstrap.run(script, False, [settings.model_dump_json()], options)


def require_free(host: str, port: int) -> None:
    """Refuse an address on which Streamlit could not listen, before policies are loaded.

    Raises:
        AddressError: another program listens there, or this machine does not have the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise AddressError(
            f"marquee app: expected to listen on {host}, port {port}; found: {error.strerror}. Choose another --port or --host."
        ) from error
