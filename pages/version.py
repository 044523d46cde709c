"""One version from every side, and its moves between statuses."""

from functools import partial

from mm_core.dashboard.page import begin
from mm_core.dashboard.sections import version, version_figures
from mm_core.dashboard.show import draw_open_tab

registry = begin("Version")
opened = version.open_version(registry)
version.header(opened)
sides = {
    "Metrics": version_figures.metrics,
    "Findings": version.findings,
    "Importance": version_figures.importance,
    "Normalizer": version_figures.normalizer,
    "Parameters": version.parameters,
    "Files": version.files,
    "Events": version.events,
}
draw_open_tab({name: partial(draw, opened) for name, draw in sides.items()}, key="tab")
