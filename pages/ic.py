"""Information coefficients of many groups side by side."""

from functools import partial

from mm_core.dashboard.page import begin
from mm_core.dashboard.sections import ic
from mm_core.dashboard.show import draw_open_tab

scope = ic.choose_scope(begin("IC explorer"))
views = {
    "Heat map": ic.heat_map,
    "One factor": ic.one_factor,
    "Consistency": ic.consistency,
    "Agreement": ic.agreement,
    "Distributions": ic.distributions,
    "Families": ic.families,
}
draw_open_tab({name: partial(draw, scope) for name, draw in views.items()}, key="view")
