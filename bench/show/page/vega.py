"""What the page's charts are drawn with: Vega and Vega-Lite, BSD-3-Clause, as published.

    python -m bench.show.page.vega            # are the files as versions.toml says?
    python -m bench.show.page.vega renew      # those of the versions in versions.toml, by npm

versions.toml names each package, its version and its files with their SHA-256. To take another
version: write it there, then renew. vega-interpreter, which evaluates expressions where a page's
security policy forbids eval, is published as a module alone: its import and its export are made
assignments, so that it can stand in a page.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent / "vega"
LIST = FOLDER / "versions.toml"


def scripts() -> list[str]:
    """The libraries' texts under their licences, in the order in which a page needs them."""
    packages = tomllib.loads(LIST.read_text(encoding="utf-8"))["package"]
    return [
        f"/*! {package['name']} {package['version']}\n{_text(package['name'] + '.LICENSE')}*/\n"
        + _text(package["script"])
        for package in packages
    ]


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def changed() -> list[str]:
    """The files that are not as versions.toml says."""
    packages = tomllib.loads(LIST.read_text(encoding="utf-8"))["package"]
    return [
        name
        for package in packages
        for name, digest in package["files"].items()
        if _digest((FOLDER / name).read_bytes()) != digest
    ]


def renew() -> None:
    """Fetch the packages with npm, and write their files and versions.toml."""
    import tomli_w

    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))
    for package in listed["package"]:
        name, version = package["name"], package["version"]
        with tempfile.TemporaryDirectory() as folder:
            command = ["npm", "pack", "--silent", f"{name}@{version}"]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as files:
                texts = {
                    package["script"]: _read(files, package["from"]),
                    f"{name}.LICENSE": _read(files, "LICENSE"),
                }
        for file, text in texts.items():
            (FOLDER / file).write_bytes(as_script(text))
        package["files"] = {file: _digest((FOLDER / file).read_bytes()) for file in texts}
    LIST.write_text(tomli_w.dumps(listed), encoding="utf-8")


def _read(files: tarfile.TarFile, name: str) -> bytes:
    member = files.extractfile(f"package/{name}")
    assert member is not None
    return member.read()


def as_script(text: bytes) -> bytes:
    """A module that imports from Vega's parts and exports one name, as a script after Vega's; any
    other text as it is, without the name of a map that isn't here.
    """
    text = re.sub(rb"^import (\{[^}]*\}) from 'vega-\w+';", rb"{\nconst \1 = vega;", text)
    text = re.sub(rb"^export \{ (\w+) as (\w+) \};", rb"vega.\2 = \1;\n}", text, flags=re.MULTILINE)
    return re.sub(rb"\n//# sourceMappingURL=.*\n?$", b"\n", text)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    if sys.argv[1:] == ["renew"]:
        renew()
    sys.exit(f"changed: {', '.join(changed())}" if changed() else 0)
