"""The command `vm-tests/bench`: boots the sets under the peers, one machine at a time, and shows what came out."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from panux import places
from panux.bench import awake, measure, results
from panux.bench.disk import Disk, disk_of
from panux.bench.graph import critical_path_s, lower_bound_s, work_s
from panux.bench.guest import MODES, WALL_CPUS
from panux.bench.job import JobSet
from panux.bench.peers import ALL
from panux.bench.peers.peer import Peer
from panux.bench.picture import picture
from panux.bench.profile import profile, profile_text
from panux.bench.results import Comparison, Series
from panux.bench.seasoning import BOOTS, seasoned
from panux.bench.sets import SETS, job_set
from panux.bench.table import LEGEND, MODE_TITLES, later_boots, table
from panux.faults import MachineError, PanuxError
from panux.image.archive import Archive, open_archive
from panux.image.mirror import Mirror, machine_mirror
from panux.image.progress import Progress
from panux.preparation import Prepared, prepare

DESCRIPTION: Final = """\
Boots the same services under linit and under the other inits of Debian, in the same machine, and compares them.
First with instructions counted, where one boot tells all; then by the clock, several rounds."""
ROUNDS: Final = 3
BOTH: Final = "both"
OWN: Final = next(peer for peer in ALL if peer.is_own)


def parser() -> argparse.ArgumentParser:
    """The options."""
    known = ", ".join(peer.name for peer in ALL)
    made = argparse.ArgumentParser(
        "vm-tests/bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--set", choices=SETS, action="append", help="this set of services (both)")
    made.add_argument("--mode", choices=MODES, action="append", help="this way of counting time (both)")
    made.add_argument(
        "--boot", choices=(*BOOTS, BOTH), default=BOOTS[0],
        help="of a new disk, of one that was booted and shut down before, or both by turns (%(default)s)",
    )  # fmt: skip
    made.add_argument("--only", metavar="PEERS", default="", help=f"these peers, with commas: {known}")
    made.add_argument(
        "--rounds", type=int, metavar="N", help=f"boots of each ({ROUNDS} by the clock, one with instructions counted)"
    )
    made.add_argument("--profile", action="store_true", help="only linit: where the time of its boot goes")
    made.add_argument(
        "--awake", action="store_true", help="note what of linit runs in a boot: linit/bundling/README.md"
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    made.add_argument("--svg", type=Path, metavar="FILE", help="draw the boots as bars")
    made.add_argument("--from-json", type=Path, metavar="FILE", help="boot nothing: show what an earlier run wrote")
    made.add_argument("--mirror", default="", metavar="URL", help="Debian archive (the one apt uses on this machine)")
    made.add_argument("--offline", action="store_true", help="use only the cache of downloads")
    return made


def chosen_peers(names: str) -> list[Peer]:
    """The peers of `--only`, in the order of the table. Raises PanuxError for an unknown name."""
    wanted = [name for name in names.split(",") if name]
    known = {peer.name for peer in ALL}
    if unknown := [name for name in wanted if name not in known]:
        raise PanuxError(f"--only: found '{unknown[0]}', expected one of {', '.join(sorted(known))}")
    return [peer for peer in ALL if not wanted or peer.name in wanted]


class Bench:
    """What all comparisons share: the image, the packages, the peers."""

    def __init__(self, options: argparse.Namespace, progress: Progress) -> None:
        self.progress = progress
        self.peers = chosen_peers(options.only)
        self.rounds: int | None = options.rounds
        self.boots: tuple[str, ...] = BOOTS if options.boot == BOTH else (options.boot,)
        self.prepared: Prepared = prepare(progress, options.mirror, options.offline)
        mirror = Mirror(options.mirror.rstrip("/")) if options.mirror else machine_mirror()
        self.archive: Archive = open_archive(places.downloads(), mirror, options.offline)

    def disk(self, peer: Peer, set_name: str) -> Disk:
        """The disk of a peer with a set."""
        return disk_of(peer, set_name, self.prepared.image, self.archive, self.progress)

    def disks(self, jobs: JobSet, boot: str) -> dict[str, Disk]:
        """The disks of all peers with a set. A peer that cannot be booted once keeps its new disk, to fail on it."""
        found = {peer.name: self.disk(peer, jobs.name) for peer in self.peers}
        for peer in self.peers if boot == "second" else ():
            with contextlib.suppress(MachineError):
                found[peer.name] = seasoned(peer, found[peer.name], jobs, self.progress)
        return found

    def compare(self, set_name: str, mode: str, on_round: Callable[[list[Comparison]], object]) -> list[Comparison]:
        """Boots all peers in rounds, in each one boot of every kind that was asked for: a comparison for each kind.
        `on_round` is called after each round with what there is."""
        jobs = job_set(set_name, lambda name: name)
        cores = 1 if mode == "icount" else WALL_CPUS
        disks = {boot: self.disks(jobs, boot) for boot in self.boots}
        comparisons = [
            Comparison(set_name, mode, [Series(name, disk.size_bytes) for name, disk in found.items()], boot=boot)
            for boot, found in disks.items()
        ]
        if set_name == "graph":
            self.add_bound(comparisons, cores)
        rounds = self.rounds or (1 if mode == "icount" else ROUNDS)
        for number in range(1, rounds + 1):
            for place, peer in enumerate(self.peers):
                for comparison in comparisons:
                    title = f"{mode}, {set_name}, {comparison.boot} boot: {peer.name}"
                    with self.progress.step(title + (f", round {number} of {rounds}" if rounds > 1 else "")):
                        run = measure.measure(peer, disks[comparison.boot][peer.name], jobs, mode)
                    comparison.series[place].runs.append(run)
            on_round(comparisons)
        return comparisons

    def add_bound(self, comparisons: list[Comparison], cores: int) -> None:
        """Measures each service alone, and what follows from it for comparisons of the same set and mode."""
        floor = next(peer for peer in ALL if peer.name == "busybox")
        set_name, mode = comparisons[0].set_name, comparisons[0].mode
        jobs = job_set(set_name, lambda name: name)
        with self.progress.step(f"{mode}, {set_name}: each service alone"):
            alone_s = measure.alone_s(self.disk(floor, set_name), jobs, mode)
        for comparison in comparisons:
            comparison.chain_s, comparison.chain = critical_path_s(jobs, alone_s)
            comparison.work_s, comparison.cores = work_s(jobs, alone_s), cores
            comparison.bound_s = lower_bound_s(jobs, alone_s, cores)


def compared(options: argparse.Namespace) -> list[Comparison]:
    """The comparisons that were asked for; each is shown when it is there."""
    comparisons: list[Comparison] = []
    if options.from_json:
        comparisons += results.from_json(options.from_json)
        for _, each in itertools.groupby(comparisons, lambda each: (each.mode, each.set_name)):
            show(list(each))
        return comparisons
    bench = Bench(options, Progress())

    def on_round(begun: list[Comparison]) -> None:
        write(options, [*comparisons, *begun], bench)

    for mode, set_name in itertools.product(options.mode or MODES, options.set or SETS):
        found = bench.compare(set_name, mode, on_round)
        comparisons += found
        show(found)
    return comparisons


def show(comparisons: list[Comparison]) -> None:
    """Those of one set in one mode, as text."""
    for comparison in comparisons:
        print(f"\n{table(comparison)}")
    print(f"{later_boots(comparisons)}\n", flush=True)


def show_profiles(options: argparse.Namespace) -> None:
    """Boots linit once for each set that was asked for, and takes the boot apart."""
    bench = Bench(options, Progress())
    for set_name in options.set or SETS:
        mode = (options.mode or MODES)[0]
        disk = bench.disk(OWN, set_name)
        with bench.progress.step(f"{mode}, {set_name}: linit, profiled"):
            found = profile(disk, job_set(set_name, lambda name: name), mode)
        print(f"\nset {set_name}, {MODE_TITLES[mode]}\n{profile_text(found)}", flush=True)


def note_awake(options: argparse.Namespace) -> None:
    """Boots linit with each set, on a new disk and on one that was booted before, and writes what ran."""
    bench = Bench(options, Progress())
    noted = []
    for set_name in options.set or SETS:
        jobs, disk = job_set(set_name, lambda name: name), bench.disk(OWN, set_name)
        for boot, each in zip(BOOTS, (disk, seasoned(OWN, disk, jobs, bench.progress)), strict=True):
            with bench.progress.step(f"icount, {set_name}, {boot} boot: linit, what runs"):
                noted.append(awake.awake(each, jobs))
    awake.write(noted)
    print(f"written: {awake.TABLE}")


def write(options: argparse.Namespace, comparisons: list[Comparison], bench: Bench | None) -> None:
    """Writes the files that were asked for, after each round anew: a long run that is stopped leaves something."""
    if options.json and bench:
        facts = {"image": bench.prepared.image.fingerprint, "peers": [peer.name for peer in bench.peers]}
        options.json.write_text(results.as_json(comparisons, facts))
    if options.svg:
        options.svg.write_text(picture(comparisons))


def main() -> int:
    """Exit status 0, 1 for an error, 2 for a wrong option."""
    options = parser().parse_args()
    try:
        if options.profile:
            show_profiles(options)
            return 0
        if options.awake:
            note_awake(options)
            return 0
        comparisons = compared(options)
        write(options, comparisons, None)
    except (PanuxError, OSError) as error:
        print(f"vm-tests/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{LEGEND}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
