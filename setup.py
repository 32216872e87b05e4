"""Builds the native CRF engine; all else about the package is in pyproject.toml.

The inner loops are compiled once for each instruction set; the fastest that the processor has is chosen at run time.
The extension is optional: where it cannot be compiled, the package installs without it and the torch engine is used.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = Path("stego_cli/crf/native")
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
SOURCES = ["bilateral_lattice", "lattice", "loops_baseline", "mean_field", "module", "spatial_lattice", "update_pass"]


class BuildVariants(build_ext):
    """Compiles the sources that have flags of their own, and links them with the others."""

    def build_extension(self, ext: Extension) -> None:
        """Build one extension."""
        for name, flags in VARIANTS.items():
            ext.extra_objects += self.compiler.compile(
                [str(FOLDER / name)],
                output_dir=self.build_temp,
                macros=ext.define_macros,
                extra_postargs=[*ext.extra_compile_args, *flags],
                depends=ext.depends,
            )
        super().build_extension(ext)


setup(
    cmdclass={"build_ext": BuildVariants},
    ext_modules=[
        Extension(
            "stego_cli.crf._native",
            sources=[str(FOLDER / f"{name}.cpp") for name in SOURCES],
            depends=sorted(map(str, [*FOLDER.glob("*.hpp"), *FOLDER.glob("*.cpp")])),
            define_macros=[("Py_LIMITED_API", "0x030B0000"), *([("STEGO_X86", "1")] if X86 else [])],
            extra_compile_args=COMMON,
            extra_link_args=[] if MSVC else ["-pthread"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
