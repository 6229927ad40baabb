"""`aveverify.testing` and the pytest plugin, used as the tests of an application use them."""
