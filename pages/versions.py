"""Every version of every model: where it stands, what it reports, what it takes, and what may go."""

from functools import partial

import streamlit as st

from mm_core.dashboard.page import begin
from mm_core.dashboard.sections import versions
from mm_core.dashboard.sections.choosing_versions import all_versions
from mm_core.dashboard.sections.cleanup import cleanup
from mm_core.dashboard.sections.registering_versions import register_version
from mm_core.dashboard.show import draw_open_tab

registry = begin("Versions")
everything = all_versions(registry)
versions.counts(everything)
shown = versions.filtered(everything)
if not shown:
    st.info("No version fits. Clear the search or choose other filters.")
    st.stop()
sides = {
    "Cards": partial(versions.cards, shown, everything),
    "Table": partial(versions.table, shown, everything),
    "Over time": partial(versions.over_time, shown),
    "Disk use": partial(versions.disk_use, shown),
    "Cleanup": partial(cleanup, registry),
    "Register": partial(register_version, registry, everything),
}
draw_open_tab(sides, key="show")
