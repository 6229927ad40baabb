"""Forks while threads make and drop verifiers; run by itself, because coverage has a lock that no fork renews."""

from __future__ import annotations

import gc
import os
from threading import Event, Thread

from aveverify import Provider, Verifier, _verifier_checks, _verify
from aveverify._fork import renew_after_fork
from tests.hectic import hectic_threads

FORKS = 5


class Renewable:
    """Dropped as soon as it was made."""

    def renew_after_fork(self) -> None:
        """Do nothing."""


def provider(name: object) -> Provider:
    return Provider(issuer=f"https://{name}.example", application_id="app")


def work(number: int, over: Event) -> None:
    """Change all that is shared, without end."""
    step = 0
    while not over.is_set():
        step += 1
        Verifier(provider(f"drop{step}-{number}"))
        _verify.kept.of(provider(f"kept{step}-{number}"))
        renew_after_fork(Renewable())


def child() -> str:
    """Use all that is shared, and say how much there is of it."""
    for step in range(300):
        Verifier(provider(f"child{step}"))
        _verify.kept.of(provider(f"kept{step}"))
    gc.collect()
    return f"{len(_verifier_checks._made)} {len(_verify.kept)}"


def main() -> None:
    """Print what each child has found."""
    over = Event()
    threads = [Thread(target=work, args=(number, over), daemon=True) for number in range(3)]
    with hectic_threads():
        for thread in threads:
            thread.start()
        for _ in range(FORKS):
            pid = os.fork()
            if pid == 0:
                os.write(1, f"{child()}\n".encode())
                os._exit(0)
            os.waitpid(pid, 0)
        over.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
