from typing import Any

from numpy.typing import NDArray

def refine(
    images: NDArray[Any],
    log_probs: NDArray[Any],
    out: NDArray[Any],
    shape: tuple[int, ...],
    kernels: tuple[tuple[float, float, float], ...],
    iterations: int,
    threads: int,
    instructions: str,
    /,
) -> None: ...
def instruction_sets() -> tuple[str, ...]: ...
