"""What streamlit takes by itself: a page with nothing but a title, with ``?figure`` one with three bars."""

import plotly.graph_objects as go
import streamlit as st

st.title("Alone")
if "figure" in st.query_params:
    st.plotly_chart(go.Figure(go.Bar(x=[1, 2, 3], y=[1, 2, 3])), key="bars")
