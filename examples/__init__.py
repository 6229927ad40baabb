"""One small, complete app per framework, to be copied; each is tested in `tests/examples`."""
