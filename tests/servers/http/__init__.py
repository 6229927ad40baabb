"""The middlewares behind real servers, each a process of its own, asked over real sockets."""
