"""The parts of the builder that need neither packages nor a machine."""

from __future__ import annotations

import io
import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from panux import places
from panux.faults import BuildError
from panux.image import daemons_disk, linit_files, skeleton
from panux.image.elf import needed_libraries
from panux.image.filesystem import make_file_system
from panux.image.fingerprint import fingerprint
from panux.image.guest_python import closure, compile_file
from panux.image.guest_reduction import reduced
from panux.image.initramfs import Entry, pack
from panux.image.kernel import load_order, module_information, unsigned
from panux.image.owners import Owners, load_owners
from panux.image.package_files import keeps_file
from panux.image.progress import Progress
from panux.image.python_library import with_homes
from panux.image.selection import DROPPED, WANTED
from panux.image.sizes import part_of, size_table, sizes_by_part


def test_the_fingerprint_follows_contents_names_and_executable_bits_only(tmp_path: Path) -> None:
    """A checkout or a touch must not cause a build."""
    file = tmp_path / "a" / "x.py"
    file.parent.mkdir()
    file.write_text("1")
    first = fingerprint([tmp_path / "a"], "fact")
    os.utime(file, (0, 0))
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "x.pyc").write_text("")
    assert fingerprint([tmp_path / "a"], "fact") == first
    assert fingerprint([tmp_path / "a"], "other fact") != first
    file.chmod(0o755)
    executable = fingerprint([tmp_path / "a"], "fact")
    file.rename(file.with_name("y.py"))
    renamed = fingerprint([tmp_path / "a"], "fact")
    file.with_name("y.py").write_text("2")
    assert len({first, executable, renamed, fingerprint([tmp_path / "a"], "fact")}) == 4


def test_sizes_are_summed_by_part(tmp_path: Path) -> None:
    """The parts are beginnings of paths, the first that fits counts."""
    for name, size in {"usr/lib/linit/source/a": 3_000_000, "usr/bin/python3.13": 500_000, "etc/x": 100_000}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    sizes = {part: size for part, size in sizes_by_part(tmp_path, {"kernel": 2_000_000}).items() if size}
    assert sizes == {"kernel": 2_000_000, "linit": 3_000_000, "python": 500_000, "other": 100_000}
    assert size_table(sizes) == (
        "  kernel               2.0 MB\n  linit                3.0 MB\n  python               0.5 MB\n"
        "  other                0.1 MB\n  together             5.6 MB"
    )
    assert part_of("usr/lib/linit/lib/python3.13/yaml/x.pyc") == "python packages"


def test_a_cpio_archive_is_read_back_by_busybox_or_the_kernel(tmp_path: Path) -> None:
    """The "newc" header: magic, thirteen numbers of eight hexadecimal digits, name and content padded to four bytes."""
    packed = pack([Entry("dir", 0o40755), Entry("dir/file", 0o100644, b"hello"), Entry("null", 0o20666, device=(1, 3))])
    assert packed[:6] == b"070701"
    assert len(packed) % 4 == 0
    assert packed.count(b"070701") == 4
    assert b"dir/file\0" in packed
    assert b"hello" in packed
    assert b"TRAILER!!!\0" in packed
    device = packed[packed.index(b"null\0") - 32 : packed.index(b"null\0") - 16]
    assert device == b"00000001" b"00000003"


def test_modules_are_loaded_after_what_they_depend_on() -> None:
    """insmod resolves nothing by itself."""
    dependencies = {"virtio_net": ["net_failover"], "net_failover": ["failover"], "failover": [], "virtio_blk": []}
    assert load_order(["virtio_net", "virtio_blk"], dependencies) == [
        "failover", "net_failover", "virtio_net", "virtio_blk",
    ]  # fmt: skip


def test_module_information_is_read_from_the_file() -> None:
    """The .modinfo section is text between zero bytes."""
    module = b"\x7fELF...\0license=GPL\0alias=virtio:d00000001v*\0alias=x\0depends=net_failover\0name=virtio_net\0..."
    assert module_information(module) == {
        "alias": ["virtio:d00000001v*", "x"], "depends": ["net_failover"], "name": ["virtio_net"],
    }  # fmt: skip


def test_a_modules_signature_is_taken_off_and_nothing_else() -> None:
    """Twelve bytes before the mark say how long it is, the last four of them, the highest byte first."""
    plain = b"\x7fELF...\0name=virtio_net\0"
    signed = plain + b"signature" + bytes(8) + b"\0\0\0\x09" + b"~Module signature appended~\n"
    assert (unsigned(signed), unsigned(plain)) == (plain, plain)


def test_needed_libraries_are_those_that_the_dynamic_linker_would_load() -> None:
    """Compared with a program whose needs are known: the C library, for one that is not static."""
    assert "libc.so.6" in needed_libraries(Path("/bin/ls").resolve())
    assert needed_libraries(Path(__file__)) == []


