"""Our streams read and written by clients that others wrote, unchanged."""
