"""The factor config editor: drafts that survive page changes, and what surrounds the grid."""
