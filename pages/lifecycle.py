"""Who was deployed when, by whom and why."""

from functools import partial

from mm_core.dashboard.page import begin
from mm_core.dashboard.sections import lifecycle
from mm_core.dashboard.show import draw_open_tab

registry = begin("Lifecycle")
opened = lifecycle.open_family(registry)
lifecycle.header(opened)
moment = lifecycle.choose_moment()
lifecycle.at_moment(opened, moment)
lifecycle.timeline(opened, moment)
sides = {"Deployments": lifecycle.deployed, "Events": lifecycle.happened}
draw_open_tab({name: partial(draw, opened) for name, draw in sides.items()}, key="part")
lifecycle.leads(opened)
