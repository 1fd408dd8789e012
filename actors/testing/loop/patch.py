"""Replaces functions of C in place, so that names bound before (``from time import monotonic``) are replaced as well.

A built-in function is an object that points to a `PyMethodDef`, which holds the address of the C function, and to the
object that this is called with. Both are written anew: the address becomes that of the part of CPython's public API
that calls its first argument, and the first argument our function. So there is no callback out of C, and errors go
their usual way. time-machine (Adam Johnson) rewrites the address too, from an extension module of its own; but what it
puts there is for all threads, and it leaves ``monotonic`` and ``perf_counter`` as they are.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, ClassMethodDescriptorType
from typing import Any, Final, TypeAlias

from ..errors import SimulationError

Make: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Given a function that does what the real one does, returns what is to be called instead."""
_HEAD: Final = object.__basicsize__
_VARARGS, _KEYWORDS, _NOARGS, _ONE, _CLASS, _FAST = 0x1, 0x2, 0x4, 0x8, 0x10, 0x80
_CALLS: Final = {
    _NOARGS: "PyObject_CallNoArgs",
    _ONE: "PyObject_CallOneArg",
    _VARARGS: "PyObject_CallObject",
    _VARARGS | _KEYWORDS: "PyObject_Call",
    _FAST | _KEYWORDS: "PyObject_Vectorcall",
}
"""What has the signature that CPython calls a function with such flags by (`PyMethodDef.ml_flags`)."""


class _Definition(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Function(ctypes.Structure):
    """What follows the head of a `PyCFunctionObject`."""

    _fields_ = (("definition", ctypes.POINTER(_Definition)), ("self", ctypes.c_void_p))


class _Descriptor(ctypes.Structure):
    """What follows the head of a `PyMethodDescrObject`."""

    _fields_ = (
        ("type", ctypes.c_void_p),
        ("name", ctypes.c_void_p),
        ("qualname", ctypes.c_void_p),
        ("definition", ctypes.POINTER(_Definition)),
    )


def _definition(layout: type[_Function | _Descriptor], it: object, kind: type, name: str) -> _Definition:
    """Return the definition of a function or descriptor; its name tells whether it lies where we think."""
    if sys.implementation.name != "cpython":
        raise SimulationError(f"{name}() cannot be replaced in this interpreter: simulations need CPython")
    if type(it) is not kind:
        raise SimulationError(f"{name}() cannot be replaced: somebody has done that already, with {it!r}")
    definition: _Definition = layout.from_address(id(it) + _HEAD).definition.contents
    if definition.name != name.encode():
        raise SimulationError(f"{name}() cannot be replaced: this CPython keeps its functions in another way")
    return definition


class Builtin:
    """A function of a C module, ``time.time`` for one, that can be replaced wherever its name is bound.

    Args:
        function: which.
        make: given a function that does what the real one does, returns what is to be called instead.

    Raises:
        SimulationError: this is no function of C any more, or this interpreter no CPython.
    """

    def __init__(self, function: Any, make: Make) -> None:
        self.name = name = getattr(function, "__name__", repr(function))
        self._definition = _definition(_Function, function, BuiltinFunctionType, name)
        self._function = function  # where the part lies
        self._part = _Function.from_address(id(function) + _HEAD)
        call = _CALLS.get(self._definition.flags)
        if call is None:
            raise SimulationError(f"{name}() cannot be replaced: it has flags {self._definition.flags:#x}")
        self._function = function
        self._real = (self._definition.function, self._part.self)
        self._kept = _Definition.from_buffer_copy(self._definition)
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        self.real: Callable[..., Any] = new(ctypes.addressof(self._kept), function.__self__, None)
        self._instead = make(self.real)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._instead))  # the function's own reference, for the collector
        address = ctypes.cast(getattr(ctypes.pythonapi, call), ctypes.c_void_p).value
        self._virtual = (address, id(self._instead))

    def replace(self) -> None:
        """Have the replacement called from now on."""
        self._definition.function, self._part.self = self._virtual

    def restore(self) -> None:
        """Have the real one called again."""
        self._definition.function, self._part.self = self._real


class ClassMethod:
    """A class method of a C type, ``datetime.now`` for one, that can be replaced wherever its name is bound.

    What it is called with is the class, so that here the address of a callback is written. An exception cannot leave
    that: it is shown on stderr, and a `SystemError` raised in its place.

    Args:
        owner: the type.
        name: of the method.
        make: given a function that does what the real one does, returns what is to be called instead; both take the
            class first.
    """

    def __init__(self, owner: type, name: str, make: Make) -> None:
        descriptor = vars(owner)[name]
        self._definition = _definition(_Descriptor, descriptor, ClassMethodDescriptorType, name)
        flags = self._definition.flags & ~_CLASS
        if flags not in (_NOARGS, _FAST | _KEYWORDS):
            raise SimulationError(f"{name}() cannot be replaced: it has flags {flags:#x}")
        self._real = self._definition.function
        self._callback = (_plain if flags == _NOARGS else _fast)(self._real, make)
        self._address = ctypes.cast(self._callback, ctypes.c_void_p).value

    def replace(self) -> None:
        """Have the replacement called from now on."""
        self._definition.function = self._address

    def restore(self) -> None:
        """Have the real one called again."""
        self._definition.function = self._real


def _plain(address: Any, make: Make) -> Any:
    """Return the callback that stands for a function of ``METH_NOARGS``."""
    kind = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p)
    function: Any = kind(address)
    instead = make(lambda cls: function(cls, None))
    return kind(lambda cls, _: instead(cls))


def _fast(address: Any, make: Make) -> Any:
    """Return the callback that stands for a function of ``METH_FASTCALL | METH_KEYWORDS`` that has one parameter."""
    values = ctypes.POINTER(ctypes.py_object)
    kind: Any = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, values, ctypes.c_ssize_t, ctypes.c_void_p)
    function = kind(address)
    instead = make(lambda cls, *args: function(cls, (ctypes.py_object * len(args))(*args), len(args), None))

    def entry(cls: type, args: Any, count: int, names: int | None) -> Any:
        if not names:
            return instead(cls, *args[:count])
        (name,) = ctypes.cast(names, ctypes.py_object).value
        return instead(cls, *args[:count], **{name: args[count]})

    return kind(entry)
