"""The middlewares behind real servers, each in a process of its own, over real sockets."""
