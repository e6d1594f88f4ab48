"""Faces translate: one package for each way in. They add no rules."""
