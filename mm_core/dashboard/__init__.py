"""What pages stand on: the session, navigation, and tables. The only home of streamlit, plotly and pandas."""
