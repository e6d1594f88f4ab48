"""The tables of the market, one change of mind per file."""
