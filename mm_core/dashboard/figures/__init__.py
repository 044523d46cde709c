"""Numbers as figures: values and a palette in, a plotly figure out, nothing of streamlit."""