def files(folder: Path, texts: dict[str, str]) -> None:
    """Writes these texts below `folder`."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def test_the_import_closure_is_what_an_import_runs(tmp_path: Path) -> None:
    """Packages, relative imports, both sides of a `try`; no function's body, no other system's branch, no cut."""
    texts = {
        "top.py": "import sys\ndef f():\n    import lazy\ntry:\n    import slow.thing\nexcept ImportError:\n"
        "    from pack import inner\nif sys.platform == 'win32':\n    import windows\nclass A:\n    import sibling\n",
        "lazy.py": "",
        "pack/__init__.py": "",
        "pack/inner.py": "from . import sibling\nfrom ..nowhere import x\n",
        "pack/sibling.py": "import top\n",
        "sibling.py": "",
        "slow/__init__.py": "",
        "slow/thing.py": "",
        "windows.py": "",
    }
    files(tmp_path, texts)
    found = closure([tmp_path], ["top", "absent"], {"slow"})
    assert list(found["files"]) == ["pack", "pack.inner", "pack.sibling", "sibling", "top"]
    assert found["unknown"] == ["absent"]


def test_of_a_reduced_package_those_modules_stay_that_the_wanted_names_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through decorators, bases, and what a wanted function calls; not through what its neighbours call."""
    texts = {
        "big/__init__.py": "from big.graph import Graph, other\nfrom big.far import far\nfrom big import near\n",
        "big/graph.py": "import big as b\nfrom big.base import Base, mark\nimport json\n"
        "@mark\nclass Graph(Base):\n    def walk(self):\n        return b.near.step()\n"
        "def other():\n    import csv\n    return b.far()\n",
        "big/base.py": "class Base: pass\ndef mark(of): return of\n",
        "big/near.py": "import math\ndef step():\n    import heapq\n    return heapq, math\n",
        "big/far.py": "def far(): pass\n",
    }
    files(tmp_path, texts)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = reduced("big", ["Graph"])
    assert list(found["files"]) == ["big.base", "big.graph", "big.near"]
    assert found["imports"] == ["heapq", "json", "math"]
    assert found["homes"] == {
        "big": {"Graph": "big.graph:Graph", "base": "big.base:", "graph": "big.graph:", "near": "big.near:",
                "other": "big.graph:other"},
    }  # fmt: skip


def test_a_reduced_package_has_its_modules_by_the_names_that_it_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """networkx.filters is networkx.classes.filters; a graph asks for it by the first name."""
    texts = {
        "large/__init__.py": "from large.inner import short\nfrom large.inner.graph import Graph\n",
        "large/inner/__init__.py": "from large.inner import long as short\n",
        "large/inner/long.py": "def show(): return 7\n",
        "large/inner/graph.py": "import large as b\nclass Graph:\n    def part(self):\n        return b.short.show()\n",
    }
    files(tmp_path, texts)
    with monkeypatch.context() as here:
        here.syspath_prepend(str(tmp_path))
        found = reduced("large", ["Graph"])
    written = {**found["files"]}
    with_homes(tmp_path, found["homes"], written)
    for name, source in written.items():
        made = tmp_path / "made" / name.replace(".", "/")
        is_package = source.endswith("__init__.py")
        target = made / "__init__.py" if is_package else made.with_suffix(".py")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(source).read_bytes())
    asked = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'made')!r})\n"
             "import large; print(large.Graph().part())"]  # fmt: skip
    assert subprocess.run(asked, capture_output=True, text=True, check=False).stdout == "7\n"


def test_bytecode_is_without_what_only_people_read_but_keeps_asserts_and_lines(tmp_path: Path) -> None:
    """A decorated class keeps its text: dataclasses would write one, and look at every field for it."""
    text = (
        '"""Module."""\nN: "Final" = 1\n\ndef f(a: "x") -> "y":\n    """Function."""\n\n'
        'class A:\n    """Class."""\n    field: int = 2\n\n'
        'def mark(of): return of\n@mark\nclass B:\n    """Kept."""\n\n'
        "def g():\n    assert not N\n"
    )
    names: dict[str, Any] = {"__name__": "made"}
    (tmp_path / "made.py").write_text(text)
    compile_file(str(tmp_path / "made.py"), str(tmp_path / "made.pyc"), "/shown.py")
    exec(marshal.loads((tmp_path / "made.pyc").read_bytes()[16:]), names)
    assert [names.get("__doc__"), names["f"].__doc__, names["A"].__doc__, names["B"].__doc__] == [None] * 3 + ["Kept."]
    assert (names["f"].__annotations__, names["A"].__annotations__) == ({}, {"field": int})
    with pytest.raises(AssertionError) as raised:
        names["g"]()
    assert (raised.traceback[-1].lineno, str(raised.traceback[-1].path)) == (16, "/shown.py")


def test_documentation_does_not_enter_and_listed_packages_bring_only_what_is_listed() -> None:
    """The tables of panux.image.selection."""
    assert not keeps_file("nginx", "usr/share/doc/nginx/copyright")
    assert keeps_file("nginx", "usr/sbin/nginx")
    assert not keeps_file("nginx", "usr/sbin/other")
    assert keeps_file("libc6", "usr/lib/x86_64-linux-gnu/libc.so.6")
    assert not set(WANTED) & set(DROPPED)


