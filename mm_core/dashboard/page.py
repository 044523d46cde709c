"""How every page begins, and what it says where there is nothing to show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from mm_core.dashboard.addresses import arrived, page_path
from mm_core.dashboard.dialogs import answered
from mm_core.dashboard.navigation import through_the_app
from mm_core.dashboard.session import current_registry, errors_as_sentences
from mm_core.dashboard.sidebar import picked
from mm_core.dashboard.words import error_sentence, plain
from mm_core.domain.groups import Group, Scan
from mm_core.domain.models import RegisteredModel
from mm_core.errors import ModelManagerError
from mm_core.registry import Registry
from mm_core.registry.lookups import find_group, listed_models

_FLASH = "_model_manager_flash"
_REFUSED = "_model_manager_refused"


@dataclass(frozen=True, slots=True)
class OpenModel:
    """The sidebar's model with its scan, and the registry that it came from."""

    registry: Registry
    model: RegisteredModel
    scan: Scan

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name


@dataclass(frozen=True, slots=True)
class OpenGroup(OpenModel):
    """The sidebar's group."""

    group: Group


def begin(title: str | None = None) -> Registry:
    """Begin a page: through the frame, with its title and what the last run left to say; return the registry.

    A page that is titled by what it shows gives no title here.
    """
    through_the_app()
    if title is not None:
        st.title(title, anchor=False)
    for sentence in picked().missed:
        st.warning(plain(sentence))
    if arrived():
        answered()
    message = st.session_state.pop(_FLASH, None)
    if message is not None:
        st.toast(plain(message), icon=":material/check_circle:")
    with errors_as_sentences():
        return current_registry()


def say_after_rerun(message: str) -> None:
    """Keep a sentence for the next run, which shows it as a toast."""
    st.session_state[_FLASH] = message


def refuse_after_rerun(place: str, error: ModelManagerError) -> None:
    """Keep an error for the next run, which shows it where the page calls `show_refusal` with this ``place``."""
    st.session_state[_REFUSED] = (place, error_sentence(error))


def show_refusal(place: str) -> None:
    """Show, once, what the run before this one could not do at ``place``."""
    refused: tuple[str, str] | None = st.session_state.get(_REFUSED)
    if refused is not None and refused[0] == place:
        del st.session_state[_REFUSED]
        st.error(refused[1])


def warn_of_older_scan(model: RegisteredModel) -> None:
    """Say of a model whose last refresh failed that what is shown and served is older than its files."""
    if model.refresh_error is not None:
        st.warning(f"**{plain(model.name)}** serves an older scan. {plain(model.refresh_error)}")


def all_models(registry: Registry) -> list[tuple[RegisteredModel, Scan]]:
    """Return every registered model with its scan, from one view."""
    with errors_as_sentences():
        return listed_models(registry.view())


def open_model(registry: Registry, heading: str | None = None) -> OpenModel:
    """Return the model in hand, or say how to get one and end the page.

    A page that is titled by what it shows gives the ``heading`` that it has where there is nothing to show.
    """
    name = picked().model_name
    if name is None:
        with errors_as_sentences():
            registry.view()  # a state that cannot be read is not an empty one
        _headed(heading)
        nothing_registered()
        st.stop()
    with errors_as_sentences():
        model, scan = registry.model(name)
    if not scan.groups:
        _headed(heading)
    warn_of_older_scan(model)
    if not scan.groups:
        _without_groups(model, scan)
        st.stop()
    return OpenModel(registry, model, scan)


def _headed(heading: str | None) -> None:
    if heading is not None:
        st.title(heading, anchor=False)


def _without_groups(model: RegisteredModel, scan: Scan) -> None:
    name = plain(model.name)
    if scan.versions:
        st.info(f"Model {name} has versions and no groups. Choose another model for groups, or look at its versions:")
        label, query = f"Versions of {name}", {"q": model.name}
        st.page_link(page_path("versions"), label=label, icon=":material/layers:", query_params=query)
    else:
        place = plain(model.root_path)
        st.info(f"Model {name} has no group. Check its directory ({place}), then refresh it on the overview.")


def open_group(registry: Registry, heading: str | None = None) -> OpenGroup:
    """Return the group in hand, or say how to get one and end the page, as `open_model` does."""
    opened = open_model(registry, heading)
    symbol = picked().symbol
    with errors_as_sentences():
        group = find_group(opened.scan, opened.name, symbol or next(iter(opened.scan.symbols())), None)
    return OpenGroup(registry, opened.model, opened.scan, group)


def nothing_registered() -> None:
    """Say how to begin."""
    st.info("No model is registered yet. Register a directory on the overview, in a shell, or start the demo:")
    st.code(".venv/bin/python -m mm_core register NAME DIRECTORY\n./start.sh --demo", language="bash")
    st.page_link(page_path("overview"), label="Register a directory", icon=":material/create_new_folder:")


def now() -> datetime:
    """Return the present moment, UTC."""
    return datetime.now(UTC)
