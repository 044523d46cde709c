"""Values as tables: what pages show and offer as CSV and JSON."""
