"""One row a group of the model in hand: what it is, how fresh, how good, and whether bots can have it."""

import streamlit as st

from mm_core.dashboard.figures.training import is_drawn, training_gantt
from mm_core.dashboard.numbers import groups_of
from mm_core.dashboard.page import begin, now, open_model
from mm_core.dashboard.palette import palette
from mm_core.dashboard.sections import symbols
from mm_core.dashboard.show import PORTION, choose_portion, show_figure
from mm_core.dashboard.words import counted

opened = open_model(begin("Symbols"))
table = groups_of(opened.model, opened.scan, now())
shown = symbols.filtered(table, opened.scan)
if shown.empty:
    st.info("No group fits. Clear the search or choose other filters.")
    st.stop()
symbols.groups(shown, opened.name)

st.subheader("Training windows", anchor=False)
windows = symbols.windows(opened.scan, shown["group"].tolist(), now())
drawn = [row for row in windows if is_drawn(row[1])]
if drawn:
    part = drawn[choose_portion(len(drawn), "windows", "freshest", "oldest")]
    with st.container(height=520 if len(part) > PORTION else "content", border=False):
        show_figure(training_gantt(part, now(), palette()), "gantt", "Training window of each group, with today's line")
    if len(drawn) < len(windows):
        st.caption(f"{counted(len(windows) - len(drawn), 'group')} without a start and an end in their order.")
else:
    st.info("No training info tells a window. It comes from train_start_date, train_end_date or train_window.")
