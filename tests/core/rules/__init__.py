"""Tests of aveverify._core.rules."""