def test_the_second_disk_takes_listed_files_and_of_other_packages_their_libraries() -> None:
    """The tables of panux.image.daemons_disk."""
    libraries = "usr/lib/x86_64-linux-gnu"
    assert daemons_disk.enters("cron", "usr/sbin/cron")
    assert not daemons_disk.enters("cron", "usr/bin/crontab")
    assert daemons_disk.enters("libevent-2.1-7t64", f"{libraries}/libevent-2.1.so.7")
    assert not daemons_disk.enters("libsasl2-modules-db", f"{libraries}/sasl2/libsasldb.so")
    assert daemons_disk.enters("postgresql-17", "usr/share/postgresql/17/postgres.bki")
    assert daemons_disk.enters("postgresql-17", "usr/share/postgresql/17/extension/plpgsql.control")
    assert not daemons_disk.enters("postgresql-17", "usr/share/postgresql/17/extension/lo.control")
    assert not set(daemons_disk.FILES) & set(daemons_disk.UNUSED)


def test_accounts_let_root_in_on_the_console_and_nobody_else() -> None:
    """An empty password field is a login without a question."""
    files = skeleton.account_files()
    shadow = dict(line.split(":")[:2] for line in files["etc/shadow"].splitlines())
    assert shadow.pop("root") == ""
    assert set(shadow.values()) == {"*"}
    assert "root:x:0:0:root:/root:/bin/sh\n" in files["etc/passwd"]
    names = [line.split(":")[0] for line in files["etc/group"].splitlines()]
    assert len(names) == len(set(names))


def overlaid(tmp_path: Path, modes: str) -> Owners:
    """Copies a folder with one file over a tree that has accounts, under a table of modes."""
    source, tree = tmp_path / "root", tmp_path / "tree"
    (source / "etc").mkdir(parents=True)
    (source / "etc" / "secret").write_text("s")
    (source / "etc" / "run.sh").write_text("#!/bin/sh\n")
    (source / "etc" / "run.sh").chmod(0o700)
    (tree / "etc").mkdir(parents=True)
    for name, text in skeleton.account_files().items():
        (tree / name).write_text(text)
    (tmp_path / "modes").write_text(modes)
    owners = Owners()
    linit_files.overlay(source, tmp_path / "modes", tree, owners)
    return owners


def test_definitions_of_programs_that_the_image_has_not_stay_out(tmp_path: Path) -> None:
    """services/README.md, "Daemons": each would be a warning at every compilation."""
    services = places.REPOSITORY / "services"
    linit_files.install_services(services, tmp_path)
    installed = {file.name for file in (tmp_path / linit_files.SERVICES).iterdir()}
    assert "redis.yaml" in installed
    assert installed.isdisjoint(file.name for file in (services / "daemons").iterdir())


def test_the_overlay_takes_owners_and_modes_from_its_table(tmp_path: Path) -> None:
    """Git keeps neither owners nor any mode but the executable bit."""
    owners = overlaid(tmp_path, "# a comment\n/etc/secret 640 redis shadow\n")
    assert owners.entries == {"etc/secret": (103, 42, 0o640)}
    assert (tmp_path / "tree/etc/run.sh").stat().st_mode & 0o777 == 0o755


def test_a_wrong_line_in_the_table_of_modes_is_shown_with_its_place(tmp_path: Path) -> None:
    """A mistake there would otherwise be found by a service, at run time."""
    with pytest.raises(BuildError, match=r"modes:1: found '/etc/secret 640 rediss shadow', expected PATH MODE USER"):
        overlaid(tmp_path, "/etc/secret 640 rediss shadow\n")


def test_owners_and_modes_in_the_file_system_do_not_depend_on_the_builder(tmp_path: Path) -> None:
    """Read back with debugfs(8) from an image that mke2fs made."""
    tree, image = tmp_path / "tree", tmp_path / "root.img"
    tree.mkdir()
    (tree / "plain").write_text("x")
    (tree / "special").write_text("x")
    owners = Owners()
    owners.note("special", 103, 42, 0o4750)
    owners.save(tmp_path / "owners.json")
    assert load_owners(tmp_path / "owners.json") == owners
    make_file_system(tree, owners, image)
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"

    def inode(name: str) -> str:
        command = ["debugfs", "-R", f"stat {name}", str(image)]
        return subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": path}).stdout

    assert "Mode:  04750" in inode("special")
    assert "User:   103   Group:    42" in inode("special")
    assert "User:     0   Group:     0" in inode("plain")
    subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True, check=True, env={"PATH": path})


def test_progress_on_a_pipe_is_one_line_a_step() -> None:
    """No control characters where nobody can see them."""
    stream = io.StringIO()
    with Progress(stream).step("fetch") as step:
        step.show_percent(50)
    assert stream.getvalue().startswith("  fetch  ")
    assert stream.getvalue().endswith(" s\n")
    assert "\r" not in stream.getvalue()
    assert "50" not in stream.getvalue()
