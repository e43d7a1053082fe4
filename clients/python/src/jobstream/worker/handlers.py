"""Handler functions and their signatures."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..payload import Payload, decode_as
from .context import BaseContext
from .final_report import encoded

Function = Callable[..., Any]


@dataclass(frozen=True)
class Handler:
    """The function that runs the jobs of a kind. It takes the context, and the input if it has a second parameter."""

    function: Function
    input_type: Any
    takes_input: bool
    is_async: bool

    @classmethod
    def of(cls, function: Function, input_type: Any) -> Handler:
        """Inspects the signature. Raises TypeError if it is not a handler's."""
        parameters = [
            parameter
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        if len(parameters) not in (1, 2):
            raise TypeError(
                f"a handler takes (context) or (context, input), {function!r} takes {len(parameters)} parameters"
            )
        if input_type is None and len(parameters) == 2:
            input_type = annotation(function, parameters[1].name)
        return cls(function, input_type or Any, len(parameters) == 2, inspect.iscoroutinefunction(function))

    def result(self, context: BaseContext) -> Payload:
        """Calls a function and encodes its result. Raises BadPayload if the input does not match its type."""
        return encoded(self._call(context))

    async def async_result(self, context: BaseContext) -> Payload:
        """Calls a coroutine function and encodes its result. Raises as `result`."""
        return encoded(await self._call(context))

    def _call(self, context: BaseContext) -> Any:
        if not self.takes_input:
            return self.function(context)
        return self.function(context, decode_as(context.payload, self.input_type))


def annotation(function: Function, parameter: str) -> Any:
    try:
        return typing.get_type_hints(function).get(parameter, Any)
    except NameError as error:
        message = f"the type of {parameter!r} cannot be resolved: {error}: pass input_type to handler()"
        raise TypeError(message) from error
