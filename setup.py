"""Builds the native CRF engine and the passes over pixels; all else about the package is in pyproject.toml.

The inner loops are compiled once for each instruction set; the fastest that the processor has is chosen at run time.
The extensions are optional: where they cannot be compiled, the package installs without them. The torch engine is used
then, and Pillow and numpy for pixels.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = Path("stego_cli/crf/native")
PIXELS = Path("stego_cli/images/native")
X86 = platform.machine().lower() in ("x86_64", "amd64")
MSVC = sys.platform == "win32"
COMMON = (
    ["/std:c++20", "/O2", "/EHsc"] if MSVC else ["-std=c++20", "-O3", "-g0", "-fno-math-errno", "-fno-trapping-math"]
)
NO_FUSING = ["/fp:precise"] if MSVC else ["-ffp-contract=off"]
AVX512 = ["/arch:AVX512"] if MSVC else ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"]
VARIANTS = {  # sources with flags of their own
    "simplices_baseline.cpp": NO_FUSING,
    **(
        {
            "simplices_avx2.cpp": [*NO_FUSING, "/arch:AVX2" if MSVC else "-mavx2"],
            "loops_avx2.cpp": ["/arch:AVX2"] if MSVC else ["-mavx2", "-mfma"],
            "loops_avx512.cpp": AVX512 if MSVC else [*AVX512, "-mprefer-vector-width=512"],
        }
        if X86
        else {}
    ),
}
CRF = "stego_cli.crf._native"
SOURCES = ["bilateral_lattice", "lattice", "loops_baseline", "mean_field", "module", "spatial_lattice", "update_pass"]


class BuildVariants(build_ext):
    """Compiles the sources that have flags of their own, and links them with the others."""

    def build_extension(self, ext: Extension) -> None:
        """Build one extension."""
        for name, flags in VARIANTS.items() if ext.name == CRF else ():
            ext.extra_objects += self.compiler.compile(
                [str(FOLDER / name)],
                output_dir=self.build_temp,
                macros=ext.define_macros,
                extra_postargs=[*ext.extra_compile_args, *flags],
                depends=ext.depends,
            )
        super().build_extension(ext)


def extension(name: str, folder: Path, sources: list[str], flags: list[str]) -> Extension:
    """Return an extension that keeps to Python's stable interface."""
    return Extension(
        name,
        sources=[str(folder / f"{source}.cpp") for source in sources],
        depends=sorted(str(file) for place in (FOLDER, PIXELS) for file in place.glob("*.[ch]pp")),
        include_dirs=[str(PIXELS)],
        define_macros=[("Py_LIMITED_API", "0x030B0000"), *([("STEGO_X86", "1")] if X86 else [])],
        extra_compile_args=[*COMMON, *flags],
        extra_link_args=[] if MSVC else ["-pthread"],
        py_limited_api=True,
        optional=True,
    )


setup(
    cmdclass={"build_ext": BuildVariants},
    ext_modules=[
        extension(CRF, FOLDER, SOURCES, []),
        extension("stego_cli.images._native", PIXELS, ["module", "pixels"], NO_FUSING),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
