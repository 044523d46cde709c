"""The registry of a dashboard process, and its errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import streamlit as st

from mm_core.dashboard.words import error_sentence
from mm_core.errors import ModelManagerError
from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from mm_core.wiring import open_registry


@st.cache_resource(show_spinner=False)
def _open(settings: Settings) -> Registry:
    return open_registry(settings)


def current_registry() -> Registry:
    """Return the registry on the present settings; it is a handle, every answer comes from a fresh view."""
    return _open(load_settings())


def api_address() -> str:
    """Return the payload server's address as the reader's browser can reach it."""
    host = urlsplit(st.context.url or "http://127.0.0.1").hostname or "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{load_settings().http_port}"


def own_api_address() -> str:
    """Return the payload server's address as this process can reach it."""
    settings = load_settings()
    of_all = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104
    host = of_all.get(settings.http_host, settings.http_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http_port}"


def writes_need_token() -> bool:
    """Return whether the payload server asks for a token before it changes anything."""
    return load_settings().write_token is not None


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Show one of our errors as a sentence and end the page there; a bug still shows as one."""
    try:
        yield
    except ModelManagerError as error:
        st.error(error_sentence(error))
        st.stop()
