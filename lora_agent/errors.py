"""Every error that a user can meet, in one tree. Each says what happened (with the value) and what to do.

LoraAgentError
├── InputError              the request itself is wrong (exit code 2)
│   ├── MessagesError           empty or malformed messages
│   ├── ContextTooLongError     more tokens than the model reads
│   ├── AdapterInputError       input does not fit the adapter's input schema
│   ├── SchemaError             not a JSON Schema, or a keyword that cannot be honoured
│   ├── ToolError               a tool that cannot be registered
│   │   ├── ToolNameClashError
│   │   └── ToolSignatureError
│   ├── DocumentError           an unreadable document
│   ├── BatchLineError          a broken line of a JSONL file
│   └── ConfigError             a bad setting or recipe
├── TeacherError            a teacher's endpoint does not answer
├── BaseModelError          the base cannot be had
│   ├── UnknownBaseError
│   ├── BaseOfflineError        not cached and no network
│   ├── BaseDigestError         downloaded bytes are not the expected ones
│   └── CacheError              the cache folder cannot be written (full, read-only)
├── AdapterError            an adapter package cannot be used
│   ├── UnknownAdapterError
│   ├── PackageFormatError      adapter.yaml, manifest or schemas malformed or missing
│   ├── PackageVersionError     written by a newer format
│   ├── PackagePathError        a path that leaves the package folder
│   ├── PackageDigestError      a file's bytes changed
│   ├── PickleWeightsError      weights are not safetensors
│   ├── WrongBaseError          built for another base
│   ├── WrongTemplateError      built with another chat template or tokenizer
│   ├── MissingTensorError
│   ├── ExtraTensorError
│   ├── UnsupportedAdapterError a PEFT variant that the engine cannot serve
│   ├── HubError                the Hugging Face Hub cannot be reached, or refuses
│   ├── GateError               the package has not passed its gate
│   └── FingerprintError        the loaded adapter does not act as it did when it was built
├── EngineError             the engine could not do the work
│   ├── DeadlineError
│   ├── CancelledError
│   ├── ServerUnreachableError  no replica of a remote engine could do it, after all retries
│   └── ServerRefusedError      a server understood the request and said no
└── ModelOutputError        raised only where the API promises a value: the model's output stayed invalid
    └── TruncatedOutputError    it ended by length
"""

from __future__ import annotations


class LoraAgentError(Exception):
    """Root. `hint` is the remedy, printed after the message."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message}\n  {hint}" if hint else message)

    def __reduce__(self) -> tuple[object, ...]:  # keyword-only arguments survive pickling
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(cls: type[LoraAgentError], message: str, hint: str) -> LoraAgentError:
    return cls(message, hint=hint)


class InputError(LoraAgentError, ValueError):
    exit_code = 2


class MessagesError(InputError): ...


class ContextTooLongError(InputError): ...


class AdapterInputError(InputError): ...


class SchemaError(InputError): ...


class ToolError(InputError): ...


class ToolNameClashError(ToolError): ...


class ToolSignatureError(ToolError): ...


class DocumentError(InputError): ...


class BatchLineError(InputError): ...


class ConfigError(InputError): ...


class DataError(InputError): ...


class MemoryForecastError(LoraAgentError):
    """What was asked for will not fit in memory."""

    exit_code = 3


class TeacherError(LoraAgentError): ...


class BaseModelError(LoraAgentError):
    exit_code = 2


class UnknownBaseError(BaseModelError): ...


class BaseOfflineError(BaseModelError): ...


class BaseDigestError(BaseModelError): ...


class CacheError(BaseModelError): ...


class AdapterError(LoraAgentError):
    exit_code = 2


class UnknownAdapterError(AdapterError): ...


class PackageFormatError(AdapterError): ...


class PackageVersionError(AdapterError): ...


class PackagePathError(AdapterError): ...


class PackageDigestError(AdapterError): ...


class PickleWeightsError(AdapterError): ...


class WrongBaseError(AdapterError): ...


class WrongTemplateError(AdapterError): ...


class MissingTensorError(AdapterError): ...


class ExtraTensorError(AdapterError): ...


class UnsupportedAdapterError(AdapterError): ...


class HubError(AdapterError): ...


class GateError(AdapterError): ...


class FingerprintError(AdapterError): ...


class EngineError(LoraAgentError): ...


class DeadlineError(EngineError): ...


class CancelledError(EngineError): ...


class ServerUnreachableError(EngineError): ...


class ServerRefusedError(EngineError): ...


class ModelOutputError(LoraAgentError): ...


class TruncatedOutputError(ModelOutputError): ...
