from typing import Any

from numpy.typing import NDArray

def resize(arrow_array: object, size: tuple[int, int], out: NDArray[Any], new_size: tuple[int, int], /) -> None: ...
def choose(planes: NDArray[Any], chosen: NDArray[Any], wins: NDArray[Any], shape: tuple[int, int], /) -> None: ...
def enlarge(
    planes: NDArray[Any],
    ids: NDArray[Any],
    best: NDArray[Any],
    labels: NDArray[Any],
    shape: tuple[int, int, int, int, int],
    /,
) -> None: ...
def count(labels: NDArray[Any], counts: NDArray[Any], pixels: int, /) -> None: ...
