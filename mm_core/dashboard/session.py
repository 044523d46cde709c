"""The registry of a dashboard process."""

from __future__ import annotations

from urllib.parse import urlsplit

import streamlit as st

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
    return f"http://{host}:{load_settings().http_port}"
