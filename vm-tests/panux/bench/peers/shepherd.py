"""GNU Shepherd: services in Scheme, with Guile.

Each job is a service of /etc/shepherd.scm, as in Guix: what does something once is a procedure that runs it, and
counts as running from then on; a daemon is a fork-exec constructor. Where another service waits for it and it writes a
pid file when it is ready, that is waited for; not elsewhere, since Shepherd looks for it but once a second. All are
started at once in the background, in the order of their requirements.
"""

from __future__ import annotations

import json

from panux.bench.job import LAST, Job, JobSet
from panux.bench.peers.peer import Peer, Tree

HEAD = """\
(use-modules (shepherd service) (shepherd support))
(define (once . command)
  (lambda _ (zero? (apply system* command))))
"""


def configure(tree: Tree, jobs: JobSet) -> None:
    """/etc/shepherd.scm."""
    waited_for = {name for job in jobs.jobs if job.name != LAST for name in job.after}
    services = "\n".join(service(job, job.name in waited_for) for job in jobs.jobs)
    names = " ".join(symbol(job.name) for job in jobs.jobs)
    tree.write(
        "etc/shepherd.scm",
        f"{HEAD}(register-services (list\n{services}))\n(start-in-the-background '({names}))\n",
    )


def symbol(name: str) -> str:
    """A job's name as a symbol that need not be quoted; `root` is Shepherd's own."""
    return "root-file-system" if name == "root" else name.replace("@", "-")


def words(command: tuple[str, ...]) -> str:
    """Strings of Scheme: those of JSON, for what stands in our commands."""
    return " ".join(json.dumps(word, ensure_ascii=False) for word in command)


def service(job: Job, is_waited_for: bool) -> str:
    """The definition of a job."""
    after = " ".join(map(symbol, job.after))
    head = f"(service '({symbol(job.name)}) #:requirement '({after})"
    if not job.daemon:
        stop = f"(lambda _ (system* {words(job.stop)}) #f)" if job.stop else "(const #f)"
        return f" {head} #:start (once {words(job.command)}) #:stop {stop})"
    options = []
    command = job.command
    if is_waited_for and job.pidfile and job.background and job.ready in ("tcp", "pidfile", "fd", "notify"):
        command = job.background if job.ready != "pidfile" else job.command
        options.append(f'#:pid-file "{job.pidfile}"')
    if job.user:
        options.append(f'#:user "{job.user}" #:group "{job.user}"')
    if job.directory:
        options.append(f'#:directory "{job.directory}"')
    if job.umask:
        options.append(f"#:file-creation-mask #o{job.umask}")
    start = f"(make-forkexec-constructor '({words(command)}) {' '.join(options)})"
    if job.pre:
        start = f"(let ((start {start})) (lambda args (system* {words(job.pre)}) (apply start args)))"
    return f" {head} #:respawn? #t #:start {start} #:stop (make-kill-destructor SIG{job.stop_signal}))"


PEER = Peer(
    "shepherd", ("shepherd", "guile-3.0", "guile-3.0-libs", "guile-fibers"),
    ("/usr/bin/shepherd", "--config=/etc/shepherd.scm"), configure,
    status="herd status {job}", poweroff="/usr/libexec/shepherd/sbin/shutdown",
    # Guile converts every text by iconv, and Latin-1 is not part of the C library itself.
    files=("usr/lib/x86_64-linux-gnu/gconv/ISO8859-1.so", "usr/lib/x86_64-linux-gnu/gconv/gconv-modules"),
)  # fmt: skip
