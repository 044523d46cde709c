"""Two versions side by side."""

from functools import partial

from mm_core.dashboard.page import begin
from mm_core.dashboard.sections import compare_versions
from mm_core.dashboard.show import draw_open_tab

pair = compare_versions.choose_pair(begin("Compare versions"))
compare_versions.header(pair)
sides = {
    "Metrics": compare_versions.metrics,
    "Generalization gap": compare_versions.gap,
    "Parameters": compare_versions.parameters,
    "Features": compare_versions.features,
}
draw_open_tab({name: partial(draw, pair) for name, draw in sides.items()}, key="part")
