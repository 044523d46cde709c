"""The dashboard: streamlit run app.py"""

from mm_core.dashboard.navigation import frame

frame().run()
