"""What files say: one module per file kind, bytes in, values and findings out."""
