"""Tests of agent-market."""
