"""Tests of aveverify._core.jose."""
