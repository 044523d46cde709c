"""Numbers from numbers: information coefficients, boosters, training windows and comparisons. No files, no store."""
