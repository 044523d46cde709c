"""The dashboard: streamlit run app.py"""

from mm_core.dashboard.navigation import Entry, frame

PAGES = {
    "Look": [
        Entry("overview", "Overview", ":material/dashboard:"),
        Entry("symbols", "Symbols", ":material/view_list:"),
        Entry("group", "Group", ":material/inventory_2:"),
        Entry("ic", "IC explorer", ":material/grid_on:"),
        Entry("compare", "Compare", ":material/compare_arrows:"),
    ],
    "Versions": [
        Entry("versions", "Versions", ":material/layers:"),
        Entry("version", "Version", ":material/deployed_code:"),
        Entry("compare_versions", "Compare versions", ":material/difference:"),
        Entry("lifecycle", "Lifecycle", ":material/timeline:"),
    ],
    "Operate": [
        Entry("config", "Factor configs", ":material/tune:"),
        Entry("service", "Service", ":material/monitor_heart:"),
    ],
}

if __name__ == "__main__":
    frame(PAGES).run()
