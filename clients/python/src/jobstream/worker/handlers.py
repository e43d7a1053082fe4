"""The handlers of a worker, and what their signatures say."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..payload import Payload, decode_as

Function = Callable[..., Any]


@dataclass(frozen=True)
class Handler:
    """A function that runs the jobs of a kind: of the context, and of the input unless it takes none."""

    function: Function
    input_type: Any
    takes_input: bool
    is_async: bool

    @classmethod
    def of(cls, function: Function, input_type: Any) -> Handler:
        """Reads the signature; raises TypeError if it is none of a handler."""
        parameters = [
            parameter
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        if len(parameters) not in (1, 2):
            raise TypeError(f"a handler takes (context) or (context, input), {function!r} takes {len(parameters)}")
        if input_type is None and len(parameters) == 2:
            input_type = annotation(function, parameters[1].name)
        return cls(function, input_type or Any, len(parameters) == 2, inspect.iscoroutinefunction(function))

    def call(self, context: object, payload: Payload) -> Any:
        """Calls it; raises BadPayload if the input is not of its type. What a coroutine answers is to be awaited."""
        if not self.takes_input:
            return self.function(context)
        return self.function(context, decode_as(payload, self.input_type))


def annotation(function: Function, parameter: str) -> Any:
    try:
        return typing.get_type_hints(function).get(parameter, Any)
    except NameError as error:
        message = f"the type of {parameter!r} cannot be read here: {error}: pass input_type to handler()"
        raise TypeError(message) from error
