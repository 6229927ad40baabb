"""The register of attacks: one file per class, every id named by a test or by a vector."""

import pytest

pytest.register_assert_rewrite("tests.security.scenario")
