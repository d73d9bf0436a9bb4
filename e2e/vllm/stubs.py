"""Empty stand-ins for the CUDA libraries that PyTorch's build for GPUs is linked with: `stubs.py SITE_PACKAGES FOLDER`.

On a machine without a GPU none of their functions is called, but the loader wants every library and every symbol. Reads
what PyTorch's libraries need with `readelf` and `nm`, and compiles one library for each with `gcc`.
"""

import pathlib
import re
import subprocess
import sys
from collections import defaultdict

FOREIGN = re.compile(r"lib(cu|nv|nccl)")
# Symbols without a version, by how those of CUDA begin.
CUDA = re.compile(
    r"_*(cublas|cudnn|cuda|cuFile|cufft|cupti|curand|cusolver|cusparse|nccl|nvrtc|nvshmem|cu[A-Z])|.*nvshmem"
)
# The library that gets the symbols without a version: the loader takes them from any.
ANY = "libcublas.so.13"


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def read(libraries):
    """Library names that are needed, and for each the undefined symbols by version."""
    present = {library.name for library in libraries}
    needed, library_of_version, wanted, defined = set(), {}, set(), set()
    for library in libraries:
        names = re.findall(r"NEEDED.*\[(.*)\]", said("readelf", "-d", str(library)))
        needed |= {name for name in names if FOREIGN.match(name) and name not in present}
        section = None
        for line in said("readelf", "-V", "-W", str(library)).splitlines():
            if found := re.search(r"File: (\S+)", line):
                section = found[1]
            elif (found := re.search(r"Name: (\S+)\s+Flags", line)) and section in needed:
                library_of_version[found[1]] = section
        for line in said("nm", "-D", str(library)).splitlines():
            kind, symbol = line.split()[-2:]
            name, _, version = symbol.partition("@")
            if kind == "U":
                wanted.add((name, version.lstrip("@")))
            else:
                defined.add(name)
    symbols = defaultdict(lambda: defaultdict(set))
    for name, version in wanted:
        if name in defined:
            continue
        if version in library_of_version:
            symbols[library_of_version[version]][version].add(name)
        elif not version and CUDA.match(name):
            symbols[ANY][""].add(name)
    return needed, symbols


def compile_stub(folder, library, versions):
    """Compiles one library, all functions of which fail."""
    names = {name for symbols in versions.values() for name in symbols if name.isidentifier()}
    lines = [f"long {name}(void) {{ return {0 if name.startswith('__') else 100}; }}" for name in sorted(names)]
    source = folder / "stub.c"
    source.write_text("\n".join([*lines, ""]))
    command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{library}", str(source)]
    versioned = {version: symbols for version, symbols in versions.items() if version}
    if versioned:
        script = folder / "stub.map"
        script.write_text(
            "".join(
                f"{version} {{ global: {' '.join(name + ';' for name in sorted(symbols))} }};\n"
                for version, symbols in versioned.items()
            )
        )
        command.append(f"-Wl,--version-script,{script}")
    subprocess.run([*command, "-o", str(folder / library)], check=True)


def main():
    packages, folder = map(pathlib.Path, sys.argv[1:3])
    folder.mkdir(parents=True, exist_ok=True)
    needed, symbols = read(sorted((packages / "torch/lib").glob("*.so*")))
    for library in sorted(needed):
        compile_stub(folder, library, symbols[library])


main()
