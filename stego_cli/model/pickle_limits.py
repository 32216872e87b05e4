"""Limits on a pickle, checked before it is loaded: what it may do, and how much work and memory it may cost.

A pickle is a program for a small stack machine. A few bytes of it can cost any amount of time: a tuple that holds the
tuple before twice, 64 times over, takes 2^64 steps to hash when it becomes a key; a chain of tuples is hashed by a
recursion that overflows the C stack; keys can be chosen to collide. So the program is first run on sizes instead of
values.
"""

from __future__ import annotations

import pickle
import pickletools
from typing import NamedTuple

PROGRAM_LIMIT = 16 * 2**20  # bytes; without the storages a checkpoint's pickle takes well below one megabyte
_OPCODE_LIMIT = 500_000  # a checkpoint of a ViT-B with the state of its optimiser has some ten thousand
_SIZE_LIMIT = 100_000  # values within a value, each counted as often as it is reached
_DEPTH_LIMIT = 200  # values within values
_KEY_LIMIT = 2_000_000  # values within all keys
_OTHER_KEYS_LIMIT = 20_000  # keys that are not text: only the hash of a text cannot be chosen
# Opcodes that no checkpoint needs: older ways to arbitrary classes, extension codes, buffers outside the file.
_FORBIDDEN = frozenset(
    {"INST", "OBJ", "EXT1", "EXT2", "EXT4", "PERSID", "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER"}
)
_IN_PLACE = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})
_CONTAINERS = frozenset({"LIST", "DICT"})  # cannot be hashed, like the empty ones that the others start from
_TEXTS = (pickletools.pyunicode, pickletools.pystring, pickletools.pybytes, pickletools.pybytes_or_str)


class ForbiddenOpcode(Exception):  # noqa: N818  (the caller turns it into an error of its own)
    """A pickle has an opcode that no checkpoint needs."""


class _Value(NamedTuple):
    """What is known of a value: the values in it, how deeply they are nested, and whether it is a text."""

    size: int = 1
    depth: int = 1
    text: bool = False


_Stack = list[_Value | None]  # None: a mark


def check_program(program: bytes) -> None:
    """Check a pickle's program against the limits.

    Raises:
        ForbiddenOpcode: it has an opcode that no checkpoint needs.
        pickle.UnpicklingError: it is beyond a limit, or not a whole program.
    """
    if len(program) > PROGRAM_LIMIT:
        raise pickle.UnpicklingError(f"it has more than {PROGRAM_LIMIT} bytes")
    stack: _Stack = []
    memo: dict[int, _Value] = {}
    keys = other_keys = 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(program)):
        if opcode.name in _FORBIDDEN:
            raise ForbiddenOpcode(f"the opcode {opcode.name}")
        if count == _OPCODE_LIMIT:
            raise pickle.UnpicklingError(f"it has more than {_OPCODE_LIMIT} steps")
        index = int(argument or 0) if opcode.name.endswith(("PUT", "GET")) else 0
        if not 0 <= index <= len(program):  # the unpickler would allocate as many entries
            raise pickle.UnpicklingError("its memo has holes")
        try:
            for key in _step(opcode, index, stack, memo):
                keys += key.size
                other_keys += not key.text
        except (IndexError, KeyError):
            raise pickle.UnpicklingError("it takes what it has not put there") from None
        if keys > _KEY_LIMIT or other_keys > _OTHER_KEYS_LIMIT:
            raise pickle.UnpicklingError("its keys are too many or too large")


def _step(opcode: pickletools.OpcodeInfo, index: int, stack: _Stack, memo: dict[int, _Value]) -> list[_Value]:
    """Do one step; return the keys that it adds to a dict or a set."""
    name = opcode.name
    if name == "MARK":
        stack.append(None)
    elif name == "MEMOIZE" or name.endswith("PUT"):
        memo[len(memo) if name == "MEMOIZE" else index] = _of(stack[-1])
    elif name.endswith("GET"):
        stack.append(memo[index])
    elif name == "DUP":
        stack.append(_of(stack[-1]))
    elif name == "POP":
        stack.pop()
    else:
        container, items = _popped(opcode, stack)
        if name in _IN_PLACE:
            stack.extend(container or items[:1])
        elif name in _CONTAINERS:
            stack.append(_Value())
        elif opcode.stack_after:
            stack.append(_combined(items, opcode.stack_after[0] in _TEXTS))
        return _keys(name, items)
    return []


def _popped(opcode: pickletools.OpcodeInfo, stack: _Stack) -> tuple[list[_Value], list[_Value]]:
    """Take an opcode's operands off the stack: what lies below a mark, and the others."""
    before = opcode.stack_before
    if pickletools.markobject not in before:
        start = len(stack) - len(before)
        if start < 0:
            raise IndexError
        items = [_of(value) for value in stack[start:]]
        del stack[start:]
        return [], items
    items = []
    while (value := stack.pop()) is not None:
        items.append(value)
    items.reverse()
    return [_of(stack.pop()) for _ in range(before.index(pickletools.markobject))], items


def _combined(items: list[_Value], text: bool) -> _Value:
    combined = _Value(1 + sum(item.size for item in items), 1 + max((item.depth for item in items), default=0), text)
    if combined.size > _SIZE_LIMIT or combined.depth > _DEPTH_LIMIT:
        raise pickle.UnpicklingError("it nests values without end")
    return combined


def _keys(name: str, items: list[_Value]) -> list[_Value]:
    if name == "SETITEM":
        return items[1:2]
    if name in ("SETITEMS", "DICT"):
        return items[0::2]
    return items if name in ("ADDITEMS", "FROZENSET") else []


def _of(value: _Value | None) -> _Value:
    if value is None:  # a mark where a value belongs
        raise IndexError
    return value
