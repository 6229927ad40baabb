"""Tests of aveverify._core.key_cache."""
